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
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog
import trio

from actors import sender
from actors.archiver import PLACES, Archiver
from actors.console import Console
from actors.console.audit import Audit
from actors.control import Control
from actors.follower import Follower
from actors.functions import Runner
from actors.maintenance import Maintenance
from actors.operator import BY_OPERATOR, Operator
from actors.port import Outlets as SenderOutlets
from actors.port import Port
from actors.pulse import Pulse
from actors.reader import Reader
from actors.receiver import Receiver
from actors.receiver.doors import Door
from actors.receiver.intake import Intake, Terms
from actors.retry import LANE, Retry
from actors.router import Outlets as RouterOutlets
from actors.router import Router, router_reader
from actors.validator import Outlets as ValidatorOutlets
from actors.validator import Validator, validator_reader
from engine.messages import Passed, Report, Span, Stretch
from engine.observe.latency import Histogram
from engine.plan import DestinationPlan, Plan, SourcePlan
from engine.plugin import Direct, Filed, Source
from engine.runtime.bell import Bell
from engine.runtime.breaker import Breaker, Change, Thresholds
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.downtime import Downtime
from engine.runtime.gate import Gate
from engine.runtime.lanes import Lanes
from engine.runtime.limiter import Limiter
from engine.runtime.mark import Mark
from engine.runtime.room import Room
from engine.runtime.supervisor import Child, ChildEvent, Supervisor
from engine.runtime.tls import server_context
from engine.store.base import Store
from engine.store.pages import Books
from engine.store.start import Beginning

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
        self.wires: list[tuple[str, str]] = []
        self.stages = {stage: Histogram() for stage in ("validated", "routed")}
        self.pulse = Pulse(clock)
        self.bell = Bell()
        self.places = Room(PLACES)
        self.books = Books(beginning.cursors.values(), beginning.progress.values())
        self.reopened = {name: set(page.open) for name, page in beginning.progress.items()}
        self.received = {name: Mark(store.last) for name in plan.sources}
        self.judged = {name: Mark(beginning.cursor(name)) for name in plan.sources}
        self.passed = {name: Mark(beginning.cursor(name)) for name in plan.sources}
        self.routed = {name: Mark(page.high) for name, page in beginning.progress.items()}
        self.gates = {name: Gate(shut=name in beginning.paused_syncs) for name in plan.syncs}
        self.reports: Inbox[Report] = self._inbox("archiver", [*self._validators, *self._routers, *self._senders])
        self.ports = {name: self._port(each) for name, each in plan.destinations.items()}
        self.offers: dict[str, Inbox[Passed]] = {
            name: self._inbox(f"router.{name}", [f"validator.{sync.source}"], DECODED_EVENTS, _events)
            for name, sync in plan.syncs.items()
        }
        self.spans: dict[str, Inbox[Span]] = {
            name: self._inbox(f"validator.{name}", [_feeder(name, each)], RAW_EVENTS, _events)
            for name, each in plan.sources.items()
        }
        for name in beginning.paused_destinations & self.ports.keys():
            self.ports[name].breaker.pause(BY_OPERATOR)
        self.doors = {name: Door(each, self.spans[name], self.received[name]) for name, each in plan.sources.items()}
        new_id = partial(_new_id, random.SystemRandom())
        self.intake = Intake(store, self.doors, beginning.seen, clock, new_id, _terms(plan))
        self.receiver = Receiver(plan.config.receiver, self.intake, shapes, clock, _tls(plan))
        self.readers = self._made_readers()
        self.operator = Operator(self)
        self.console = self._made_console(plan)
        self.retry = Retry(store, {name: port.lanes for name, port in self.ports.items()}, self.bell, clock)
        self.maintenance = Maintenance(store, beginning.retention, clock)
        store.on_due = lambda _destination: self.bell.ring()
        self.runners = {name: Runner(each, clock, beginning.windows) for name, each in plan.sources.items()}
        self.supervisor = Supervisor(self._children(), on_event=_tell)

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
                try:
                    await each.destination.aclose()
                except Exception as error:  # noqa: BLE001 - foreign code, and nothing is left that it could harm
                    log.warning("destination.close_failed", destination=name, error=repr(error))

    def _children(self) -> list[Child]:
        """Return all actors, sink first: started left to right, stopped right to left."""
        archiver = Child(
            name="archiver",
            start=self._archiver,
            stop=self.reports.close,
            inbox=self.reports,
            drain=30.0,
            essential=True,
        )
        maintenance = Child(name="maintenance", start=self.maintenance.run, stop=self.maintenance.stop)
        senders = [
            Child(name=f"sender.{name}", start=partial(self._sender, each), stop=self.ports[name].close, rank="senders")
            for name, each in self.plan.destinations.items()
        ]
        retry = Child(name="retry", start=self.retry.run, stop=self.retry.stop, essential=True)
        routers = [
            Child(
                name=f"router.{name}",
                start=partial(self._router, name),
                stop=inbox.close,
                inbox=inbox,
                drain=1.0,
                rank="routers",
            )
            for name, inbox in self.offers.items()
        ]
        validators = [
            Child(
                name=f"validator.{name}",
                start=partial(self._validator, name),
                stop=inbox.close,
                inbox=inbox,
                essential=True,
                rank="validators",
            )
            for name, inbox in self.spans.items()
        ]
        receiver = Child(
            name="receiver",
            start=self.receiver.run,
            stop=self.receiver.stop,
            drain=float(self.plan.config.receiver.drain),
            essential=True,
        )
        readers = [
            Child(name=f"reader.{name}", start=reader.run, stop=reader.stop) for name, reader in self.readers.items()
        ]
        pulse = Child(name="pulse", start=self.pulse.run, stop=self.pulse.stop)
        console = Child(name="console", start=self.console.run, stop=self.console.stop, drain=1.0)
        return [archiver, maintenance, *senders, retry, *routers, *validators, receiver, *readers, pulse, console]

    async def _archiver(self) -> None:
        await Archiver(self.reports, self.books, self.store, self.places, self.clock).run()

    async def _validator(self, name: str) -> None:
        source = self.plan.sources[name]
        follower = Follower(
            self.spans[name], self.received[name], self.judged[name], validator_reader(source, self.store)
        )
        routers = tuple(self.offers[sync.name] for sync in self.plan.syncs.values() if sync.source == name)
        outlets = ValidatorOutlets(
            archiver=self.reports, routers=routers, passed=self.passed[name], latency=self.stages["validated"]
        )
        await Validator(source, self.store, follower, outlets, self.runners[name]).run()

    async def _router(self, name: str) -> None:
        sync = self.plan.syncs[name]
        read = router_reader(self.plan.sources[sync.source], self.store, self.clock)
        follower = Follower(self.offers[name], self.passed[sync.source], self.routed[name], read)
        lanes = self.ports[sync.destination].lanes
        outlets = RouterOutlets(
            archiver=self.reports, lanes=lanes, gate=self.gates[name], latency=self.stages["routed"]
        )
        await Router(sync, follower, outlets, self.clock, self.reopened[name]).run()

    async def _sender(self, plan: DestinationPlan) -> None:
        outlets = SenderOutlets(archiver=self.reports, places=self.places, bell=self.bell, log=self.store)
        await sender.Sender(plan, self.ports[plan.name], outlets, self.clock, self.roll).run()

    def _port(self, plan: DestinationPlan) -> Port:
        """Return what belongs to a destination: lanes from its routers and the retry scheduler, and its pace."""
        syncs = [name for name, sync in self.plan.syncs.items() if sync.destination == plan.name]
        self.wires += [(feeder, f"sender.{plan.name}") for feeder in ("retry", *(f"router.{name}" for name in syncs))]
        downtime = Downtime()
        thresholds = Thresholds(
            consecutive=plan.breaker.failures, ratio=plan.breaker.ratio, probe_every=float(plan.breaker.probe)
        )
        return Port(
            lanes=Lanes(f"sender.{plan.name}", LANE, syncs, LANE_PLACES),
            limiter=Limiter(plan.rate, plan.burst, self.clock),
            breaker=Breaker(self.clock, thresholds, partial(self._breaker_changed, plan.name, downtime)),
            downtime=downtime,
            latency={name: Histogram() for name in syncs},
        )

    def _breaker_changed(self, destination: str, downtime: Downtime, change: Change) -> None:
        now = self.clock.wall()
        if change.after == "closed":
            downtime.end(now)
        else:
            downtime.begin(now)
        log.warning("destination.changed", destination=destination, **msgspec.structs.asdict(change))

    def _made_readers(self) -> dict[str, Reader]:
        """Return one for each source whose events lie in a file."""
        folder = self.plan.loaded.folder
        return {
            name: Reader(self.doors[name], folder / each.doorway.settings.path, plugin(), self.intake)
            for name, each in self.plan.sources.items()
            if (plugin := _file_plugin(each))
        }

    def _made_console(self, plan: Plan) -> Console:
        settings = plan.config.console
        control = Control(self.operator, msgspec.structs.replace(settings, token=None))
        return Console(self.operator, settings, Audit(self.store.meta), self.clock, os.urandom, control.answer)

    def _inbox(
        self, name: str, feeders: Iterable[str], size: int = REPORTS, weigh: Callable[[Any], int] | None = None
    ) -> Inbox[Any]:
        """Return a new channel into *name*, and note who feeds it."""
        self.wires += [(feeder, name) for feeder in feeders]
        return Inbox(name, size, weigh)

    @property
    def _validators(self) -> list[str]:
        return [f"validator.{name}" for name in self.plan.sources]

    @property
    def _routers(self) -> list[str]:
        return [f"router.{name}" for name in self.plan.syncs]

    @property
    def _senders(self) -> list[str]:
        return [f"sender.{name}" for name in self.plan.destinations]


