"""Entries of the ledger as commands and the Admin REST show them; their JSON is an interface that others rely on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from engine.lang.dates import iso
from engine.messages import Attempt, Logged, Trouble
from engine.observe.advice import advice


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``errors list --json``.

    Attributes:
        event_id: the event's position in the log, as text.
        status: the last HTTP status; null if nothing came back or nothing was sent.
        first_at, last_at: ISO-8601, UTC.
    """

    id: str
    event_id: str
    message_id: str
    sync: str | None
    destination: str | None
    stage: str
    state: str
    reason: str
    attempts: int
    status: int | None
    first_at: str
    last_at: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: of the batch that the delivery was in."""

    at: str
    ms: float
    status: int | None
    error: str


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """What ``errors show --json`` prints.

    Attributes:
        event: as it was sent; null if neither entry nor log have it any more.
        payload: as it was mapped; null before the mapping.
        request, response: head and beginning of the body, as text; "" if there was none.
        due_at: of the next attempt; null if there will be none by itself.
        next: what to do.
        attempts: every one to this destination that had a delivery of this event in it, the oldest first.
    """

    id: str
    event_id: str
    message_id: str
    source: str
    sync: str | None
    event_type: str | None
    destination: str | None
    stage: str
    state: str
    reason: str
    next: str
    error: str
    trace: str
    tries: int
    received_at: str
    first_at: str
    last_at: str
    due_at: str | None
    key: str
    event: Any
    payload: Any
    request: str
    response: str
    attempts: tuple[Made, ...]


def entry(trouble: Trouble) -> Entry:
    """Return *trouble* as one line of a list."""
    return Entry(
        id=trouble.id,
        event_id=str(trouble.position),
        message_id=trouble.message_id,
        sync=trouble.sync or None,
        destination=trouble.destination or None,
        stage=trouble.stage,
        state=trouble.state,
        reason=trouble.reason,
        attempts=trouble.attempts,
        status=trouble.status or None,
        first_at=iso(trouble.first_at),
        last_at=iso(trouble.last_at),
    )


def whole(trouble: Trouble, event: bytes, attempts: Sequence[Attempt]) -> Whole:
    """Return all of *trouble*.

    Args:
        trouble: a row of the ledger.
        event: as it was sent; b"" if nothing has it any more.
        attempts: of its event, to whatever destination.
    """
    return Whole(
        id=trouble.id,
        event_id=str(trouble.position),
        message_id=trouble.message_id,
        source=trouble.source,
        sync=trouble.sync or None,
        event_type=trouble.event_type or None,
        destination=trouble.destination or None,
        stage=trouble.stage,
        state=trouble.state,
        reason=trouble.reason,
        next=advice(trouble),
        error=trouble.error,
        trace=trouble.trace,
        tries=trouble.attempts,
        received_at=iso(trouble.received_at),
        first_at=iso(trouble.first_at),
        last_at=iso(trouble.last_at),
        due_at=iso(trouble.due_at) if trouble.due_at else None,
        key=trouble.key,
        event=decoded(event),
        payload=decoded(trouble.payload),
        request=trouble.request.decode("utf-8", "replace"),
        response=trouble.response.decode("utf-8", "replace"),
        attempts=tuple(
            Made(at=iso(one.at), ms=round(one.seconds * 1000, 1), status=one.status or None, error=one.error)
            for one in attempts
            if one.destination == trouble.destination
        ),
    )


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``trace --user --json``."""

    event_id: str
    message_id: str
    source: str
    received_at: str
    type: str
    event: str


class Briefs(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a user's events, the newest first.

    Attributes:
        below: the position down to which was looked; ask for those below it next. 1 or less: that was all.
    """

    events: tuple[Brief, ...]
    below: int


def brief_of(logged: Logged) -> Brief:
    """Return an event in one line."""
    event = msgspec.json.decode(logged.raw)
    return Brief(
        event_id=str(logged.position),
        message_id=logged.envelope.message_id,
        source=logged.source,
        received_at=iso(logged.envelope.received_at),
        type=str(event.get("type") or ""),
        event=str(event.get("event") or event.get("name") or ""),
    )


def decoded(raw: bytes) -> Any:
    """Return what *raw* says as JSON; as text if it is none, and None for nothing."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw.decode("utf-8", "replace")
