"""One event's way, from what the store has of it: received, source's stages, each sync's decision, every attempt. Pure.

What was delivered leaves no row behind: a delivery that is neither open nor in the ledger, and that the plan of the day
made, has arrived; an event of which that plan made none was filtered, for the reason that it gives.
"""

from __future__ import annotations

from typing import Any

import msgspec

from engine.messages import Event, State, Trouble, trouble_id
from engine.plan.again import restored
from engine.plan.compile import Plan
from engine.plan.sources import SourcePlan
from engine.plan.syncs import Route, SyncPlan
from engine.plan.then import Then
from engine.results import SOURCE_REMOVED
from engine.store.history import Facts


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One request that this event was in.

    Attributes:
        at: epoch seconds at which it began.
        seconds: how long it took.
        status: 0 if nothing came back, or the destination does not speak HTTP.
        error: "" if it went well.
    """

    at: float
    seconds: float
    status: int
    error: str = ""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync made of the event, one for each delivery; or why it made none.

    Attributes:
        fate: delivered | filtered | pending | archived | discarded | waiting (not read yet).
        reason: one documented code, or "".
        entry: the id in the ledger, for ``headrace errors show``; "" if it is not there.
        by_today: whether today's plan stands in for one that nobody knows any more.
        attempts: to its destination, of this event's deliveries, the oldest first.
    """

    sync: str
    fate: str
    reason: str = ""
    event_type: str = ""
    destination: str = ""
    message_id: str = ""
    key: str = ""
    entry: str = ""
    by_today: bool = False
    attempts: tuple[Tried, ...] = ()


