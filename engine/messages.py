"""Every Struct that crosses a channel or is stored: the agreement between the actors."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

import msgspec

from engine.exchanged import Reply as Reply  # noqa: PLC0414 - part of the agreement, made below it
from engine.exchanged import Request as Request  # noqa: PLC0414 - likewise
from engine.results import Result as Result  # noqa: PLC0414 - likewise
from engine.results import WindowState
from engine.violated import Violated


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The root of all messages: frozen, and tagged by its class name where a union is stored."""


class Envelope(Message, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """What the door knows about one event beside its own JSON.

    Attributes:
        message_id: the event's own, or the one the door assigned.
        received_at: epoch seconds, by our clock.
        sent_at: the client's ``sentAt`` as it was sent, ISO-8601, or None.
        ip: the client's address, for browser events only.
        context: the batch's own ``context``; an item's keys win.
        integrations: the batch's own ``integrations``; an item's keys win.
        erased: what had become at its source of an event that was erased since: ``passed`` or ``blocked``.
    """

    message_id: str
    received_at: float
    sent_at: str | None = None
    ip: str | None = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    erased: str = ""


class Logged(Message, frozen=True, kw_only=True):
    """One accepted event, as it lies in the log.

    Attributes:
        position: counts from 1, without gaps, over all sources.
        source: the source's name.
        raw: the event's original JSON, an object, UTF-8.
        envelope: what the door added.
    """

    position: int
    source: str
    raw: bytes
    envelope: Envelope


class Stretch(Message, frozen=True, kw_only=True):
    """All that one source has between two positions: after < position <= upto.

    A reader that has read up to ``after`` takes it; one that has read less reads the gap from the log first.

    Attributes:
        events: ascending by position.
    """

    source: str
    after: int
    upto: int
    events: tuple[Any, ...]

    def halves(self) -> tuple[Self, Self] | None:
        """Return the stretch cut in two between positions, near its middle; None if there is no such place."""
        events = self.events
        middle = len(events) // 2
        for cut in (*range(middle, len(events)), *range(middle - 1, 0, -1)):
            edge: int = events[cut - 1].position
            if cut and events[cut].position != edge:
                left = msgspec.structs.replace(self, upto=edge, events=events[:cut])
                return left, msgspec.structs.replace(self, after=edge, events=events[cut:])
        return None


class Span(Stretch, frozen=True, kw_only=True):
    """One source's accepted events: the receiver's word to a validator."""

    events: tuple[Logged, ...]


class Event(Message, frozen=True, kw_only=True):
    """One normalised event that passed its contract and function, for the routers.

    Attributes:
        position: of the log row it came from.
        n: 0 for the event itself, 1… for what a function derived from it.
        message_id: its identity for keys and lookups.
        received_at: epoch seconds.
        body: the normalised event; shared by all routers, so nobody writes into it.
    """

    position: int
    n: int = 0
    message_id: str
    received_at: float
    body: dict[str, Any]


class Passed(Stretch, frozen=True, kw_only=True):
    """What a stretch of a source's events became: the validator's word to the routers."""

    events: tuple[Event, ...]


class Delivery(Message, frozen=True, kw_only=True):
    """One event for one event type of one sync, mapped: a payload on its way.

    Attributes:
        key: the idempotency key, 32 hex digits; equal for every attempt.
        position: of the log row; with ``key`` the delivery's identity in the store.
        event_type: the name of the sync's event type.
        type: the destination's own event type, for example ``custom``.
        payload: the mapped payload, a JSON object.
        attempts: how many were made before this one.
        first_at: epoch seconds of the first attempt; 0.0 before it.
        excused: seconds since then in which the destination was open, paused or told us to wait.
        when_missing: what to do when the object is not there: ``create``, ``update_only``, ``skip``, or "" for the
            destination's own way.
        permits: what the event says of who may have it, see `engine.lang.consent`; b"" for nothing, None if nobody
            asked when it was routed.
        replay: the number of the last replay that changed the payload, and with it the key; 0 for none.
        again_at: epoch seconds at which a person asked for it again; its age counts from there. 0.0 if nobody did.
        turn: a hash of what the sync is ordered by: one at a time of those with the same goes; "" is not ordered.
    """

    key: str
    position: int
    source: str
    sync: str
    event_type: str
    type: str
    destination: str
    message_id: str
    received_at: float
    payload: bytes
    attempts: int = 0
    first_at: float = 0.0
    excused: float = 0.0
    replay: int = 0
    again_at: float = 0.0
    turn: str = ""
    when_missing: str = ""
    permits: bytes | None = None

    @property
    def waits_since(self) -> float:
        """Epoch seconds from which its age is counted: receipt, or when a person asked for it again."""
        return self.again_at or self.received_at

    def body(self) -> dict[str, Any]:
        """Return the payload, decoded; a new dict at every call."""
        decoded: dict[str, Any] = msgspec.json.decode(self.payload)
        return decoded


class Stage(StrEnum):
    """Where trouble arose."""

    CONTRACT = "contract"
    FUNCTION = "function"
    MAPPING = "mapping"
    SEND = "send"


class State(StrEnum):
    """What a trouble row waits for."""

    RETRYING = "retrying"
    ARCHIVED = "archived"
    BLOCKED = "blocked"
    DISCARDED = "discarded"


class Trouble(Message, frozen=True, kw_only=True):
    """One delivery (or event) that did not go through: a row of the ledger, and what ``errors list`` shows.

    Attributes:
        id: ``<position>-<first 12 digits of key>``; equal whenever the same trouble is met again.
        sync: "" for the source's stages (contract, function).
        key: the delivery's idempotency key; for the source's stages a hash of source, messageId and stage.
        reason: one documented code, for example ``rejected_400`` or ``mapping_failed``.
        status: the last HTTP status; 0 if there was none.
        error: one paragraph for a person: what failed and what to do.
        trace: the traceback of user code, or "".
        due_at: epoch seconds of the next attempt while retrying, `NEVER` while parked; 0.0 otherwise.
        excused: see `Delivery.excused`.
        event: the original JSON and envelope are in the log; an archived entry carries its own copy of the JSON.
        payload: the mapped payload; b"" before the mapping.
        request: the last request's head and body, at most 10 KiB; b"" if none was made.
        response: the last reply's head and body, at most 10 KiB.
        revision: the plan revision that made the payload.
        when_missing, permits, replay, again_at: see `Delivery`.
        turn: see `Delivery`; "" also for what a person asked for again, which is outside the order.
    """

    id: str
    state: State
    stage: Stage
    reason: str
    source: str
    sync: str = ""
    destination: str = ""
    event_type: str = ""
    type: str = ""
    position: int
    key: str
    message_id: str
    received_at: float
    attempts: int = 0
    status: int = 0
    first_at: float
    last_at: float
    due_at: float = 0.0
    excused: float = 0.0
    error: str = ""
    trace: str = ""
    event: bytes = b""
    payload: bytes = b""
    request: bytes = b""
    response: bytes = b""
    revision: int = 0
    when_missing: str = ""
    permits: bytes | None = None
    replay: int = 0
    again_at: float = 0.0
    turn: str = ""


NEVER = 253_402_300_799.0
"""Epoch seconds, the end of the year 9999: when a retrying row is due that is *parked*, that is, waits for its turn."""


def trouble_id(position: int, key: str) -> str:
    """Return the id that a delivery has in the ledger."""
    return f"{position}-{key[:12]}"


class Attempt(Message, frozen=True, kw_only=True):
    """One request and how it went, for the packed attempts row and the log line.

    Attributes:
        at: epoch seconds at which it began.
        seconds: how long it took.
        status: 0 if nothing came back.
        positions: of the deliveries in it.
        error: "" when a reply came.
    """

    destination: str
    at: float
    seconds: float
    status: int
    positions: tuple[int, ...]
    error: str = ""


class Due(Message, frozen=True, kw_only=True):
    """One delivery whose time has come again: the retry scheduler's word to a sender.

    Attributes:
        token: of the claim; a settlement with an old one has no effect.
        refused: whether the last attempt met 401 or 403.
        last_at: epoch seconds of the last attempt's end.
    """

    delivery: Delivery
    token: int
    refused: bool = False
    last_at: float = 0.0


class Claim(Message, frozen=True, kw_only=True):
    """One ledger row that nobody else can claim until it is settled or its lease ends."""

    trouble: Trouble
    token: int


class Settlement(StrEnum):
    """How a claim ends."""

    DONE = "done"
    RETRY = "retry"
    ARCHIVE = "archive"
    RELEASE = "release"


class Settle(Message, frozen=True, kw_only=True):
    """One claim's end.

    Attributes:
        trouble: the row as it shall be from now on, for ``retry`` and ``archive``; None for ``done`` and ``release``.
    """

    id: str
    token: int
    how: Settlement
    trouble: Trouble | None = None


class Report(Message, frozen=True, kw_only=True):
    """The root of what the archiver is told: one thing each, so there are no halves to offer.

    Attributes:
        places: of the archiver, reserved for outcomes and for what failed; given back once this message is durable.
    """

    places: int = 0

    def halves(self) -> None:
        """Return None."""


class Routed(Report, frozen=True, kw_only=True):
    """A router's word to the archiver: this sync has read ``after`` < position <= ``upto``.

    It reaches the archiver before any outcome of its deliveries can, since the router sends it first.

    Attributes:
        opened: (position, key) of every delivery made, ascending; created, and pending from now on.
        voided: (position, key) that were open before a restart and that the plan of today does not make: discarded.
        filtered: reason to count of events that no event type took.
        matched: events that at least one event type took.
        troubles: what failed in the mapping; created and at once archived.
    """

    sync: str
    after: int
    upto: int
    opened: tuple[tuple[int, str], ...] = ()
    voided: tuple[tuple[int, str], ...] = ()
    filtered: dict[str, int] = {}
    matched: int = 0
    troubles: tuple[Trouble, ...] = ()


class Settled(Report, frozen=True, kw_only=True):
    """A sender's word to the archiver: how one request ended for each of its deliveries.

    Attributes:
        closed: (sync, position, key) of deliveries from a router that now have a fate or a row in ``troubles``.
        delivered: sync to how many of ``closed`` arrived.
        again: sync to how many of ``settles`` arrived.
        troubles: new ledger rows, retrying or archived, for the others of ``closed``.
        settles: the ends of claims, for deliveries that came from the retry scheduler.
    """

    attempt: Attempt | None = None
    closed: tuple[tuple[str, int, str], ...] = ()
    delivered: dict[str, int] = {}
    again: dict[str, int] = {}
    troubles: tuple[Trouble, ...] = ()
    settles: tuple[Settle, ...] = ()


class Judged(Report, frozen=True, kw_only=True):
    """A validator's word to the archiver: its source was read up to ``upto``, with these fates.

    Attributes:
        violated: what is kept of broken contracts.
        counts: (scope, name) to what is added to it: broken contracts, kept or not.
        windows: states that are other than before; absolute.
    """

    source: str
    after: int
    upto: int
    passed: int = 0
    derived: int = 0
    blocked: int = 0
    dropped: int = 0
    failed: int = 0
    troubles: tuple[Trouble, ...] = ()
    violated: tuple[Violated, ...] = ()
    counts: dict[tuple[str, str], int] = {}
    windows: tuple[WindowState, ...] = ()
