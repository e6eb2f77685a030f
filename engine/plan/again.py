"""What a replay makes of one entry or event: pure decisions, counted by sync.

A delivery that is replayed is what today's plan, or the one of the day, makes of the event as its sync reads it. It
keeps its idempotency key if its payload has the same bytes as before; else the replay's number is appended, so that a
destination takes it for a new one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from engine.messages import Delivery, Envelope, Event, Logged, Result, Stage, State, Trouble, trouble_id
from engine.plan.sources import SourcePlan
from engine.plan.syncs import Route, SyncPlan, disabled
from engine.store.replays import Became, Wish
from engine.store.tally import trouble_of

REPLAYED = "replayed"
"""The reason of a row that a replay made and nobody has tried yet."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and when.

    Attributes:
        number: of the replay.
        now: epoch seconds.
        revision: the number of the plan that maps.
    """

    wish: Wish
    number: int
    now: float
    revision: int = 0


class Made(msgspec.Struct, kw_only=True):
    """What one entry or event came to.

    Attributes:
        again: rows to write.
        became: by sync.
        ended: entries of the source's stages that go.
        counts: by (scope, name).
        results: what functions made of it this time.
    """

    again: list[Trouble] = []
    became: dict[str, Became] = {}
    ended: list[str] = []
    counts: dict[tuple[str, str], int] = {}
    results: list[Result] = []

    def of(self, sync: str) -> Became:
        """Return the counts of one sync."""
        return self.became.setdefault(sync, Became())

    def count(self, scope: str, name: str, much: int = 1) -> None:
        """Add to a count of the books."""
        self.counts[scope, name] = self.counts.get((scope, name), 0) + much


def restored(
    source: SourcePlan, logged: Logged, result: Result | None, now: float, judged: SourcePlan | None = None
) -> tuple[Event, ...]:
    """Return what passed at the source of one log row, as syncs read it; nothing if it was stopped there.

    Args:
        source: examines an event that no function saw.
        logged: the row.
        result: what functions or windows made of it, if that is kept.
        now: epoch seconds.
        judged: the source as it was on that day, if it is known and another: it may have had functions, or none.
    """
    if result is not None:
        return source.restored(logged, result)
    if (judged or source).has_functions:
        return ()
    examined = source.examine(logged, now)
    return () if isinstance(examined, Trouble) else source.events(logged, examined)


def passed(source: SourcePlan, logged: Logged, now: float) -> bool:
    """Return whether an event of which no result is kept had passed at its source."""
    return not source.has_functions and not isinstance(source.examine(logged, now), Trouble)


def logged_of(trouble: Trouble) -> Logged:
    """Return the event of an entry that has its own copy, as the log had it but for what the door knew besides."""
    envelope = Envelope(message_id=trouble.message_id, received_at=trouble.received_at)
    return Logged(position=trouble.position, source=trouble.source, raw=trouble.event, envelope=envelope)


def own_event(trouble: Trouble) -> Event | None:
    """Return the event of an entry whose mapping failed: it was kept as its sync had read it."""
    if trouble.stage is not Stage.MAPPING or not trouble.event:
        return None
    body: dict[str, Any] = msgspec.json.decode(trouble.event)
    return Event(position=trouble.position, message_id=trouble.message_id, received_at=trouble.received_at, body=body)


def entry_again(trouble: Trouble, event: Event, sync: SyncPlan, asked: Asked, made: Made) -> None:
    """Replay an entry of a sync: it moves back to pending, or stays in the archive with what today's plan says.

    If today another event type takes the event, its delivery takes the place, and the entry is discarded.
    """
    became = made.of(sync.name)
    route = sync.route(event, asked.now)
    own = [one for one in route.deliveries if _same(one, trouble)]
    failed = [one for one in route.troubles if _same(one, trouble)]
    if own:
        was = trouble.payload or own[0].payload
        made.again.append(_pending(own[0], was, trouble, asked, became))
    elif failed:
        became.failed += 1
        made.again.append(_still(trouble, failed[0], asked))
    elif sync.match == "first" and route.deliveries:
        other = _pending(route.deliveries[0], route.deliveries[0].payload, None, asked, became)
        made.again.append(msgspec.structs.replace(other, event=trouble.event))  # the log may have let it go
        made.again.append(msgspec.structs.replace(trouble, state=State.DISCARDED, last_at=asked.now, due_at=0.0))
    else:
        became.filtered += 1


def _same(one: Delivery | Trouble, row: Trouble) -> bool:
    """Return whether *row* is the entry of a delivery or failure, of the same event and sync.

    Its key may be another one: a sync that was renamed leaves its rows the keys that they have.
    """
    if row.event_type:
        return one.event_type == row.event_type
    return trouble_id(one.position, one.key) == row.id


def event_again(event: Event, syncs: tuple[SyncPlan, SyncPlan | None], there: Place, asked: Asked, made: Made) -> None:
    """Replay an event of the log for one sync, if what became of it there is meant: a new delivery.

    Args:
        event: as the sync read it.
        syncs: as it maps now, and as it decided then; None if nobody knows any more.
        there: what the store has of the event's position.
        asked: for what.
        made: grows.
    """
    today, then = syncs
    before = disabled(event, asked.now) if there.off else then.route(event, asked.now) if then else Route()
    fate = "filtered" if before.reason else "delivered"
    if fate not in asked.wish.fates or asked.wish.reason not in ("", before.reason):
        return
    became = made.of(today.name)
    former = {one.event_type: one for one in before.deliveries}
    route = today.route(event, asked.now)
    for each in route.deliveries:
        was = former.get(each.event_type)
        # A sync that was renamed since had another key, which the destination knows.
        delivery = msgspec.structs.replace(each, key=was.key) if was else each
        row = there.row(delivery)
        if row == "pending":
            became.pending += 1
        elif not row:
            payload = was.payload if was else delivery.payload if fate == "filtered" else b""
            made.again.append(_pending(delivery, payload, None, asked, became))
    failed = [one for one in route.troubles if there.entry(one) is None]
    became.failed += len(failed)
    made.again += failed
    became.filtered += not route.deliveries and not route.troubles


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of some positions beside their events.

    Attributes:
        rows: ledger rows by id.
        open: (position, key) of what is on its way.
        off: whether an operator had switched the sync off when it read them.
    """

    rows: Mapping[str, Trouble]
    open: Collection[tuple[int, str]]
    off: bool = False

    def row(self, delivery: Delivery) -> str:
        """Return ``pending``, ``ended``, or "" if neither ledger nor books know of the delivery."""
        if (delivery.position, delivery.key) in self.open:
            return "pending"
        row = self.entry(delivery)
        if row is None:
            return ""
        return "pending" if row.state is State.RETRYING else "ended"

    def entry(self, one: Delivery | Trouble) -> Trouble | None:
        """Return the ledger row of a delivery or failure, by whatever key it has."""
        mine = (row for row in self.rows.values() if (row.sync, row.message_id) == (one.sync, one.message_id))
        return next((row for row in mine if _same(one, row)), None)


