"""Lag: a destination that has no room makes its sync stop; nothing is written, and nothing lost or repeated later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.messages import Delivery
from engine.plugin import Item, by_status
from engine.runtime.channel import Inbox
from engine.store.base import Change, Selection, Store
from tests.support.deaths import fail_once
from tests.support.grown import ORDERS, Answer, Engine, grow, hang, reopened, unbalanced

OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")
SCHEDULE = """
[destinations.crm.retry]
backoff = "1s..4s"
[destinations.crm.breaker]
failures = 5
probe = "2s"
"""
LANE = 64
CAP = 32
"""Events in one step of a reader."""
RECENT = 1.0
"""Seconds before a crash: what arrived earlier was written down."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 60)),
        st.tuples(st.just("wait"), st.sampled_from([0.01, 0.3, 5.0])),
        st.tuples(
            st.sampled_from(
                [
                    *("pause sync", "resume sync", "pause destination", "resume destination", "sick", "hang", "well"),
                    *("router dies", "sender dies", "crash"),
                ]
            ),
            st.just(0),
        ),
    ),
    min_size=3,
    max_size=25,
)


class Trial:
    """One engine after the other on one store, and all that arrived at its destinations.

    Attributes:
        crashes: when, by trio's clock.
        arrivals: destination to (time, position, attempts before it, status).
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.engine: Engine
        self.mood = "well"
        self.crashes: list[float] = []
        self.arrivals: dict[str, list[tuple[float, int, int, int]]] = {"crm": [], "erp": []}
        self._sent = 0
        self._deaths = {"router dies", "sender dies"}

    async def start(self, store: Store | None = None) -> None:
        answers = {name: self._answer(name) for name in self.arrivals}
        self.engine = await grow(self.nursery, ORDERS + SCHEDULE + OTHERS, store, answers=answers)
        self.engine._sent = self._sent

    def _answer(self, name: str) -> Answer:
        async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
            status = 500 if name == "crm" and self.mood == "sick" else 200
            waits = name == "crm" and self.mood == "hang"
            now = trio.current_time()
            self.arrivals[name] += [(now, one.position, one.attempts, 0 if waits else status) for one in batch]
            return await hang(batch) if waits else [by_status(status)] * len(batch)

        return answer

    async def step(self, what: str, much: float) -> None:
        operator = self.engine.tree.operator
        if what == "send":
            await self.engine.send(int(much))
            self._sent = self.engine._sent
        elif what == "wait":
            await trio.sleep(much)
        elif what in {"sick", "hang", "well"}:
            self.mood = what
        elif what == "crash":
            await self.engine.crash()
            self.crashes.append(trio.current_time())
            await self.start(reopened(self.engine.store))
        elif what in {"router dies", "sender dies"}:
            self._die(what)
        else:
            verb, kind = what.split()
            name = "orders" if kind == "sync" else "crm"
            await getattr(operator, verb)(f"{kind}s", name)

    def _die(self, what: str) -> None:
        """Let an actor die once of its next message: one that dies again and again is given up, or finds a poison."""
        if what in self._deaths:
            self._deaths.remove(what)
            tree = self.engine.tree
            router = what == "router dies"
            fail_once(tree.plan.syncs["orders"] if router else tree.ports["crm"].limiter, "route" if router else "take")

    def check_bounds(self) -> None:
        tree = self.engine.tree
        for port in tree.ports.values():
            assert port.lanes.waiting <= 2 * LANE
        inboxes: list[Inbox[Any]] = [*tree.offers.values(), *tree.spans.values()]
        for inbox in inboxes:
            assert inbox._weight <= inbox.size or inbox.waiting == 1
        assert len(tree.books.syncs["orders"].open) <= 2 * LANE + 2048


async def _hold(steps: Sequence[tuple[str, float]]) -> None:
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery)
        await trial.start()
        for what, much in steps:
            await trial.step(what, much)
            trial.check_bounds()
        trial.mood = "well"
        await trial.step("resume sync", 0)
        await trial.step("resume destination", 0)
        await trio.sleep(1)  # a new engine first has to see what it has
        status = await trial.engine.settled(600)

        wanted = list(range(1, status.last + 1))
        for arrivals in trial.arrivals.values():
            taken = Counter(position for _, position, _, status in arrivals if status == 200)
            assert sorted(taken) == wanted
            _check_order([position for _, position, attempts, _ in arrivals if not attempts])
            _check_repeats(arrivals, trial.crashes)
        assert [line for line in unbalanced(status) if line.startswith(("sync", "deliveries"))] == []
        await trial.engine.stop()


def _check_order(positions: Sequence[int]) -> None:
    """Assert that each first attempt is further in the log than all before it."""
    first = list(dict.fromkeys(positions))
    assert first == sorted(first)


def _check_repeats(arrivals: Sequence[tuple[float, int, int, int]], crashes: Sequence[float]) -> None:
    """Assert that what was taken twice was taken shortly before a crash, or died with a sender."""
    taken: dict[int, float] = {}
    for at, position, attempts, status in arrivals:
        if status == 200 and position in taken and not attempts:
            assert any(taken[position] <= crash <= taken[position] + RECENT for crash in crashes)
        if status == 200:
            taken[position] = at


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_a_backlog_is_read_back_in_order_and_rejoins_live_traffic_without_gap_or_repeat(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("actors.tree.LANE_PLACES", LANE)
        patch.setattr("actors.follower.CAP", CAP)
        patch.setattr("actors.tree.DECODED_EVENTS", 64)
        patch.setattr("actors.tree.RAW_EVENTS", 64)
        trio.run(_hold, steps, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("how", ["paused", "hanging", "sync paused"])
async def test_a_sync_without_room_writes_nothing(nursery, autojump_clock, how):
    engine = await grow(nursery, ORDERS.replace("concurrency", 'timeout = "10h"\nconcurrency') + OTHERS)
    if how == "hanging":
        engine.desk("crm").answer = hang
    else:
        kind, name = ("syncs", "orders") if how == "sync paused" else ("destinations", "crm")
        await engine.tree.operator.pause(kind, name)
    await engine.send(3000)
    await trio.sleep(5)
    commits: list[Change] = []
    commit = engine.store.commit

    async def counted(change: Change) -> tuple[bool, ...]:
        commits.append(change)
        return await commit(change)

    engine.store.commit = counted  # type: ignore[method-assign]
    reads = _counted_reads(engine)
    await engine.send(10_000)
    await trio.sleep(3600)

    assert {page.sync for change in commits for page in change.progress} == {"others"}
    assert not any(change.troubles for change in commits)
    assert await engine.store.ledger.list(Selection()) == []
    assert reads["orders"] == 0
    offer = engine.tree.offers["orders"].statistics()
    assert offer.waiting <= offer.size


def _counted_reads(engine: Engine) -> Counter[str]:
    """Return what counts how often the router of each sync reads the log from now on."""
    reads: Counter[str] = Counter()
    read = engine.store.read
    places = dict(engine.tree.routed)

    async def counted(source: str, after: int, upto: int, limit: int) -> object:
        for name, mark in places.items():
            reads[name] += after == mark.position
        return await read(source, after, upto, limit)

    engine.store.read = counted  # type: ignore[method-assign, assignment]
    return reads


async def test_how_long_a_backlog_takes_is_told_and_unknown_while_it_stands(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)

    async def slow(batch: Sequence[Delivery]) -> Sequence[Item]:
        await trio.sleep(0.1)
        return [by_status(200)] * len(batch)

    engine.desk().answer = slow
    await engine.send(3000)
    await trio.sleep(60)
    going = (await engine.tree.operator.status()).syncs[0]
    await engine.tree.operator.pause("destinations", "crm")
    await trio.sleep(1)
    standing = (await engine.tree.operator.status()).syncs[0]
    await engine.tree.operator.resume("destinations", "crm")
    done = (await engine.settled(600)).syncs[0]

    assert going.pending + going.lag == pytest.approx(2400, abs=30)
    assert going.drain == pytest.approx(240, rel=0.25)
    assert (standing.drain, done.drain) == (None, 0.0)
