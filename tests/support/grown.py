"""A whole engine in the test's own process: real actors, a memory store, trio's clock, and a desk to deliver to."""

from __future__ import annotations

import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import trio

from actors.receiver.frames import Frame
from actors.tree import Tree
from engine.cli.departed import archive_departed
from engine.cli.former import former_plan, remembered
from engine.config.load import load
from engine.messages import Delivery, State, Trouble
from engine.observe.balance import equations
from engine.observe.reloaded import Reloaded
from engine.observe.status import Status
from engine.plan import Plan, compile_plan
from engine.plugin import Destination, EventType, Item, Limits, Settings, by_status
from engine.registry import Registry
from engine.runtime.clock import TrioClock
from engine.runtime.supervisor import TooManyRestarts
from engine.store.base import Retention, Selection, Store
from engine.store.due import Due
from engine.store.memory import MemoryStore
from engine.store.opening import open_store
from engine.store.revisions import Reached, keep_revision
from engine.store.seen import Seen
from engine.store.start import Wish, begin

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z: the wall clock when a test's engine starts."""
HEAD = """
[receiver]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
[store]
kind = "memory"
[sources.shop]
write_keys = ["key"]
"""
ORDERS = """
[destinations.crm]
type = "desk"
concurrency = 1
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = { n = "properties.n" }
"""
"""One sync to one destination, one request at a time."""
FUNCTION = 'functions = ["f"]\n[functions.f]\nfile = "f.py"\nisolation = "inline"\n'
"""What gives the source before it the function of ``f.py``; goes first."""

Answer = Callable[[Sequence[Delivery]], Awaitable[Sequence[Item]]]


class DeskSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a `Desk` needs to know."""

    batch: int = 1
    """Deliveries in one attempt."""
    in_order: bool = False
    """Whether it applies them in order."""


class Call(msgspec.Struct, frozen=True):
    """One attempt at a desk: trio's time since the engine started, and what it held."""

    at: float
    batch: tuple[Delivery, ...]


