"""What user code made of an event, as the store keeps it."""

from __future__ import annotations

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a user function made of one event: stored, never computed again.

    Attributes:
        position: of the event that went in.
        outcome: ``passed`` (see events), ``dropped`` or ``failed`` (see error).
        events: JSON of each event that came out, in order.
        error: the traceback, if it failed.
    """

    position: int
    outcome: str
    events: tuple[bytes, ...] = ()
    error: str = ""
