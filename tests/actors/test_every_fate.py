"""The whole delivery core against a model: whatever happens to it, every event has just the fate that it should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, partialmethod
from typing import Any, TypeVar

import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors.tree import Tree
from engine.messages import State, Trouble
from engine.observe.status import Status
from engine.plan import Plan
from engine.runtime.channel import Inbox
from engine.runtime.child import Child
from engine.runtime.turns import Turns
from engine.store.base import Selection, Store
from engine.store.erasing import Erasure
from engine.store.replays import Refused, Replay, Wish
from tests.support.deaths import fail_once
from tests.support.fates import Fates, Outside, Place, Regime, Said
from tests.support.grown import Desk, Engine, at_once, grow, reopened, shop_plan, unbalanced
from tests.support.guest import Guest
from tests.support.sayings import EVENTS, GOES, LANE, PARKED, REGIMES, STANDING, text_of

T = TypeVar("T")
MOODS = st.sampled_from(["well", "slow", "hang", "refused", "503", "401", "429"])
SYNCS = st.sampled_from(sorted(GOES))
DESTINATIONS = st.sampled_from(sorted(GOES.values()))
ACTORS = ("router", "sender before", "sender behind", "retry", "archiver")
ANY = 1_000_000
"""More than there are."""


class Delivering(RuleBasedStateMachine):
    """One engine after the other on one store, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        for name, size in (("LANE_PLACES", LANE), ("DECODED_EVENTS", 8), ("RAW_EVENTS", 8)):
            self._patch.setattr(f"actors.tree.{name}", size)
        self._patch.setattr("actors.follower.CAP", 4)
        self._patch.setattr("actors.ordering.Turns", partial(Turns, per_key=PARKED, in_all=STANDING))
        self._patch.setattr("actors.replayer._aside", at_once)
        self._patch.setattr("actors.console.api.describe", lambda *_: {})  # half of what a start costs
        self._patch.setattr(Tree, "_children", partialmethod(_unwatched, Tree._children))
        self.guest = Guest()
        self.broken = False
        self.failed = False
        self.engine: Engine
        self.outside = Outside({}, dict.fromkeys(GOES.values(), "well"))
        self.fates = Fates(sorted(GOES), self.outside)
        self.dying: set[str] = set()
        self.told: Status
        self.entries: list[Trouble] = []

    def _do(self, step: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Let the engine live until *step* is done; it is broken if that fails."""
        before, self.broken = self.broken, True
        made = self.guest.call(lambda nursery: step(nursery, *arguments))
        self.broken = before
        return made

    @initialize()
    def begin(self) -> None:
        self._do(self._start, None)

    async def _start(self, nursery: trio.Nursery, store: Store | None) -> None:
        answers = {name: self.outside.answer(name) for name in GOES.values()}
        opened: dict[str, list[int]] = {}
        if store is not None:
            opened = {page.sync: [n for n, _ in page.open] for page in await store.meta.progress()}
            self.fates.unread({page.sync: page.high for page in await store.meta.progress()})
        for sync, numbers in opened.items():
            self.fates.opened(sync, numbers)
        self.engine = await grow(nursery, text_of(self.fates.regimes), store, answers=answers, remember=True)

    def _marks(self) -> dict[str, int]:
        return {name: mark.position for name, mark in self.engine.tree.routed.items()}

    def _opened(self) -> dict[str, list[int]]:
        return {name: [n for n, _ in page.open] for name, page in self.engine.tree.books.syncs.items()}

    # What comes in, and time.

    @rule(events=EVENTS)
    def send(self, events: list[Said]) -> None:
        self._do(self._send, events)

    async def _send(self, _nursery: trio.Nursery, events: list[Said]) -> None:
        marks = dict.fromkeys(GOES, len(self.outside.said))
        for event in events:
            n = len(self.outside.said) + 1
            self.outside.said[n] = Said(n, event.user, event.kind, event.whole, event.script)
        self.fates.unread(marks)
        for n in range(marks["orders"] + 1, len(self.outside.said) + 1):
            said = self.outside.said[n]
            self.engine._sent = n - 1
            properties = {"n": n, "kind": said.kind, **({"whole": 1} if said.whole else {})}
            await self.engine.say({"userId": said.user, "properties": properties})
        assert self.engine.store.last == len(self.outside.said)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 5.0, 45.0]))
    def wait(self, seconds: float) -> None:
        self._do(self._wait, seconds)

    async def _wait(self, _nursery: trio.Nursery, seconds: float) -> None:
        await trio.sleep(seconds)

    # The world outside.

    @rule(destination=DESTINATIONS, mood=MOODS)
    def change_mood(self, destination: str, mood: str) -> None:
        self.outside.moods[destination] = mood

    # What a person does.

    @rule(sync=SYNCS, shut=st.booleans(), whole=st.booleans())
    def hold(self, *, sync: str, shut: bool, whole: bool) -> None:
        kind, name = ("destinations", GOES[sync]) if whole else ("syncs", sync)
        operator = self.engine.tree.operator
        verb = operator.pause if shut else operator.resume
        assert self._do(lambda _nursery: verb(kind, name))

    @rule(sync=SYNCS, off=st.booleans(), whole=st.booleans())
    def switch(self, *, sync: str, off: bool, whole: bool) -> None:
        kind, name = ("destinations", GOES[sync]) if whole else ("syncs", sync)
        operator = self.engine.tree.operator
        verb = operator.disable if off else operator.enable
        before = self._marks()
        (self.fates.off[sync].add if off else self.fates.off[sync].discard)(kind)
        self.fates.unread(before)
        assert self._do(lambda _nursery: verb(kind, name))

    def _some(self, *states: State) -> list[Trouble]:
        return [entry for entry in self.entries if entry.state in states]

    @precondition(lambda self: self._some(State.ARCHIVED, State.RETRYING))
    @rule(at=st.integers(0, ANY))
    def retry(self, at: int) -> None:
        entry = _one_of(self._some(State.ARCHIVED, State.RETRYING), at)
        many = self._do(self._by_hand, "retry", entry)
        if entry.state is State.ARCHIVED:
            assert many == bool(entry.payload)
            self.fates.again[_place(entry)] += many

    @precondition(lambda self: self._some(State.ARCHIVED, State.RETRYING))
    @rule(at=st.integers(0, ANY))
    def discard(self, at: int) -> None:
        entry = _one_of(self._some(State.ARCHIVED, State.RETRYING), at)
        assert self._do(self._by_hand, "discard", entry) == 1
        self.fates.discarded.add(_place(entry))

    async def _by_hand(self, _nursery: trio.Nursery, verb: str, entry: Trouble) -> int:
        many: int = await getattr(self.engine.tree.operator, verb)(Selection(ids=(entry.id,)))
        return many

    @precondition(lambda self: self.outside.said)
    @rule(
        sync=SYNCS,
        fates=st.sampled_from([("archived",), ("delivered",), ("archived", "discarded")]),
        twice=st.booleans(),
    )
    def replay(self, *, sync: str, fates: Any, twice: bool) -> None:
        self._do(self._replay, Wish(sync=sync, fates=fates), twice)

    async def _replay(self, _nursery: trio.Nursery, wish: Wish, twice: bool) -> None:  # noqa: FBT001 - as `_do` calls it
        operator = self.engine.tree.operator
        counted = Replay(wish=wish, at=0.0)
        while counted.state == "running":
            counted = await operator.count_replay(counted)
        would = counted.became[wish.sync].sent if wish.sync in counted.became else 0
        await self._meant(wish)
        if any(one.wish.same_as(wish) for one in (await operator.replays()).running):
            return  # its destination has no room for more
        begun = await operator.replay(wish)
        if twice:
            with pytest.raises(Refused):
                await operator.replay(wish)
        with trio.move_on_after(2.0):
            while any(one.number == begun.number for one in (await operator.replays()).running):  # noqa: ASYNC110
                await trio.sleep(0.02)
        [made] = [one for one in (await operator.replays()).kept if one.number == begun.number]
        sent = made.became[wish.sync].sent if wish.sync in made.became else 0
        if self._still():
            assert made.state != "done" or sent == would

    def _still(self) -> bool:
        """Return whether nothing moved while the clock did."""
        return not self.told.syncs or not any(sync.pending or sync.lag for sync in self.told.syncs)

    async def _meant(self, wish: Wish) -> None:
        """Note what a replay may send again: entries there are, and events that were read, each once."""
        there = {_place(one) for one in await self.engine.store.ledger.list(Selection(sync=wish.sync, limit=ANY))}
        if "delivered" in wish.fates:
            there |= {(wish.sync, n) for n in range(1, len(self.outside.said) + 1)}
        self.fates.asked_again(sorted(there))

    @rule(user=st.sampled_from(["u1", "u2", "u3"]))
    def erase(self, user: str) -> None:
        before = self._marks()
        gone = {n for n, said in self.outside.said.items() if said.user == user}
        self.fates.erased |= gone
        self.fates.unread(before)
        self._do(self._erase, user)

    async def _erase(self, _nursery: trio.Nursery, user: str) -> None:
        erasure = Erasure(kind="userId", value=user)
        while erasure.state != "done":
            erasure = await self.engine.tree.operator.erase(erasure)
        left = await self.engine.store.ledger.list(Selection(limit=ANY))
        assert not {entry.position for entry in left} & self.fates.erased

    @rule(sync=SYNCS, regime=REGIMES, online=st.booleans())
    def edit(self, *, sync: str, regime: Regime, online: bool) -> None:
        self._do(self._edit if online else self._edit_offline, sync, regime)

    async def _edit(self, _nursery: trio.Nursery, sync: str, regime: Regime) -> None:
        before, opened = self._marks(), self._opened()
        self.fates.regimes[sync] = regime
        self.fates.unread(before)
        self.fates.opened(sync, [*opened[sync], *range(before[sync] + 1, len(self.outside.said) + 1)])
        reloader = self.engine.tree.reloader
        reloader.aside = at_once
        reloader.reread = self._reread
        made = await self.engine.tree.operator.reload()
        assert made.refused == ""

    def _reread(self) -> Plan:
        plan = shop_plan(text_of(self.fates.regimes))
        for name, each in plan.destinations.items():
            assert isinstance(each.destination, Desk)
            each.destination.answer = self.outside.answer(name)
        return plan

    async def _edit_offline(self, nursery: trio.Nursery, sync: str, regime: Regime) -> None:
        await self.engine.stop()
        self.fates.regimes[sync] = regime
        await self._start(nursery, reopened(self.engine.store))

    # What goes wrong inside.

    @rule()
    def restart(self) -> None:
        self._do(self._restart, self.engine.stop)

    @rule()
    def crash(self) -> None:
        self._do(self._restart, self.engine.crash)

    async def _restart(self, nursery: trio.Nursery, end: Callable[[], Awaitable[None]]) -> None:
        await end()
        if end == self.engine.crash:
            self.fates.crashes.append(trio.current_time())
        await self._start(nursery, reopened(self.engine.store))

    @rule(actor=st.sampled_from(ACTORS), sync=SYNCS)
    def die(self, actor: str, sync: str) -> None:
        """Let an actor die once, the next time it does what it is for; one that dies all the time is given up."""
        if actor in self.dying:
            return
        self.dying.add(actor)
        tree = self.engine.tree
        port = tree.ports[GOES[sync]]
        owner, name = {
            "router": (port.lanes[sync].room, "reserve"),
            "sender before": (port.limiter, "take"),
            "sender behind": (port.suspects, "absolve"),
            "retry": (tree.store, "claim"),
            "archiver": (tree.books, "change"),
        }[actor]
        died = partial(self._sender_died, sync) if actor.startswith("sender") else None
        noted: Callable[[], None] | None = self._archiver_died if actor == "archiver" else died
        fail_once(owner, name, noted)

    def _archiver_died(self) -> None:
        """Note it as a crash: while it stops it is not begun anew, and what it had not written is done again."""
        self.fates.crashes.append(trio.current_time())

    def _sender_died(self, sync: str) -> None:
        self.fates.deaths.append((sync, trio.current_time()))

    # What holds at any time.

    @invariant()
    def all_is_well(self) -> None:
        if self.broken or not hasattr(self, "engine"):
            return
        self.failed = True
        self._do(self._look)
        assert self.engine.failure is None
        assert [line for line in unbalanced(self.told) if line.startswith("deliveries")] == []
        for sync in self.told.syncs:
            assert sum(sync.filtered.values()) + sync.matched <= self.told.sources[0].passed
        self._bounds()
        wrong = self._unknown()
        assert not wrong, wrong
        self.failed = False

    async def _look(self, _nursery: trio.Nursery) -> None:
        self.told = await self.engine.tree.operator.status()
        self.entries = await self.engine.store.ledger.list(Selection(limit=ANY))
        self.pages = {page.sync: page for page in await self.engine.store.meta.progress()}

    def _bounds(self) -> None:
        tree = self.engine.tree
        for port in tree.ports.values():
            assert port.lanes.waiting <= 2 * LANE + STANDING
        inboxes: list[Inbox[Any]] = [*tree.offers.values(), *tree.spans.values()]
        for inbox in inboxes:
            assert inbox._weight <= inbox.size or inbox.waiting == 1
        for ordering in tree.orderings.by_sync.values():
            assert ordering.turns.standing <= STANDING + LANE + PARKED

    def _unknown(self) -> list[str]:
        """Return what is wrong with the fates that the store has by now."""
        entries = {_place(entry): entry for entry in self.entries}
        assert len(entries) == len(self.entries)
        found = []
        for sync, page in self.pages.items():
            waiting = {n for n, _ in page.open}
            for n in range(1, page.high + 1):
                entry = entries.get((sync, n))
                if n not in waiting and not (entry and entry.state is State.RETRYING):
                    wrong = self.fates.wrong((sync, n), entry)
                    found += [f"{sync} {n}: {wrong}"] if wrong else []
        return found

    # The end.

    def teardown(self) -> None:
        try:
            if not self.broken and not self.failed and hasattr(self, "told"):
                self._do(self._heal)
                self.all_is_well()
                self._end()
        finally:
            self.guest.end()
            self._patch.undo()

    async def _heal(self, nursery: trio.Nursery) -> None:
        operator = self.engine.tree.operator
        before = self._marks()
        for sync, destination in GOES.items():
            self.outside.moods[destination] = "well"
            self.fates.off[sync].clear()
            self.fates.unread({sync: before[sync]})
            for kind, name in (("syncs", sync), ("destinations", destination)):
                assert await operator.resume(kind, name)
                assert await operator.enable(kind, name)
        for _ in range(40):
            # Where all that is left is refused with 403 it may be our credentials, until something else arrives.
            await self._send(nursery, [Said(0, "somebody", "z", True, (200,))])
            with trio.move_on_after(60.0):
                await self._rest()
                return
        raise AssertionError(f"not settled: {await operator.status()}")

    async def _rest(self) -> None:
        operator = self.engine.tree.operator
        await trio.sleep(5.0)
        while not self.engine._at_rest(await operator.status()) or (await operator.replays()).running:  # noqa: ASYNC110
            await trio.sleep(5.0)

    def _end(self) -> None:
        """Assert that the whole world is as the model says."""
        said = len(self.outside.said)
        [source] = self.told.sources
        assert (source.passed, self.told.last, source.lag) == (said, said, 0)
        assert [line for line in unbalanced(self.told) if line.startswith(("sync", "deliveries"))] == []
        for sync in self.told.syncs:
            assert self.pages[sync.name].high == said or not said
            assert (sync.pending, sync.lag, sync.open) == (0, 0, 0)
            own = [entry for entry in self.entries if entry.sync == sync.name]
            assert sync.archived == sum(entry.state is State.ARCHIVED for entry in own)
            assert {entry.state for entry in own} <= {State.ARCHIVED, State.DISCARDED}
            self._filtered(sync.name, sync.filtered)
            taken = sum(len(self.outside.accepted((sync.name, n))) for n in self.outside.said)
            assert sync.delivered <= taken
            if self._exact():
                assert sync.delivered == taken
        assert self.fates.disorder("turns") == []

    def _exact(self) -> bool:
        """Return whether nothing happened after which an arrival need not be counted."""
        fates = self.fates
        return not (fates.crashes or fates.deaths or fates.erased or fates.discarded)

    def _filtered(self, sync: str, filtered: dict[str, int]) -> None:
        for reason in ("disabled", "no_event_type", "erased"):
            may = [self.fates.may[sync, n] for n in self.outside.said]
            assert may.count({reason}) <= filtered.get(reason, 0) <= sum(reason in one for one in may), reason


def _place(entry: Trouble) -> Place:
    return entry.sync, entry.position


def _one_of(entries: list[Trouble], at: int) -> Trouble:
    return sorted(entries, key=lambda entry: entry.id)[at % len(entries)]


def _unwatched(tree: Tree, children: Callable[[Tree], list[Child]]) -> list[Child]:
    """Return a tree's actors without those that only look on: the console compiles in a thread of its own."""
    return [child for child in children(tree) if child.name not in {"console", "pulse"}]


def _run(examples: int, steps: int, *, chance: bool) -> None:
    run_state_machine_as_test(
        Delivering,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=not chance,
            database=None,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_event_has_just_the_fate_that_it_should():
    _run(examples=40, steps=25, chance=False)


@pytest.mark.full
def test_every_event_has_just_the_fate_that_it_should_in_many_lives():
    _run(examples=250, steps=40, chance=True)
