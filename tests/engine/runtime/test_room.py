from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.runtime.room import Room


def test_taking_more_than_is_free_takes_nothing():
    room = Room(3)
    room.take(2)

    with pytest.raises(ValueError) as caught:
        room.take(2)
    assert str(caught.value) == "2 places asked for, 1 of 3 are free"
    assert room.free == 1


def test_giving_back_more_than_was_taken_is_refused():
    room = Room(3)
    room.take()

    with pytest.raises(ValueError) as caught:
        room.give(2)
    assert str(caught.value) == "2 places given back, 1 were occupied"


@pytest.mark.parametrize("method", ["reserve", "wait"])
async def test_a_wish_that_can_never_come_true_is_refused(method):
    with pytest.raises(ValueError) as caught:
        await getattr(Room(3), method)(4)
    assert str(caught.value) == "4 places can never be free: there are 3"


async def test_reserve_waits_until_there_are_enough(nursery):
    room = Room(3)
    room.take(3)
    nursery.start_soon(room.reserve, 2)
    await wait_all_tasks_blocked()
    room.give()
    await wait_all_tasks_blocked()
    assert room.free == 1
    room.give()
    await wait_all_tasks_blocked()

    assert room.free == 0


async def test_a_small_wish_does_not_overtake_a_large_one(nursery):
    room = Room(3)
    room.take(3)
    order = []

    async def reserve(places: int) -> None:
        await room.reserve(places)
        order.append(places)

    nursery.start_soon(reserve, 3)
    await wait_all_tasks_blocked()
    nursery.start_soon(reserve, 1)
    await wait_all_tasks_blocked()
    room.give(2)
    await wait_all_tasks_blocked()
    assert order == []
    room.give()
    await wait_all_tasks_blocked()
    room.give(3)
    await wait_all_tasks_blocked()

    assert order == [3, 1]


async def test_when_a_large_wish_is_cancelled_the_small_one_behind_it_is_granted(nursery):
    room = Room(3)
    room.take(3)
    scope = trio.CancelScope()

    async def large() -> None:
        with scope:
            await room.reserve(3)

    nursery.start_soon(large)
    await wait_all_tasks_blocked()
    nursery.start_soon(room.reserve, 1)
    await wait_all_tasks_blocked()
    room.give()
    scope.cancel()
    await wait_all_tasks_blocked()

    assert room.free == 0


async def test_waiting_occupies_nothing_and_wakes_all_who_fit(nursery):
    room = Room(2)
    room.take(2)
    woken = []

    async def wait(places: int) -> None:
        await room.wait(places)
        woken.append(places)

    for places in (1, 1, 2):
        nursery.start_soon(wait, places)
    await wait_all_tasks_blocked()
    room.give()
    await wait_all_tasks_blocked()
    assert (woken, room.free) == ([1, 1], 1)
    room.give()
    await wait_all_tasks_blocked()

    assert (woken, room.free) == ([1, 1, 2], 2)


async def test_one_who_waits_and_finds_the_place_gone_waits_on(nursery):
    room = Room(1)
    room.take()
    nursery.start_soon(room.wait)
    await wait_all_tasks_blocked()
    room.give()
    room.take()
    await wait_all_tasks_blocked()
    assert nursery.child_tasks
    room.give()
    await wait_all_tasks_blocked()

    assert not nursery.child_tasks


async def test_places_granted_to_one_who_is_just_being_cancelled_come_back(autojump_clock):
    room = Room(2)
    room.take(2)

    async def reserve() -> None:
        with trio.move_on_after(1):
            await room.reserve(1)

    async def give() -> None:
        await trio.sleep(1)
        room.give(2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give)
        nursery.start_soon(reserve)

    assert room.free == 2


WISH = st.tuples(st.sampled_from(["reserve", "wait"]), st.integers(1, 4), st.floats(0, 5), st.floats(0.1, 8))


@given(st.lists(WISH, min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_nobody_sleeps_while_there_is_room(wishes):
    """Every wish comes true or is cancelled by its own patience, and all places come back."""
    room = Room(4)
    ended = []

    async def wish(how: str, places: int, at: float, patience: float) -> None:
        await trio.sleep(at)
        with trio.move_on_after(patience):
            await getattr(room, how)(places)
            if how == "wait":
                room.take(places)
            ended.append(places)
            with trio.CancelScope(shield=True):
                await trio.sleep(0.5)
            room.give(places)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for each in wishes:
                nursery.start_soon(wish, *each)
        assert room.free == room.capacity
        with trio.fail_after(1):
            await room.reserve(4)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    patient = [places for _, places, _, patience in wishes if patience > 0.5 * len(wishes) + 0.1]
    if all(how == "reserve" for how, _, _, _ in wishes):
        assert len(ended) >= len(patient)
