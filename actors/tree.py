"""The whole machine on one page: every actor, every channel, who feeds whom. Sinks first.

    clients ─▶ receiver ─▶ validator ─▶ router ─▶ sender ─▶ the destination
                  │            │ one per   │ one      │ one per     ▲
                  │            │ source    │ per sync │ destination │ due
                  ▼            ▼           ▼          ▼             │
                store ◀──────────────── archiver            retry scheduler ◀── store

Left to right, and down: no channel leads back, the store is the only way back. Marks, gates, limiters, breakers, lanes
and books belong to the tree and outlive the actors that use them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import msgspec
import structlog
import trio

from actors import fittings, sender
from actors.alerts import Alerts
from actors.archiver import PLACES, Archiver, Looks
from actors.console import Console
from actors.console.audit import Audit
from actors.expiry import oldest_of
from actors.follower import Follower
from actors.functions import Runner
from actors.maintenance import Maintenance
from actors.operator import BY_OPERATOR, DISABLED, Operator
from actors.ordering import Orderings, Way
from actors.port import Outlets as SenderOutlets
from actors.port import Port
from actors.pulse import Pulse
from actors.reader import Reader
from actors.receiver import Receiver
from actors.receiver.doors import Door
from actors.receiver.intake import Intake
from actors.reloading import Reloader
from actors.replayer import Around, Replayer
from actors.retry import LANE, Retry
from actors.router import Outlets as RouterOutlets
from actors.router import Router, router_reader
from actors.validator import Outlets as ValidatorOutlets
from actors.validator import Validator, validator_reader
from engine.messages import Passed, Report, Span
from engine.observe.latency import Histogram
from engine.observe.status import Status
from engine.plan import DestinationPlan, Plan, SourcePlan, SyncPlan
from engine.plan.eras import Eras
from engine.plugin import Direct, Source
from engine.results import WindowState
from engine.runtime.bell import Bell
from engine.runtime.breaker import Breaker, Change
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.downtime import Downtime
from engine.runtime.gate import Gate
from engine.runtime.lanes import Lanes
from engine.runtime.limiter import Limiter
from engine.runtime.mark import Mark
from engine.runtime.pace import Paces
from engine.runtime.room import Room
from engine.runtime.supervisor import Child, Supervisor
from engine.store.base import Progress, Store
from engine.store.pages import Books
from engine.store.start import Beginning
from engine.store.switched import Switches
from engine.store.tally import Work
from engine.store.watermark import Watermark

RAW_EVENTS = 4096
"""Events that wait for a validator, as bytes; beyond them it lags, and reads the log."""
DECODED_EVENTS = 2048
"""Events that wait for a router, decoded once for all routers; more would make the garbage collector's pauses felt."""
REPORTS = 8192
"""Reports that wait for the archiver: above `PLACES`, so that an outcome with a place never waits."""
LANE_PLACES = 1024
"""Deliveries that wait for a sender, per sync; with `PLACES` below the 4,096 that a progress row may hold open."""

PLUGINS_CLOSE = 5.0
"""Seconds that destinations which do not speak HTTP have, together, to let go of what they hold."""

log = structlog.get_logger()


