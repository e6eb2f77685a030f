"""Where an event is, and why, in one sentence: what a trace comes to. Pure."""

from __future__ import annotations

from typing import Final

from engine.plan.tracing import Decided, Traced

WHY: Final = {
    "no_event_type": "none of its event types takes it",
    "disabled": "it is disabled",
    "integrations": "the event's own integrations leave it out",
    "consent": "the event's consent does not cover it",
    "erased": "the event was erased",
    "parked": "another delivery of its key goes first",
}
"""Reasons that a word alone does not tell."""
_ORDER: Final = ("archived", "pending", "waiting", "discarded", "delivered", "filtered")


def whereabouts(one: Traced) -> str:
    """Return where an event is, and why, as one sentence."""
    if one.fate != "passed":
        return _stopped(one)
    if one.error:
        return f"It was received, but {one.error}."
    if not one.syncs:
        return f"It passed source {one.source}, and no sync takes events from there."
    found = list(dict.fromkeys(_part(each) for each in sorted(one.syncs, key=_place)))
    return f"It {'; it '.join(found)}."


def _stopped(one: Traced) -> str:
    because = f": {one.reason}" if one.reason else ""
    match one.fate:
        case "waiting":
            return f"It is safe in the log and waits for source {one.source} to read it; nothing was sent yet."
        case "blocked":
            return f"The contract of source {one.source} stopped it{because}; nothing was sent."
        case "dropped":
            return f"A function of source {one.source} left it out; nothing was sent."
        case _:
            return f"Source {one.source} failed on it{because}; nothing was sent."


def _part(one: Decided) -> str:
    because = f": {WHY.get(one.reason, one.reason)}" if one.reason else ""
    place = f"{one.destination} (sync {one.sync})" if one.destination else f"sync {one.sync}"
    match one.fate:
        case "delivered":
            return f"arrived at {place}"
        case "pending":
            return f"waits to be sent to {place}{because}"
        case "waiting":
            return f"has not been read by sync {one.sync} yet"
        case "archived":
            return f"was archived on its way to {place}{because}"
        case "discarded":
            return f"was discarded on its way to {place}{because}"
        case _:
            return f"was filtered by sync {one.sync}{because}"


def _place(one: Decided) -> int:
    return _ORDER.index(one.fate) if one.fate in _ORDER else len(_ORDER)