def _events(stretch: Stretch) -> int:
    """Return what a stretch weighs in an inbox; one without events still takes a place."""
    return len(stretch.events) or 1


def _terms(plan: Plan) -> Terms:
    limits = plan.config.receiver.limits
    return Terms(max_event=int(limits.event), deliver_after_commit=plan.config.deliver_after_commit)


def _file_plugin(source: SourcePlan) -> type[Filed] | None:
    """Return what makes events of a source's file, or None if it has none."""
    kind: Any = source.doorway.kind
    return kind if hasattr(kind, "item") else None


def _feeder(name: str, source: SourcePlan) -> str:
    """Return who feeds a source's validator."""
    return f"reader.{name}" if _file_plugin(source) else "receiver"


def _tls(plan: Plan) -> ssl.SSLContext | None:
    """Return the receiver's certificate, or None if it speaks in the clear."""
    tls = plan.config.receiver.tls
    return None if tls is None else server_context(plan.loaded.folder / tls.cert, plan.loaded.folder / tls.key)


def _new_id(chance: random.Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _tell(event: ChildEvent) -> None:
    """Log what happened to a child; a death with its traceback."""
    tell = {"died": log.error, "down": log.error, "restarting": log.warning, "cancelled": log.warning}
    facts = {key: value for key, value in msgspec.structs.asdict(event).items() if value and key != "what"}
    tell.get(event.what, log.debug)(f"actor.{event.what}", **facts)