class Desk(Destination[DeskSettings]):
    """Notes every attempt with its time, and answers as the test says; 200 unless it says something.

    Attributes:
        answer: may be changed at any time.
        calls: every attempt, in order.
    """

    Settings = DeskSettings
    knows_objects = True
    event_types: ClassVar[Mapping[str, EventType]] = {"custom": EventType(label="Custom")}

    def __init__(self, settings: DeskSettings, name: str) -> None:
        """Begin with nothing seen."""
        super().__init__(settings, name)
        self.answer: Answer = always(200)
        self.calls: list[Call] = []
        self.closed = 0
        self._began = 0.0
        self._news = trio.Event()

    def begin(self, at: float) -> None:
        """Count the times of calls from trio's *at*; nothing may be asked of trio where plans are compiled."""
        self._began = at

    def bounds(self) -> Limits:
        """Return the batch of the settings."""
        return Limits(batch=self.settings.batch, ordered_batch=self.settings.in_order)

    async def send(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        """Note the attempt and answer it."""
        self.calls.append(Call(round(trio.current_time() - self._began, 3), tuple(batch)))
        self._news.set()
        self._news = trio.Event()
        return await self.answer(batch)

    async def aclose(self) -> None:
        """Count how often it was closed."""
        self.closed += 1

    @property
    def times(self) -> list[float]:
        """When each attempt began."""
        return [call.at for call in self.calls]

    @property
    def positions(self) -> list[int]:
        """Of every delivery of every attempt, in order."""
        return [delivery.position for call in self.calls for delivery in call.batch]

    async def called(self, times: int) -> None:
        """Wait until it was asked so often; fails after a day of trio's clock, which jumps for ever otherwise."""
        with trio.fail_after(86_400):
            while len(self.calls) < times:
                await self._news.wait()


def always(status: int, *, retry_after: float | None = None) -> Answer:
    """Return an answer that gives every delivery this status."""
    item = msgspec.structs.replace(by_status(status), retry_after=retry_after)

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        return [item] * len(batch)

    return answer


def each(statuses: Callable[[Delivery], int]) -> Answer:
    """Return an answer that asks *statuses* about each delivery."""

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        return [by_status(statuses(delivery)) for delivery in batch]

    return answer


def inturn(*answers: Answer) -> Answer:
    """Return an answer that is another for each attempt; the last one stays."""
    left = list(answers)

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        return await (left.pop(0) if len(left) > 1 else left[0])(batch)

    return answer


async def hang(_batch: Sequence[Delivery]) -> Sequence[Item]:
    """Never answer."""
    await trio.sleep_forever()
    raise AssertionError


REGISTRY = Registry(
    {
        "destinations": {
            "desk": "tests.support.grown:Desk",
            "webhook": "plugins.destinations.webhook:Webhook",
        },
        "functions": {"python": "plugins.functions.python:Python"},
        "sources": {},
    },
    entry_points=False,
)


def shop_plan(text: str, folder: Path | None = None) -> Plan:
    """Return the plan of `HEAD` and *text*; files of functions are looked for in *folder*."""
    path = (folder or Path()) / "config.toml"

    def read_file(wanted: Path) -> bytes:
        return (HEAD + textwrap.dedent(text)).encode() if wanted == path else wanted.read_bytes()

    return compile_plan(load(path, env={}, read_file=read_file), REGISTRY)


class Engine:
    """One running engine; made by `grow`.

    Attributes:
        failure: what ended it, if not `stop`.
    """

    def __init__(self, tree: Tree, store: Store) -> None:
        self.tree = tree
        self.store = store
        self.failure: TooManyRestarts | None = None
        self.over = trio.Event()
        self._sent = 0

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Live until told to stop, or until a trunk actor was given up."""
        try:
            await self.tree.run(task_status=task_status)
        except TooManyRestarts as error:
            self.failure = error
        self.over.set()

    def desk(self, name: str = "crm") -> Desk:
        """Return a destination."""
        found = self.tree.plan.destinations[name].destination
        assert isinstance(found, Desk)
        return found

    async def send(self, count: int = 1, source: str = "shop", **properties: Any) -> None:
        """Let so many events in at the door, as one frame, and wait until they are durable; ``properties.n`` counts."""
        numbers = range(self._sent + 1, self._sent + count + 1)
        self._sent += count
        events = [
            {"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{n}", "properties": {"n": n} | properties}
            for n in numbers
        ]
        durable = trio.Event()
        for first in range(0, count, 256):
            durable = trio.Event()
            items = tuple(map(msgspec.json.encode, events[first : first + 256]))
            frame = Frame(items=items)
            verdict = self.tree.intake.submit(self.tree.doors[source], [frame], partial(_ring, durable))
            if not verdict.waits:
                durable.set()
        await durable.wait()

    async def say(self, said: Mapping[str, Any]) -> None:
        """Let one event in that says *said* beside what `send` sends, and wait until it is durable."""
        self._sent += 1
        n = self._sent
        event = {"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{n}", "properties": {"n": n}, **said}
        durable = trio.Event()
        frame = Frame(items=(msgspec.json.encode(event),))
        self.tree.intake.submit(self.tree.doors["shop"], [frame], partial(_ring, durable))
        await durable.wait()

    async def reload(self, text: str, folder: Path | None = None) -> Reloaded:
        """Let `HEAD` and *text* be the configuration from now on."""
        self.tree.reloader.aside = at_once
        self.tree.reloader.reread = partial(shop_plan, text, folder)
        return await self.tree.operator.reload()

    async def settled(self, within: float = 60.0) -> Status:
        """Return the status once every delivery has a fate; looks every second of trio's (jumping) clock.

        Args:
            within: seconds of that clock after which the test fails.
        """
        status = await self.tree.operator.status()
        with trio.move_on_after(within):
            while not self._at_rest(status):
                await trio.sleep(1.0)
                status = await self.tree.operator.status()
            return status
        raise AssertionError(f"not settled: {status}")

    def _at_rest(self, status: Status) -> bool:
        on_the_way = any(sync.lag or sync.pending or sync.open for sync in status.syncs)
        told = self.tree.reports.statistics()
        on_the_way = on_the_way or bool(told.waiting or told.in_hand)  # the archiver folds them after a while
        return not (on_the_way or any(source.lag for source in status.sources) or self.tree.books.changed)

    async def archived(self) -> list[Trouble]:
        """Return the archive by position."""
        found = await self.store.ledger.list(Selection(states=(State.ARCHIVED,)))
        return sorted(found, key=lambda trouble: trouble.position)

    async def unwatched(self) -> None:
        """Take away what looks at the engine every second, so that hours of trio's clock cost nothing."""
        for name in ("console", "pulse"):
            await self.tree.supervisor.remove(name)

    async def stop(self) -> None:
        """Stop in order."""
        self.tree.stop()
        await self.over.wait()

    async def crash(self) -> None:
        """End at once, as ``kill -9`` would but for what the store already has."""
        self.tree.stop_now()
        await self.over.wait()


async def at_once(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do *work* here: while a thread did it, trio's clock would jump."""
    await trio.lowlevel.checkpoint()
    return work(*arguments)


def _ring(durable: trio.Event, _error: BaseException | None) -> None:
    durable.set()


async def grow(
    nursery: trio.Nursery,
    text: str,
    store: Store | None = None,
    *,
    folder: Path | None = None,
    answers: Mapping[str, Answer] | None = None,
    remember: bool = False,
) -> Engine:
    """Return a running engine on *store* (a new one in memory if None) with `HEAD` and *text* for a configuration.

    Desks answer as in *answers* from the first delivery on: a store may have some. Its chance always says 0.5: a wait
    of full jitter is half of the longest. With *remember* the configuration is kept, and read by the next one, as
    `headrace run` does.
    """
    clock = TrioClock(NOW + trio.current_time())
    plan = shop_plan(text, folder)
    opened = await open_store("memory", Path()) if store is None else store
    wishes = [
        Wish(sync=sync.name, source=sync.source, destination=sync.destination, start=sync.start, was=sync.was)
        for sync in plan.syncs.values()
    ]
    for each in plan.destinations.values():
        if isinstance(each.destination, Desk):
            each.destination.begin(trio.current_time())
    old = await former_plan(opened, plan, REGISTRY) if remember else None
    if old is not None:
        await archive_departed(opened, old, wishes, clock.wall())
    beginning = await begin(opened, wishes, plan.sources.keys(), Seen(86_400.0, 10_000), Retention(), clock.wall())
    if remember:
        former = await remembered(opened, old, plan, beginning)
        beginning = msgspec.structs.replace(beginning, eras=former.eras, known=former.known)
        syncs = {name: page.high for name, page in beginning.progress.items()}
        reached = Reached(syncs=syncs, sources={name: beginning.cursor(name) for name in plan.sources})
        kept = plan.loaded
        await keep_revision(
            opened, clock.wall(), digest=kept.digest, text=kept.text, tables=kept.tables, reached=reached
        )
    engine = Engine(Tree(plan, opened, beginning, clock, [], lambda: 0.5), opened)
    for name, answer in (answers or {}).items():
        engine.desk(name).answer = answer
    await nursery.start(engine.run)
    return engine


def reopened(store: Store) -> MemoryStore:
    """Return what an engine finds in a memory store after the last one's end: all that was written, and no claims."""
    assert isinstance(store, MemoryStore)
    again = MemoryStore(store._room)
    again._last = store._last
    again._mark.advance(store._last)
    again._contents.__dict__.update(store._contents.__dict__, due=Due(limit=2**62), on_due=None, closed=False)
    for trouble in store._contents.troubles.values():
        if trouble.state is State.RETRYING:
            again._contents.due._lane(trouble.destination).put(trouble.id, trouble.due_at)
    return again


def unbalanced(status: Status) -> list[str]:
    """Return the books that do not balance."""
    return [f"{line.scope}: {line.text()}" for line in equations(status) if not line.balanced]
