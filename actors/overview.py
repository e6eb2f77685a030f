"""The engine at a glance: reads the tree, changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine import __version__
from engine.observe.latency import Histogram
from engine.observe.metrics import Inside
from engine.observe.sampling import BOUNDS, Reading
from engine.observe.status import (
    DestinationStatus,
    HotKey,
    OrderStatus,
    SourceStatus,
    Status,
    SyncStatus,
    source_tallies,
    tallies,
)
from engine.runtime.pace import Paces
from engine.store.base import Snapshot

if TYPE_CHECKING:
    from actors.tree import Tree


async def overview(tree: Tree) -> Status:
    """Return the status of a running tree; counts are as of the last maintenance transaction."""
    while True:  # what a reload took apart meanwhile is looked at anew
        if tree.frozen is not None:
            return tree.frozen
        plan = tree.plan
        books = await tree.store.meta.snapshot()
        if tree.frozen is None and tree.plan is plan:
            since = await _unsettled(tree, {name: _spans(tree, name) for name in plan.syncs})
            if tree.frozen is None and tree.plan is plan:
                return _status(tree, books, since)


def _status(tree: Tree, books: Snapshot, since: Mapping[str, Sequence[float]]) -> Status:
    states = tree.supervisor.states()
    usage = tree.store.usage()
    syncs = tuple([_sync(tree, name, books, since[name]) for name in tree.plan.syncs])
    return Status(
        running=True,
        last=tree.store.last,
        used=usage.used,
        free=usage.free,
        full=usage.full,
        problems=tree.reloader.refused,
        remembered=len(tree.intake.seen),
        forgotten=tree.intake.seen.early,
        sources=tuple(_source(tree, name, books.counts) for name in tree.plan.sources),
        syncs=syncs,
        destinations=tuple(_destination(tree, name, syncs) for name in tree.plan.destinations),
        restarts={name: state.restarts for name, state in states.items() if state.restarts},
    )


def inside(tree: Tree) -> Inside:
    """Return what a scrape tells beside the status."""
    sent = Histogram()
    for port in tree.ports.values():
        sent.merge(port.sent)
    store = tree.plan.config.store
    return Inside(
        version=__version__,
        delivered={name: port.latency[name] for port in tree.ports.values() for name in port.latency},
        stages={"durable": tree.intake.latency, **tree.stages, "sent": sent},
        loop_lag=tree.pulse.lag,
        responses=dict(tree.books.responses),
        outcomes=dict(tree.books.troubled),
        restarts={name: state.restarts for name, state in tree.supervisor.states().items()},
        connections=tree.receiver.streams,
        limit=int(store.retention.size) + int(store.archive.size),
        reserve=int(store.reserve),
    )


async def reading(tree: Tree) -> Reading:
    """Return the counters that a chart is made of; what the books hold is as of the last maintenance transaction."""
    counts = await tree.store.meta.counts()
    latencies = [latency for port in tree.ports.values() for latency in port.latency.values()]
    within = [sum(column) for column in zip(*(each.upto(BOUNDS) for each in latencies), strict=True)]
    doors = [door.counts for door in tree.doors.values()]
    return Reading(
        at=tree.clock.monotonic(),
        wall=tree.clock.wall(),
        read=sum(door.read for door in doors),
        refused=sum(sum(door.refused.values()) for door in doors),
        delivered=sum(count for (scope, name), count in counts.items() if _of_sync(scope) and name == "delivered"),
        archived=sum(count for (scope, name), count in counts.items() if _of_sync(scope) and name == "archived"),
        within=within,
        arrived=sum(latency.count for latency in latencies),
    )


def _of_sync(scope: str) -> bool:
    return scope.startswith("sync:")


def _source(tree: Tree, name: str, counts: dict[tuple[str, str], int]) -> SourceStatus:
    door = tree.doors[name].counts
    return SourceStatus(
        name=name,
        state="attention" if tree.runners[name].attention else tree.supervisor.states()[f"validator.{name}"].condition,
        reason=tree.runners[name].attention,
        read=door.read,
        refused=dict(door.refused),
        duplicate=door.duplicate,
        accepted=door.accepted,
        lag=max(tree.received[name].position - tree.judged[name].position, 0),
        **source_tallies(counts, name),
    )


def _sync(tree: Tree, name: str, books: Snapshot, unsettled: Sequence[float]) -> SyncStatus:
    waiting = books.waiting.get(name)
    pending = len(books.progress[name].open) + (waiting.count if waiting else 0)
    sync = tree.plan.syncs[name]
    port = tree.ports[sync.destination]
    latency = port.latency[name]
    since = [*unsettled, *([waiting.since] if waiting else [])]
    lag = max(tree.passed[sync.source].position - tree.routed[name].position, 0)
    return SyncStatus(
        name=name,
        source=sync.source,
        destination=sync.destination,
        state=_state(tree, name),
        lag=lag,
        drain=_drain(tree, name, lag, pending),
        order=_order(tree, name),
        open=len(tree.books.syncs[name].open),
        oldest_pending=max(tree.clock.wall() - min(since), 0.0) if since else None,
        last_delivery=port.last_delivery.get(name),
        p50=latency.quantile(0.5),
        p99=latency.quantile(0.99),
        **tallies(books.counts, name, pending=pending),
    )


def _drain(tree: Tree, name: str, lag: int, pending: int) -> float | None:
    """Return the seconds until nothing is left of a sync's backlog, as it goes now; None if it stands."""
    held_back = tree.gates[name].shut or tree.ports[tree.plan.syncs[name].destination].breaker.state != "closed"
    if (lag or pending) and held_back:
        return None
    return tree.paces.get(name, Paces()).drain(tree.clock.monotonic(), lag, pending)


