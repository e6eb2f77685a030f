"""What user code is asked, what it says, and what the store keeps of it."""

from __future__ import annotations

import io
import sys
import traceback
from typing import Any

import msgspec

SOURCE_REMOVED = "source_removed"
"""The reason of an event that was dropped since its source was removed before it was judged."""
VALIDATOR_DIED = "validator_died"
"""The reason of an event that killed two validators."""

_LONGEST_TRACE = 10_000
_LONGEST_PRINT = 10_000


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user function made of one event: stored, never computed again.

    Attributes:
        position: of the event that went in.
        outcome: ``passed`` (see events), ``dropped`` or ``failed`` (see error).
        events: JSON of each event that came out, in order.
        error: the traceback, if it failed.
        reason: why it failed: ``function_failed``, ``function_timeout`` or ``function_died``; or `SOURCE_REMOVED`, or
            `VALIDATOR_DIED`.
    """

    position: int
    outcome: str
    events: tuple[bytes, ...] = ()
    error: str = ""
    reason: str = "function_failed"


class WindowState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one window has counted for one key in one stretch of time.

    Attributes:
        window: its name.
        key: the key's value, as text.
        start: epoch seconds at which the stretch began.
        value: the count, the sum, or how many distinct values.
        seen: hashes of these, until it has fired.
        fired: whether the threshold was reached.
        gone: whether it is over and to be forgotten.
    """

    window: str
    key: str
    start: float
    value: float = 0.0
    seen: tuple[int, ...] = ()
    fired: bool = False
    gone: bool = False


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and within which bounds.

    Attributes:
        plugin: ``module:Class``, called with path, name, secrets and text.
        path: the function's file.
        text: what was in it when the plan was made; None reads it when the process begins.
        name: how it is called in errors.
        secrets: values that its code may read.
        memory: bytes that it may take beyond what an empty process has.
    """

    plugin: str
    path: str
    name: str
    text: str | None = None
    secrets: dict[str, str] = {}
    memory: int = 256 * 1024 * 1024


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a call, or of loading the function.

    Attributes:
        value: JSON of what the function returned.
        error: its traceback, or why it cannot be loaded; "" if all is well.
        printed: what it printed.
    """

    value: bytes = b""
    error: str = ""
    printed: str = ""


def user_trace(error: Exception, step: Any, file: str) -> str:
    """Return the traceback without our own frames and the plugin's, at most 10,000 characters of its end.

    An error that has a ``trace``, of another language for example, is told by it.

    Args:
        error: what user code raised.
        step: the plugin that ran it.
        file: the caller's own ``__file__``.
    """
    own: str = getattr(error, "trace", "")
    if own:
        return own[-_LONGEST_TRACE:]
    ours = {file, getattr(sys.modules[type(step).__module__], "__file__", "")}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace, chain=False))
    return text.strip()[-_LONGEST_TRACE:]


def kept_print(printed: io.StringIO) -> str:
    """Return what a call printed, cut after 10,000 characters."""
    text = printed.getvalue()
    return text if len(text) <= _LONGEST_PRINT else f"{text[:_LONGEST_PRINT]}…"