def source_again(
    trouble: Trouble, events: Sequence[Event], syncs: Sequence[SyncPlan], asked: Asked, made: Made
) -> None:
    """Replay an entry of the source's stages, whose event passes now: each sync reads it as if it had passed then.

    The books move with it: what was blocked or failed has passed, and every sync that was past its position has
    filtered or matched it. A sync that lags behind reads it from the log by itself.
    """
    scope = f"source:{trouble.source}"
    made.ended.append(trouble.id)
    made.count(scope, "blocked" if trouble.state is State.BLOCKED else "failed", -1)
    made.count(scope, "passed" if events else "dropped", len(events) or 1)
    made.count(scope, "derived", sum(event.n > 0 for event in events))
    made.of("").filtered += not events
    for sync in syncs:
        for event in events:
            _read(event, sync, asked, made)


def _read(event: Event, sync: SyncPlan, asked: Asked, made: Made) -> None:
    became, scope = made.of(sync.name), f"sync:{sync.name}"
    route = sync.route(event, asked.now)
    if route.reason:
        made.count(scope, f"filtered.{route.reason}")
        became.filtered += 1
        return
    made.count(scope, "matched")
    became.failed += len(route.troubles)
    made.again += route.troubles
    made.again += [_pending(one, one.payload, None, asked, became) for one in route.deliveries]


def _pending(delivery: Delivery, was: bytes, row: Trouble | None, asked: Asked, became: Became) -> Trouble:
    """Return the row of a delivery that is due now, outside any order.

    Args:
        delivery: as it is mapped now.
        was: the payload that went by the key it had; the same if none did.
        row: the entry that it was; None for a new one.
        asked: for what.
        became: grows.
    """
    other = delivery.payload != was
    became.sent += 1
    became.changed += other
    key = row.key if row else delivery.key
    if other and not asked.wish.same_keys:
        key = f"{key.partition(';')[0]};r{asked.number}"
    replay = asked.number if other else row.replay if row else 0
    bare = trouble_of(delivery, asked.now, reason=REPLAYED, error=f"replay {asked.number} sends it again")
    return msgspec.structs.replace(
        bare,
        id=trouble_id(delivery.position, key),
        key=key,
        attempts=0,
        first_at=asked.now,
        due_at=asked.now,
        again_at=asked.now,
        excused=0.0,
        turn="",
        event=row.event if row else b"",
        request=row.request if row else b"",
        response=row.response if row else b"",
        revision=asked.revision,
        replay=replay,
    )


def _still(trouble: Trouble, failed: Trouble, asked: Asked) -> Trouble:
    """Return an entry that failed again: its own, with what failed now."""
    return msgspec.structs.replace(
        trouble,
        state=State.ARCHIVED,
        stage=failed.stage,
        reason=failed.reason,
        error=failed.error,
        trace=failed.trace,
        last_at=asked.now,
    )
