"""What became of the events that a tap has kept: found out when somebody looks, by the plan that decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from engine.messages import Event, Logged, Result, Trouble
from engine.observe.shown import Seen
from engine.observe.tap import Turned
from engine.plan import SourcePlan, SyncPlan
from engine.plan.syncs import Route, disabled
from engine.store.base import Store

Kept = tuple[int, Logged | Turned]
Off = Callable[[SyncPlan, int], bool]
"""Tells whether an operator had disabled a sync when it read the event at a position."""


class Looker:
    """Looks at the events of one source, or of one of its syncs. Functions are not run again: their results are read.

    Args:
        source: compiled.
        sync: compiled, or None for the source itself.
        now: epoch seconds.
        off: which events met a sync that was disabled.
    """

    def __init__(self, source: SourcePlan, sync: SyncPlan | None, now: float, off: Off) -> None:
        self._source = source
        self._sync = sync
        self._now = now
        self._off = off

    async def look(self, kept: Iterable[Kept], store: Store) -> tuple[Seen, ...]:
        """Return what is to be shown of *kept*."""
        kept = list(kept)
        results: dict[int, Result] = {}
        if self._source.keeps_results:
            results = await store.results([each.position for _, each in kept if isinstance(each, Logged)])
        return tuple(seen for n, each in kept for seen in self._seen(n, each, results))

    def _seen(self, n: int, each: Logged | Turned, results: dict[int, Result]) -> Iterable[Seen]:
        if isinstance(each, Turned):
            return [] if self._sync else [_turned(n, each)]
        examined = self._source.examine(each, self._now)
        seen = Seen(n=n, at=each.envelope.received_at, message_id=each.envelope.message_id, verdict="passed")
        if isinstance(examined, Trouble):
            told = {"verdict": str(examined.state), "reason": examined.reason, "message": examined.error}
            return [msgspec.structs.replace(seen, event=msgspec.json.decode(each.raw), **told)]
        seen = msgspec.structs.replace(seen, event=examined)
        if not self._source.keeps_results:
            return self._routed(seen, self._source.events(each, examined))
        result = results.get(each.position)
        if result is None:
            return [msgspec.structs.replace(seen, verdict="accepted")]
        if result.outcome == "failed":
            error = result.error.rpartition("\n")[2]
            return [msgspec.structs.replace(seen, verdict="archived", reason="function_failed", message=error)]
        events = self._source.restored(each, result)
        return self._routed(seen, events) or [msgspec.structs.replace(seen, verdict="filtered", reason="function")]

    def _routed(self, seen: Seen, events: Iterable[Event]) -> list[Seen]:
        """Return *seen* as often as it is delivered, or once, with the reason why it is not."""
        if self._sync is None:
            return [msgspec.structs.replace(seen, event=event.body) for event in events]
        shown: list[Seen] = []
        for event in events:
            taken = routed(self._sync, event, self._now, self._off)
            one = msgspec.structs.replace(seen, event=event.body)
            told: list[dict[str, Any]] = [
                {"verdict": "deliver", "event_type": each.event_type, "payload": each.body()}
                for each in taken.deliveries
            ]
            told += [
                {"verdict": "archived", "event_type": each.event_type, "reason": each.reason, "message": each.error}
                for each in taken.troubles
            ]
            told = told or [{"verdict": "filtered", "reason": taken.reason}]
            shown += [msgspec.structs.replace(one, **facts) for facts in told]
        return shown


def routed(sync: SyncPlan, event: Event, now: float, off: Off) -> Route:
    """Return what became of *event* in *sync*."""
    return disabled(event, now) if off(sync, event.position) else sync.route(event, now)


def _turned(n: int, each: Turned) -> Seen:
    try:
        event = msgspec.json.decode(each.raw) if each.raw else None
    except (msgspec.DecodeError, ValueError, RecursionError):
        event = each.raw.decode("utf-8", "replace")
    return Seen(
        n=n,
        at=each.at,
        message_id=each.message_id,
        verdict=each.verdict,
        reason=each.code,
        message=each.message,
        event=event,
    )