def _order(tree: Tree, name: str) -> OrderStatus | None:
    ordering = tree.orderings.by_sync.get(name)
    if ordering is None:
        return None
    turns = ordering.turns
    return OrderStatus(
        keys=len(turns.lines),
        standing=turns.standing,
        parked=turns.parked,
        unkeyed=ordering.unkeyed,
        hot=tuple(HotKey(key=one.key, waiting=one.waiting, head=one.head) for one in turns.longest()),
    )


def _state(tree: Tree, name: str) -> str:
    sync = tree.plan.syncs[name]
    if tree.gates[name].shut:
        return "paused"
    if tree.switches.off(sync) or not sync.enabled:
        return "disabled"
    return tree.supervisor.states()[f"router.{name}"].condition


Spans = list[tuple[str, int, int]]
"""Each a source, and two positions between which its first event is looked at."""


def _spans(tree: Tree, name: str) -> Spans:
    """Return where the oldest open delivery's event is, and the first that the router has not read."""
    source = tree.plan.syncs[name].source
    places = [position for position, _ in tree.books.syncs[name].open]
    spans = [(source, min(places) - 1, min(places))] if places else []
    if tree.passed[source].position > tree.routed[name].position:
        spans.append((source, tree.routed[name].position, tree.passed[source].position))
    return spans


async def _unsettled(tree: Tree, spans: Mapping[str, Spans]) -> dict[str, list[float]]:
    """Return by sync when the events that its spans begin with were received."""
    since: dict[str, list[float]] = {}
    for name, own in spans.items():
        found = [await tree.store.read(source, after, upto, 1) for source, after, upto in own]
        since[name] = [events[0].envelope.received_at for events in found if events]
    return since


def _destination(tree: Tree, name: str, syncs: Sequence[SyncStatus]) -> DestinationStatus:
    port = tree.ports[name]
    state: str = tree.supervisor.states()[f"sender.{name}"].condition
    if state == "running":
        state = "disabled" if name in tree.switches.destinations else port.breaker.state
    own = [sync for sync in syncs if sync.destination == name]
    probe_at = port.breaker.next_probe
    return DestinationStatus(
        name=name,
        type=tree.plan.destinations[name].type,
        state=state,
        reason=port.breaker.reason,
        waiting=port.lanes.waiting,
        in_flight=port.lanes.in_hand,
        next_due=tree.store.next_due(name),
        held=sum(sync.pending + sync.lag for sync in own),
        oldest=max((sync.oldest_pending for sync in own if sync.oldest_pending is not None), default=None),
        max_age=tree.plan.destinations[name].policy.max_age,
        probe_in=None if probe_at is None else max(probe_at - tree.clock.monotonic(), 0.0),
        told_to_wait=port.limiter.wait_time if port.limiter.paused else 0.0,
    )
