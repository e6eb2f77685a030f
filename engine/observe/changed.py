"""What an operator's change did, in a sentence: the same at the command line, over HTTP and in the console."""

from __future__ import annotations

CHANGES = ("pause", "resume", "disable", "enable")
"""What may be done to a sync or a destination."""

_DONE = {
    ("pause", "syncs"): "is paused: its events wait in the store",
    ("pause", "destinations"): "is paused: its events wait in the store",
    ("resume", "syncs"): "goes on from where it stood",
    ("resume", "destinations"): "goes on from where it stood",
    ("disable", "syncs"): "is disabled: its further events are filtered, also over a restart and a reload, until it is"
    " enabled; what was on its way goes on",
    ("disable", "destinations"): "is disabled: further events of its syncs are filtered, also over a restart and a"
    " reload, until it is enabled; what was on its way waits",
    ("enable", "syncs"): "takes events again, from now on",
    ("enable", "destinations"): "takes events again, from now on",
}


def done(kind: str, name: str, change: str) -> str:
    """Return what *change* did to one of ``syncs`` or ``destinations``."""
    return f"{kind.removesuffix('s')} '{name}' {_DONE[change, kind]}"