class Tree:
    """One running engine.

    Args:
        plan: what to run.
        store: opened, and owned by this process.
        beginning: where everybody stands, as `engine.store.start` read it.
        clock: wall and monotonic time.
        shapes: in which clients may send over HTTP.
        roll: returns a number in [0, 1).
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        beginning: Beginning,
        clock: Clock,
        shapes: Sequence[Source],
        roll: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.store = store
        self.clock = clock
        self.roll = roll
        self.stages = {stage: Histogram() for stage in ("validated", "routed")}
        self.pulse = Pulse(clock)
        self.bell = Bell()
        self.places = Room(PLACES)
        self.books = Books(beginning.cursors.values(), beginning.progress.values())
        self.written = Watermark(0)
        self.paces: dict[str, Paces] = {}
        self.reports: Inbox[Report] = Inbox("archiver", REPORTS)
        self._name_parts()
        self.orderings = Orderings(self._way, self.bell, beginning.turns)
        self.switches = Switches(beginning.disabled)
        new_message_id = partial(fittings.new_id, random.SystemRandom())
        self.intake = Intake(store, self.doors, beginning.seen, clock, new_message_id, fittings.terms(plan))
        self._fill(beginning)
        self._hold_back(beginning)
        self.intake.rekey()
        self.receiver = Receiver(plan.config.receiver, self.intake, shapes, clock, fittings.tls(plan))
        self.frozen: Status | None = None
        self.reloader = Reloader(self)
        around = Around(free=self._free_for_due, beside=fittings.beside(self.routed, self.offers, self.switches))
        self.replayer = Replayer(store, lambda: self.plan, around, partial(Runner, clock=clock), clock)
        self.operator = Operator(self)
        self.alerts = Alerts(lambda: self.plan.config.alerts, self.operator.status, store.meta, clock)
        self.console = self._made_console(plan)
        self.retry = Retry(store, self.lanes, self.bell, clock, self.orderings, self.reports)
        expire = oldest_of(self.ports, self.operator.status) if plan.config.store.on_full == "archive_oldest" else None
        self.maintenance = Maintenance(store, beginning.retention, clock, expire)
        store.on_due = lambda _destination: self.bell.ring()
        store.on_moved = self.orderings.moved
        self.supervisor = Supervisor(self._children(), on_event=fittings.tell)

    def _name_parts(self) -> None:
        """Begin with no parts; what stays over a reload is what has the same name."""
        self.ports: dict[str, Port] = {}
        self.lanes: dict[str, Lanes[Work]] = {}
        self.doors: dict[str, Door] = {}
        self.received: dict[str, Mark] = {}
        self.judged: dict[str, Mark] = {}
        self.passed: dict[str, Mark] = {}
        self.routed: dict[str, Mark] = {}
        self.gates: dict[str, Gate] = {}
        self.eras: dict[str, Eras] = {}
        self.runners: dict[str, Runner] = {}
        self.readers: dict[str, Reader] = {}
        self.spans: dict[str, Inbox[Span]] = {}
        self.offers: dict[str, Inbox[Passed]] = {}
        self.fed: dict[str, list[Inbox[Passed]]] = {}
        self.reopened: dict[str, set[tuple[int, str]]] = {}
        self.known: dict[str, frozenset[str]] = {}

    def _fill(self, beginning: Beginning) -> None:
        """Open the parts of every name of the plan, sinks first."""
        plan = self.plan
        for name in plan.destinations:
            self.add_destination(name)
        for name, source in plan.sources.items():
            eras = Eras(source, beginning.eras.get(name, ()))
            self.add_source(eras, beginning.cursor(name), beginning.windows)
        for name, page in beginning.progress.items():
            self.add_sync(page, known=beginning.known.get(name, frozenset()))

    def _hold_back(self, beginning: Beginning) -> None:
        """Let what an operator paused or disabled be so."""
        for name in beginning.paused_syncs & self.gates.keys():
            self.gates[name].close()
        for name in beginning.paused_destinations & self.ports.keys():
            self.ports[name].breaker.pause(BY_OPERATOR)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop`, or until a trunk actor cannot be kept alive.

        Raises:
            TooManyRestarts: a trunk actor was given up; everything durable is in the store.
        """
        try:
            await self.supervisor.run(task_status=task_status)
        finally:
            for runner in self.runners.values():
                runner.kill()
            with trio.move_on_after(PLUGINS_CLOSE, shield=True):
                await self._close_plugins()

    def stop(self) -> None:
        """Drain: accept no more, acknowledge what is durable, finish what is in flight; the rest is in the store."""
        self.supervisor.stop()

    def stop_now(self) -> None:
        """End at once; what is durable is in the store."""
        self.supervisor.stop_now()

    async def _close_plugins(self) -> None:
        for name, each in self.plan.destinations.items():
            if isinstance(each.destination, Direct):
                await self.close_plugin(name, each.destination)

    async def close_plugin(self, name: str, destination: Direct) -> None:
        """Let a destination that is not used any more let go of what it holds."""
        try:
            await destination.aclose()
        except Exception as error:  # noqa: BLE001 - foreign code, and nothing is left that it could harm
            log.warning("destination.close_failed", destination=name, error=repr(error))

    async def hold_status(self) -> None:
        """Let whoever asks for the status see it as it is now, until `release_status`: parts come and go."""
        self.frozen = await self.operator.status()

    def release_status(self) -> None:
        """Let the status be what it is."""
        self.frozen = None

    def add_destination(self, name: str) -> None:
        """Open the lanes of a destination of the plan, with its pace and its state."""
        plan = self.plan.destinations[name]
        downtime = Downtime(self.clock.wall())
        self.lanes[name] = Lanes(f"sender.{name}", LANE, (), LANE_PLACES)
        self.ports[name] = Port(
            lanes=self.lanes[name],
            limiter=Limiter(plan.rate, plan.burst, self.clock),
            breaker=Breaker(self.clock, fittings.thresholds(plan), partial(self._breaker_changed, name, downtime)),
            downtime=downtime,
            latency={},
        )
        if name in self.switches.destinations:
            self.ports[name].breaker.pause(DISABLED)

    def add_source(self, eras: Eras, cursor: int, windows: Iterable[WindowState], runner: Runner | None = None) -> None:
        """Open the door of a source, and the channel into its validator, which has come to *cursor*."""
        name, plan = eras.source, eras.now
        self.eras[name] = eras
        self.received[name] = Mark(self.store.last)
        self.judged[name], self.passed[name] = Mark(cursor), Mark(cursor)
        self.fed[name] = []
        self.spans[name] = Inbox(f"validator.{name}", RAW_EVENTS, fittings.events_in)
        self.runners[name] = runner or Runner(plan, self.clock, windows)
        self.doors[name] = Door(plan, self.spans[name], self.received[name])
        self.fit_reader(name)

    def fit_reader(self, name: str) -> None:
        """Let a source of the plan have its reader if its events lie in a file, else none."""
        source = self.plan.sources[name]
        self.readers.pop(name, None)
        if plugin := fittings.file_plugin(source):
            path = self.plan.loaded.folder / source.doorway.settings.path
            self.readers[name] = Reader(self.doors[name], path, plugin(), self.intake)

    def add_sync(self, page: Progress, known: frozenset[str] = frozenset()) -> None:
        """Open the channel into a sync's router, which has come to *page*, and its lane to the destination."""
        name, sync = page.sync, self.plan.syncs[page.sync]
        self.routed[name] = Mark(page.high)
        self.reopened[name], self.known[name] = set(page.open), known
        self.gates[name] = Gate()
        self.offers[name] = Inbox(f"router.{name}", DECODED_EVENTS, fittings.events_in)
        self.fed[sync.source].append(self.offers[name])
        self.lanes[sync.destination].add(name, self.gates[name])
        self.ports[sync.destination].latency[name] = Histogram()

    def remove_sync(self, name: str, source: str, destination: str) -> None:
        """Close what `add_sync` opened; its router has ended."""
        self.orderings.by_sync.pop(name, None)
        self.paces.pop(name, None)
        self.fed[source].remove(self.offers.pop(name))
        self.lanes[destination].remove(name)
        self.ports[destination].latency.pop(name)
        self.ports[destination].last_delivery.pop(name, None)
        for by_name in (self.routed, self.reopened, self.known, self.gates):
            by_name.pop(name)

    def remove_source(self, name: str) -> None:
        """Close what `add_source` opened; its validator has ended."""
        self.runners.pop(name).kill()
        for by_name in (self.eras, self.received, self.judged, self.passed, self.fed, self.spans):
            by_name.pop(name)
        self.doors.pop(name, None)
        self.readers.pop(name, None)
        self.books.cursors.pop(name, None)

    def remove_destination(self, name: str) -> None:
        """Close what `add_destination` opened; its sender has ended, and no sync goes there."""
        del self.ports[name], self.lanes[name]

    def _free_for_due(self) -> dict[str, int]:
        """Return the places that each destination has for what is due."""
        return {name: lanes[LANE].room.free for name, lanes in self.lanes.items()}

    def _children(self) -> list[Child]:
        """Return all actors, sink first: started left to right, stopped right to left."""
        reports = self.reports
        drain = float(self.plan.config.receiver.drain)
        return [
            Child(name="archiver", start=self._archiver, stop=reports.close, inbox=reports, drain=30.0, essential=True),
            Child(name="maintenance", start=self.maintenance.run, stop=self.maintenance.stop),
            *map(self.sender, self.plan.destinations),
            Child(name="replayer", start=self.replayer.run, stop=self.replayer.stop),
            Child(name="retry", start=self.retry.run, stop=self.retry.stop, essential=True),
            *map(self.router, self.offers),
            *map(self.validator, self.plan.sources),
            Child(name="receiver", start=self.receiver.run, stop=self.receiver.stop, drain=drain, essential=True),
            *map(self.reader, self.readers),
            Child(name="pulse", start=self.pulse.run, stop=self.pulse.stop),
            Child(name="alerts", start=self.alerts.run, stop=self.alerts.stop, drain=1.0),
            Child(name="console", start=self.console.run, stop=self.console.stop, drain=1.0),
            Child(name="reloader", start=self.reloader.run, stop=self.reloader.stop, drain=30.0, essential=True),
        ]

    def sender(self, name: str) -> Child:
        """Return the actor of a destination of the plan."""
        start = partial(self._sender, self.plan.destinations[name])
        return Child(name=f"sender.{name}", start=start, stop=self.ports[name].close, rank="senders")

    def router(self, name: str) -> Child:
        """Return the actor of a sync of the plan."""
        start, inbox = partial(self._router, self.plan.syncs[name]), self.offers[name]
        return Child(name=f"router.{name}", start=start, stop=inbox.close, inbox=inbox, drain=1.0, rank="routers")

    def validator(self, name: str) -> Child:
        """Return the actor of a source of the plan."""
        start, inbox = partial(self._validator, self.plan.sources[name]), self.spans[name]
        return Child(
            name=f"validator.{name}", start=start, stop=inbox.close, inbox=inbox, essential=True, rank="validators"
        )

    def reader(self, name: str) -> Child:
        """Return the actor that reads a source's file."""
        return Child(name=f"reader.{name}", start=self.readers[name].run, stop=self.readers[name].stop, rank="readers")

    async def _archiver(self) -> None:
        looks = Looks(written=self.written, paces=self.paces)
        await Archiver(self.reports, self.books, self.store, self.places, self.clock, looks).run()

    async def _validator(self, source: SourcePlan) -> None:
        name = source.name
        read = validator_reader(source, self.store)
        follower = Follower(self.spans[name], self.received[name], self.judged[name], read)
        outlets = ValidatorOutlets(
            archiver=self.reports,
            places=self.places,
            routers=self.fed[name],
            passed=self.passed[name],
            latency=self.stages["validated"],
        )
        await Validator(source, self.store, follower, outlets, self.runners[name]).run()

    async def _router(self, sync: SyncPlan) -> None:
        name = sync.name
        read = router_reader(self.eras[sync.source], self.store, self.clock)
        follower = Follower(self.offers[name], self.passed[sync.source], self.routed[name], read)
        outlets = RouterOutlets(
            archiver=self.reports,
            lanes=self.lanes[sync.destination],
            gate=self.gates[name],
            places=self.places,
            ordering=self.orderings.router(sync),
            off=partial(self.switches.off, sync),
            latency=self.stages["routed"],
        )
        await Router(sync, follower, outlets, self.clock, self.reopened[name], self.known[name]).run()

    async def _sender(self, plan: DestinationPlan) -> None:
        outlets = SenderOutlets(
            archiver=self.reports, places=self.places, bell=self.bell, log=self.store, orderings=self.orderings
        )
        await sender.Sender(plan, self.ports[plan.name], outlets, self.clock, self.roll).run()

    def _way(self, name: str) -> Way | None:
        """Return where a sync's deliveries go, or None if it is gone."""
        sync = self.plan.syncs.get(name)
        port = self.ports.get(sync.destination) if sync is not None and name in self.gates else None
        return None if sync is None or port is None else Way(sync, port.lanes, port.breaker)

    def _breaker_changed(self, destination: str, downtime: Downtime, change: Change) -> None:
        now = self.clock.wall()
        if change.after == "closed":
            downtime.end(now)
        else:
            downtime.begin(now)
        self.orderings.changed()
        log.warning("destination.changed", destination=destination, **msgspec.structs.asdict(change))

    @property
    def wires(self) -> list[tuple[str, str]]:
        """Return (feeder, fed) for every channel."""
        return list(fittings.wires(self.plan))

    def _made_console(self, plan: Plan) -> Console:
        audit = Audit(self.store.meta)
        return Console(self.operator, plan.config.console, audit, self.clock, os.urandom)
