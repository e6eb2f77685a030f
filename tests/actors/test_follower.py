from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.follower import CAP, Follower, Reader
from engine.messages import Event, Passed
from engine.runtime.channel import Inbox
from engine.runtime.mark import Mark
from engine.runtime.supervisor import Child, Supervisor


def event(position: int) -> Event:
    return Event(position=position, message_id=f"m{position}", received_at=0.0, body={})


def stretch(after: int, upto: int) -> Passed:
    return Passed(source="shop", after=after, upto=upto, events=tuple(map(event, range(after + 1, upto + 1))))


class Bench:
    """One reader with all that belongs to it; the store is the whole log."""

    def __init__(self, size: int = 4) -> None:
        self.inbox: Inbox[Passed] = Inbox("router.orders", size)
        self.ahead, self.place = Mark(), Mark()
        self.reads: list[tuple[int, int]] = []
        self.seen: list[int] = []
        self.follower = Follower(self.inbox, self.ahead, self.place, self.read)

    async def read(self, after: int, upto: int, limit: int) -> Passed:
        reached = min(after + limit, upto)
        self.reads.append((after, reached))
        await trio.lowlevel.checkpoint()
        return stretch(after, reached)

    def live(self, upto: int) -> bool:
        made = stretch(self.ahead.position, upto)
        self.ahead.move(upto)
        return self.inbox.offer(made)

    async def step(self) -> None:
        passed = await self.follower.next()
        assert passed.after == self.place.position
        self.seen += [one.position for one in passed.events]
        self.place.move(passed.upto)
        self.inbox.done()

    async def catch_up(self) -> None:
        while self.follower.lag:
            await self.step()


async def test_live_stretches_that_follow_at_once_are_taken_together() -> None:
    bench = Bench()
    bench.live(3)
    bench.live(5)
    await bench.step()

    assert (bench.seen, bench.reads) == ([1, 2, 3, 4, 5], [])


async def test_what_a_full_inbox_turned_away_is_read_from_the_store() -> None:
    bench = Bench(size=1)
    assert bench.live(2)
    assert not bench.live(4)
    await bench.catch_up()

    assert (bench.seen, bench.reads) == ([1, 2, 3, 4], [(2, 4)])


async def test_a_live_stretch_beyond_a_gap_waits_for_the_gap() -> None:
    bench = Bench(size=1)
    bench.live(2)
    bench.live(4)
    await bench.step()
    bench.live(6)
    await bench.catch_up()

    assert bench.seen == [1, 2, 3, 4, 5, 6]


async def test_a_stretch_that_was_read_in_part_is_taken_from_there() -> None:
    bench = Bench()
    bench.live(4)
    bench.place.move(2)
    await bench.step()

    assert bench.seen == [3, 4]


async def test_the_store_is_read_in_steps_of_one_message() -> None:
    bench = Bench()
    bench.ahead.move(CAP + 10)
    await bench.catch_up()

    assert bench.reads == [(0, CAP), (CAP, CAP + 10)]
    assert bench.seen == list(range(1, CAP + 11))


async def test_a_reader_that_dies_over_the_store_is_offered_halves_until_the_poison_is_alone(autojump_clock) -> None:
    bench = Bench()
    bench.ahead.move(64)
    poisoned: list[int] = []

    class Orders(Reader[Passed]):
        async def receive(self, passed: Passed, /) -> None:
            if any(one.position == 13 for one in passed.events):
                raise ValueError("13")
            bench.seen += [one.position for one in passed.events]
            bench.place.move(passed.upto)

        async def poisoned(self, message: Passed, error: Exception, /) -> None:
            poisoned.extend(one.position for one in message.events)
            bench.place.move(message.upto)

    child = Child(name="router", start=lambda: Orders(bench.follower).run(), stop=bench.inbox.close, inbox=bench.inbox)
    supervisor = Supervisor([child])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await trio.sleep(60)
        supervisor.stop()

    assert poisoned == [13]
    assert bench.seen == [n for n in range(1, 65) if n != 13]


@pytest.mark.parametrize("size", [1, 2, 5])
@settings(max_examples=100, deadline=None)
@given(script=st.lists(st.sampled_from(["live", "step", "restart"]), max_size=40))
def test_whatever_happens_every_event_is_seen_once_and_in_order(size, script) -> None:
    async def main() -> None:
        bench = Bench(size)
        for word in script:
            if word == "live":
                bench.live(bench.ahead.position + 3)
            elif word == "step" and bench.follower.lag:
                await bench.step()
            elif word == "restart":
                bench.follower = Follower(bench.inbox, bench.ahead, bench.place, bench.read)
        await bench.catch_up()
        assert bench.seen == list(range(1, bench.ahead.position + 1))

    trio.run(main)