class Traced(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        position: in the log.
        received_at: epoch seconds.
        client: ``browser`` or ``server``, by what the door noted.
        fate: what its source said: passed | blocked | dropped | failed | waiting.
        reason, error: why it went no further, or "".
        function: events that functions or a window made of it; None without any.
        event: as it was sent; None if nothing has it any more.
    """

    position: int
    message_id: str
    source: str
    received_at: float
    client: str
    fate: str
    reason: str = ""
    error: str = ""
    function: int | None = None
    syncs: tuple[Decided, ...] = ()
    event: Any = None


async def trace(facts: Facts, plan: Plan, then: Then, now: float) -> Traced | None:
    """Return the way of the event that *facts* are about; None if the log let it go.

    Args:
        facts: of its position.
        plan: today's.
        then: what decided on that day.
        now: epoch seconds.
    """
    logged = facts.logged
    if logged is None:
        return None
    head = Traced(
        position=logged.position,
        message_id=logged.envelope.message_id,
        source=logged.source,
        received_at=logged.envelope.received_at,
        client="browser" if logged.envelope.ip else "server",
        fate="passed",
        function=len(facts.result.events) if facts.result else None,
        event=msgspec.json.decode(logged.raw) if logged.raw else None,
    )
    source = plan.sources.get(logged.source)
    if facts.result is not None and facts.result.reason == SOURCE_REMOVED:
        return msgspec.structs.replace(head, fate="dropped", reason=SOURCE_REMOVED, function=None)
    if source is None:
        return msgspec.structs.replace(head, error=f"source '{logged.source}' is not in the configuration any more")
    # Its contract may be another one by now, and it may have had functions, or none.
    judged = await then.source(source.name, logged.position) or source
    stopped = _stopped(head, judged, facts, now)
    if stopped is not None:
        return stopped
    events = restored(judged, logged, facts.result, now)
    high = {page.sync: page.high for page in facts.progress if page.source == source.name}
    decided: list[Decided] = []
    for sync in (one for one in plan.syncs.values() if one.source == source.name):
        if high.get(sync.name, 0) < logged.position:
            decided.append(Decided(sync=sync.name, fate="waiting", destination=sync.destination))
            continue
        if await then.unread(sync, logged.position):
            continue
        was = await then.sync(sync.name, logged.position)
        for event in events:
            decided += _decided(event, (sync, was), facts, now)
    told = {one.entry for one in decided}  # a sync that is gone left what is kept of it
    decided += [_of_row(row, facts) for row in facts.troubles if row.sync and row.id not in told]
    return msgspec.structs.replace(head, syncs=tuple(decided))


def _stopped(head: Traced, source: SourcePlan, facts: Facts, now: float) -> Traced | None:
    """Return the event if it came no further than its source."""
    assert facts.logged
    row = next((one for one in facts.troubles if not one.sync), None)
    if row is not None:
        fate = "blocked" if row.state is State.BLOCKED else "failed"
        return msgspec.structs.replace(head, fate=fate, reason=row.reason, error=row.error)
    if facts.logged.position > facts.cursor:
        return msgspec.structs.replace(head, fate="waiting")
    if facts.result is not None:
        if facts.result.outcome != "passed":
            fates = {"dropped": ("dropped", "function"), "failed": ("failed", facts.result.reason)}
            fate, reason = fates[facts.result.outcome]
            return msgspec.structs.replace(head, fate=fate, reason=reason, error=facts.result.error)
        return None
    examined = source.examine(facts.logged, now)
    if isinstance(examined, Trouble):
        return msgspec.structs.replace(head, fate="blocked", reason=examined.reason, error=examined.error)
    if source.has_functions:  # today's contract lets it pass, that of the day did not: no function ever saw it
        return msgspec.structs.replace(head, fate="blocked", reason="contract_violation")
    return None


def _decided(event: Event, syncs: tuple[SyncPlan, SyncPlan | None], facts: Facts, now: float) -> list[Decided]:
    """Return what one sync decided on one event."""
    today, was = syncs
    own = [row for row in facts.troubles if row.sync == today.name and row.message_id == event.message_id]
    route: Route = (was or today).route(event, now)
    opened = {
        key for page in facts.progress if page.sync == today.name for at, key in page.open if at == event.position
    }
    decided = [_of_row(row, facts) for row in own]
    known = {row.id for row in own}
    for one in route.deliveries:
        if trouble_id(one.position, one.key) in known:
            continue
        made = Decided(
            sync=today.name,
            fate="pending" if one.key in opened else "delivered",
            event_type=one.event_type,
            destination=one.destination,
            message_id=one.message_id,
            key=one.key,
            by_today=was is None,
            attempts=_attempts(facts, one.destination),
        )
        if made.fate == "delivered" and not made.attempts:  # no request was ever made: an operator had switched it off
            made = msgspec.structs.replace(made, fate="filtered", reason="disabled", event_type="", key="")
        decided.append(made)
    return decided or [_undelivered(event, (today, was), route, facts, now)]


def _undelivered(
    event: Event, syncs: tuple[SyncPlan, SyncPlan | None], route: Route, facts: Facts, now: float
) -> Decided:
    """Return what is said of an event of which the plan of the day made no delivery: unless a replay did, later.

    A replay's delivery that arrived leaves attempts and no entry; today's plan takes the event, then.
    """
    today, was = syncs
    reason = route.reason or (route.troubles[0].reason if route.troubles else "")
    head = Decided(
        sync=today.name,
        fate="filtered" if route.reason else "archived",
        reason=reason,
        message_id=event.message_id,
        by_today=was is None,
    )
    attempts = _attempts(facts, today.destination)
    made = today.route(event, now).deliveries if attempts else ()
    if not made:
        return head
    return msgspec.structs.replace(
        head,
        fate="delivered",
        reason="replayed",
        event_type=made[0].event_type,
        destination=made[0].destination,
        key=made[0].key,
        attempts=attempts,
    )


def _of_row(row: Trouble, facts: Facts) -> Decided:
    fates = {State.RETRYING: "pending", State.ARCHIVED: "archived", State.DISCARDED: "discarded"}
    return Decided(
        sync=row.sync,
        fate=fates.get(row.state, str(row.state)),
        reason=row.reason,
        event_type=row.event_type,
        destination=row.destination,
        message_id=row.message_id,
        key=row.key,
        entry=row.id,
        attempts=_attempts(facts, row.destination),
    )


def _attempts(facts: Facts, destination: str) -> tuple[Tried, ...]:
    return tuple(
        Tried(at=one.at, seconds=one.seconds, status=one.status, error=one.error)
        for one in facts.attempts
        if one.destination == destination
    )
