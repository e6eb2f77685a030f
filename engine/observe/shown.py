"""What a tap shows, as Structs: their JSON is an interface that others rely on."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Tapping(msgspec.Struct, frozen=True, kw_only=True):
    """What a page of the tap is to hold.

    Attributes:
        after: the number after which it begins.
        limit: events at most.
        wait: seconds to wait for the first.
    """

    after: int = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One event as the tap shows it: of a source, what became of it there; of a sync, one for each delivery.

    Attributes:
        n: counts what the door has read of this source, since start.
        at: epoch seconds of receipt.
        verdict: ``refused``, ``duplicate``, ``blocked``, ``filtered``, ``archived``, ``accepted`` (its function has not
            run yet), ``passed`` (of a source) or ``deliver`` (of a sync).
        reason: one documented code, or "".
        message: what a person should know of it, or "".
        event: as filters see it; as it came, if it was refused.
        payload: of a sync: what is delivered.
    """

    n: int
    at: float
    message_id: str
    verdict: str
    reason: str = ""
    message: str = ""
    event: Any = None
    event_type: str = ""
    payload: Any = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen after a number.

    Attributes:
        upto: the number to ask for next.
        missed: events that came and went before anybody asked.
    """

    upto: int
    missed: int = 0
    seen: tuple[Seen, ...] = ()


class Took(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync made of one event.

    Attributes:
        verdict: ``deliver``, ``filtered`` or ``archived``.
        event_type: the one that took it, or "".
        reason: one documented code, or "".
    """

    sync: str
    verdict: str
    event_type: str = ""
    reason: str = ""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a source as the console's debugger shows it: what came, and what every sync made of it.

    Attributes:
        seen: the event, with the source's verdict.
        took: one for each sync and delivery; nothing where the event went no further.
        raw: as it came.
    """

    seen: Seen
    took: tuple[Took, ...] = ()
    raw: str = ""


class Looking(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a source is to show: the newest that came after a number, never more than can be read.

    Attributes:
        after: the number after which it begins.
        limit: events at most, the newest.
        wait: seconds to wait for the first.
        filter: shows only events for which this is true; "" shows all.
    """

    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    filter: Annotated[str, msgspec.Meta(max_length=4000)] = ""


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at after a number.

    Attributes:
        upto: the number to ask for next.
        skipped: events in between that were not looked at.
    """

    upto: int
    skipped: int = 0
    looked: tuple[Looked, ...] = ()


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries of the ledger a command changed, and the same in words."""

    count: int
    message: str = ""
