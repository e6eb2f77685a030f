"""The engine at a glance: reads the tree, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus, source_tallies, tallies
from engine.store.base import Snapshot

if TYPE_CHECKING:
    from actors.tree import Tree


async def overview(tree: Tree) -> Status:
    """Return the status of a running tree; counts are as of the last maintenance transaction."""
    books = await tree.store.meta.snapshot()
    states = tree.supervisor.states()
    usage = tree.store.usage()
    return Status(
        running=True,
        last=tree.store.last,
        used=usage.used,
        free=usage.free,
        full=usage.full,
        remembered=len(tree.intake.seen),
        forgotten=tree.intake.seen.early,
        sources=tuple(_source(tree, name, books.counts) for name in tree.plan.sources),
        syncs=tuple([await _sync(tree, name, books) for name in tree.plan.syncs]),
        destinations=tuple(_destination(tree, name) for name in tree.plan.destinations),
        restarts={name: state.restarts for name, state in states.items() if state.restarts},
    )


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


async def _sync(tree: Tree, name: str, books: Snapshot) -> SyncStatus:
    waiting = books.waiting.get(name)
    pending = len(books.progress[name].open) + (waiting.count if waiting else 0)
    sync = tree.plan.syncs[name]
    port = tree.ports[sync.destination]
    latency = port.latency[name]
    since = [*await _unsettled(tree, name), *([waiting.since] if waiting else [])]
    return SyncStatus(
        name=name,
        source=sync.source,
        destination=sync.destination,
        state="paused" if tree.gates[name].shut else tree.supervisor.states()[f"router.{name}"].condition,
        lag=max(tree.passed[sync.source].position - tree.routed[name].position, 0),
        open=len(tree.books.syncs[name].open),
        oldest_pending=max(tree.clock.wall() - min(since), 0.0) if since else None,
        last_delivery=port.last_delivery.get(name),
        p50=latency.quantile(0.5),
        p99=latency.quantile(0.99),
        **tallies(books.counts, name, pending=pending),
    )


async def _unsettled(tree: Tree, name: str) -> list[float]:
    """Return when the oldest open delivery's event, and the first that the router has not read, were received."""
    source = tree.plan.syncs[name].source
    places = [position for position, _ in tree.books.syncs[name].open]
    spans = [(min(places) - 1, min(places))] if places else []
    if tree.passed[source].position > tree.routed[name].position:
        spans.append((tree.routed[name].position, tree.passed[source].position))
    found = [await tree.store.read(source, after, upto, 1) for after, upto in spans]
    return [events[0].envelope.received_at for events in found if events]


def _destination(tree: Tree, name: str) -> DestinationStatus:
    port = tree.ports[name]
    condition = tree.supervisor.states()[f"sender.{name}"].condition
    return DestinationStatus(
        name=name,
        type=tree.plan.destinations[name].type,
        state=port.breaker.state if condition == "running" else condition,
        reason=port.breaker.reason,
        waiting=port.lanes.waiting,
        in_flight=port.lanes.in_hand,
        next_due=tree.store.next_due(name),
    )
