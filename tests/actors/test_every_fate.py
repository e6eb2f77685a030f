"""The whole delivery core against a model: whatever happens to it, every event has just the fate that it should."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.messages import State, Trouble
from engine.runtime.channel import Inbox
from engine.store.base import Selection
from engine.store.erasing import Erasure
from engine.store.replays import Refused, Replay, Wish
from tests.support.fates import FILTERED, GOES, Place, Regime, Said
from tests.support.grown import unbalanced
from tests.support.lives import Lives
from tests.support.sayings import EVENTS, PARKED, REGIMES, STANDING

MOODS = st.sampled_from(["well", "slow", "hang", "refused", "503", "401", "429"])
SYNCS = st.sampled_from(sorted(GOES))
DESTINATIONS = st.sampled_from(sorted(GOES.values()))
ACTORS = ("validator", "router", "sender before", "sender behind", "retry", "replayer", "archiver")
ANY = 1_000_000
"""More than there are."""


class Delivering(Lives):
    """Everything that may happen to one engine after the other, and what holds all the while."""

    @initialize(lane=st.sampled_from([3, 8]), inbox=st.sampled_from([1, 2, 8]), cap=st.sampled_from([2, 4]))
    def begin(self, lane: int, inbox: int, cap: int) -> None:
        self._sizes(lane, inbox, cap)
        self._do(self._start, None)

    # What comes in, and time.

    @rule(events=EVENTS, pace=st.sampled_from([0.0, 0.0, 0.2]))
    def send(self, events: list[Said], pace: float) -> None:
        self._do(self._send, events, pace)

    @rule(
        events=EVENTS,
        sync=SYNCS,
        mood=st.sampled_from(["slow", "hang", "429", "503"]),
        seconds=st.sampled_from([0.05, 0.5, 1.5]),
        then=st.sampled_from(["hold", "hold", "erase", "crash", "nothing"]),
    )
    def interrupt(self, events: list[Said], sync: str, mood: str, seconds: float, then: str) -> None:
        """Let something happen while something else is on its way."""
        self.outside.moods[GOES[sync]] = mood
        self._do(self._send, events)
        self._do(self._wait, seconds)
        if then == "hold":
            self.hold(sync=sync, shut=True, whole=True)
            self._do(self._wait, 5.0)
        elif then == "erase":
            self.erase(user=events[0].user)
        elif then == "crash":
            self.crash()

    @rule(many=st.integers(12, 24), pace=st.sampled_from([0.05, 0.15, 0.3]), slow=st.sampled_from(["slow", "well"]))
    def flow(self, many: int, pace: float, slow: str) -> None:
        """Keep saying things while destinations are slow: what a sync has no room for, it reads again."""
        for destination in GOES.values():
            self.outside.moods[destination] = slow
        self._do(self._send, [Said(0, f"u{n % 3 + 1}", "z", True, (200,)) for n in range(many)], pace)

    @rule(actor=st.sampled_from(["router", "validator"]), beside=EVENTS, at=st.integers(0, 9))
    def poison(self, actor: str, beside: list[Said], at: int) -> None:
        """Say something that an actor dies of, among others."""
        if f"poisoned {actor}" in self.dying:
            return
        self.dying[f"poisoned {actor}"] = math.inf
        deadly = Said(0, "u1", "z", True, (200,), actor)
        self._do(self._send, [*beside[:at], deadly, *beside[at:]])

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 5.0, 45.0]))
    def wait(self, seconds: float) -> None:
        self._do(self._wait, seconds)

    # The world outside.

    @rule(destination=DESTINATIONS, mood=MOODS)
    def change_mood(self, destination: str, mood: str) -> None:
        self.outside.moods[destination] = mood

    @rule(
        destination=DESTINATIONS,
        weather=st.lists(st.tuples(MOODS, st.sampled_from([0.3, 3.0, 12.0])), min_size=2, max_size=4),
    )
    def have_weather(self, destination: str, weather: list[tuple[str, float]]) -> None:
        """Let a destination be in one mood after the other, while whatever waits for it is tried."""
        for mood, seconds in weather:
            self.outside.moods[destination] = mood
            self._do(self._wait, seconds)

    # What a person does.

    @rule(sync=SYNCS, shut=st.booleans(), whole=st.booleans())
    def hold(self, *, sync: str, shut: bool, whole: bool) -> None:
        kind, name = ("destinations", GOES[sync]) if whole else ("syncs", sync)
        operator = self.engine.tree.operator
        verb = operator.pause if shut else operator.resume
        if not shut:
            self._do(self._held, sync, shut, whole)
        assert self._do(lambda _nursery: verb(kind, name))
        if shut:
            self._do(self._held, sync, shut, whole)

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
        self.fates.hurried.add(_place(entry))
        many = self._do(self._by_hand, "retry", entry)
        if entry.state is State.ARCHIVED:
            assert many == bool(entry.payload)
            self.fates.again[_place(entry)] += many

    @precondition(lambda self: self._some(State.ARCHIVED, State.RETRYING))
    @rule(at=st.integers(0, ANY))
    def discard(self, at: int) -> None:
        entry = _one_of(self._some(State.ARCHIVED, State.RETRYING), at)
        if self._do(self._by_hand, "discard", entry):
            self.fates.discarded.add(_place(entry))
        else:  # it arrived meanwhile
            assert entry.state is State.RETRYING
            self._do(self._look)
            assert entry.id not in {one.id for one in self.entries}

    async def _by_hand(self, _nursery: trio.Nursery, verb: str, entry: Trouble) -> int:
        many: int = await getattr(self.engine.tree.operator, verb)(Selection(ids=(entry.id,)))
        return many

    @precondition(lambda self: self.outside.said)
    @rule(
        sync=SYNCS,
        fates=st.sampled_from([("archived",), ("delivered",), ("archived", "discarded"), ("filtered",)]),
        rate=st.sampled_from([5.0, 50.0]),
        twice=st.booleans(),
    )
    def replay(self, *, sync: str, fates: Any, rate: float, twice: bool) -> None:
        self._do(self._replay, Wish(sync=sync, fates=fates, rate=rate), twice)

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
        """Note what a replay may send again, each once: entries as there are, and events that were read."""
        states = (*wish.states, State.RETRYING)  # what waits may be archived before its turn
        there = {
            _place(one)
            for one in await self.engine.store.ledger.list(Selection(sync=wish.sync, limit=ANY, states=states))
        }
        for n in self.outside.said if wish.from_log else ():
            made = self.fates.may[wish.sync, n] | self.fates.remade.get((wish.sync, n), set())
            if made - FILTERED if "delivered" in wish.fates else made - {"made"}:
                there.add((wish.sync, n))
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
        in_hand = self._in_hand()
        for n in self.fates.erased - self.outside.buried.keys():
            self.outside.buried[n] = {sync for sync, numbers in in_hand.items() if n in numbers}

    @rule(sync=SYNCS, regime=REGIMES, online=st.booleans())
    def edit(self, *, sync: str, regime: Regime, online: bool) -> None:
        self._do(self._edit if online else self._edit_offline, sync, regime)

    # What goes wrong inside.

    @rule()
    def restart(self) -> None:
        self._do(self._restart, self.engine.stop)

    @rule()
    def crash(self) -> None:
        self._do(self._restart, self.engine.crash)

    @rule(actor=st.sampled_from(ACTORS), sync=SYNCS)
    def die(self, actor: str, sync: str) -> None:
        if self._may_die(actor):
            self._arm(actor, sync)

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
        assert self.outside.wrongs == []
        for name, upto in self.shut.items():
            assert self._marks()[name] <= upto, f"{name} is paused, and reads on from {upto}"
        wrong = self._unknown()
        assert not wrong, wrong
        self.failed = False

    def _bounds(self) -> None:
        tree = self.engine.tree
        for port in tree.ports.values():
            assert port.lanes.waiting <= 2 * self.lane + STANDING
        inboxes: list[Inbox[Any]] = [*tree.offers.values(), *tree.spans.values()]
        for inbox in inboxes:
            assert inbox._weight <= inbox.size or len(inbox._waiting) == 1  # what a death gave back is beside it
        for ordering in tree.orderings.by_sync.values():
            assert ordering.turns.standing <= STANDING + self.lane + PARKED + self.stood  # what was open stands again

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
        self.shut.clear()
        self.outside.quiet.clear()
        for sync, destination in GOES.items():
            self.outside.moods[destination] = "well"
            self.outside.hold(destination, shut=False)
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
        stopped = sum(one.kills == "validator" for one in self.outside.said.values())
        assert (source.passed + source.failed, self.told.last, source.lag) == (said, said, 0)
        assert source.failed <= stopped
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
    _run(examples=60, steps=30, chance=False)


@pytest.mark.full
def test_every_event_has_just_the_fate_that_it_should_in_many_lives():
    _run(examples=250, steps=40, chance=True)
