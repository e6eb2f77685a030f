from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.runtime.channel import Closed
from engine.runtime.gate import Gate
from engine.runtime.lanes import Lanes


def lanes(capacity: int = 10) -> Lanes[str]:
    return Lanes("sender.crm", "due", ["orders", "leads"], capacity)


def put(made: Lanes[str], name: str, *items: str) -> None:
    made[name].room.take(len(items))
    made.put(name, items)


def picks(made: Lanes[str], most: int = 1) -> list[str]:
    taken = []
    while picked := made.pick(0, most, len):
        taken.append("".join(picked))
        made.done(0)
    return taken


def test_due_and_live_alternate_one_to_one_and_live_lanes_go_round() -> None:
    made = lanes()
    put(made, "due", *"123456")
    put(made, "orders", *"abc")
    put(made, "leads", *"xy")

    assert picks(made) == ["1", "a", "2", "x", "3", "b", "4", "y", "5", "c", "6"]


def test_a_lone_lane_is_not_held_up_by_empty_ones() -> None:
    made = lanes()
    put(made, "leads", *"xyz")

    assert picks(made) == ["x", "y", "z"]


def test_one_pick_never_mixes_lanes_and_keeps_their_order() -> None:
    made = lanes()
    put(made, "orders", *"abc")
    put(made, "due", *"12")

    assert picks(made, most=10) == ["12", "abc"]


def test_a_pick_stops_before_it_gets_too_heavy_but_takes_one_item_of_any_weight() -> None:
    made = lanes()
    put(made, "orders", "aaaaaaaa", "bb", "cc", "d")

    assert made.pick(0, 10, len, 4) == ["aaaaaaaa"]
    assert made.pick(1, 10, len, 4) == ["bb", "cc"]


def test_places_come_back_when_a_hand_is_done() -> None:
    made = lanes(capacity=3)
    put(made, "orders", *"abc")
    assert made["orders"].room.free == 0

    made.pick(0, 2, len)
    assert (made["orders"].room.free, made.in_hand, made.waiting) == (0, 2, 1)
    made.done(0)
    assert (made["orders"].room.free, made.in_hand) == (2, 0)


def test_a_feeder_with_more_items_than_places_reserves_all_and_gives_back_no_more() -> None:
    made = lanes(capacity=2)
    made["orders"].room.take(2)
    made.put("orders", list("abcde"))

    assert picks(made) == list("abcde")
    assert made["orders"].room.free == 2


def test_what_a_dead_receiver_had_in_hand_is_left_over_once() -> None:
    made = lanes()
    put(made, "orders", *"abc")
    made.pick(0, 1, len)
    made.pick(1, 1, len)

    assert made.leftovers() == ["a", "b"]
    assert made.leftovers() == []
    assert picks(made) == ["c"]
    assert made["orders"].room.free == 10


async def test_ready_waits_for_an_item_and_ends_when_closed(autojump_clock) -> None:
    made = lanes()
    seen: list[object] = []

    async def hand() -> None:
        try:
            while True:
                await made.ready()
                seen.append(picks(made))
        except Closed as error:
            seen.append(str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hand)
        await trio.testing.wait_all_tasks_blocked()
        put(made, "orders", "a")
        await trio.testing.wait_all_tasks_blocked()
        made.close()

    assert seen == [["a"], "inbox 'sender.crm' is closed"]


async def test_closed_lanes_still_hand_out_what_waits_but_take_nothing() -> None:
    made = lanes()
    put(made, "orders", "a")
    made.close()

    await made.ready()
    assert picks(made) == ["a"]
    with pytest.raises(Closed):
        made.put("orders", ["b"])


def test_dropping_empties_the_lanes_and_frees_their_places() -> None:
    made = lanes()
    put(made, "orders", *"ab")
    put(made, "due", "1")

    assert made.take_out(lambda _: True) == ["1", "a", "b"]
    assert (made.waiting, made["orders"].room.free, made["due"].room.free) == (0, 10, 10)


@pytest.mark.parametrize(
    ("items", "most", "heaviest", "picked"),
    [
        (["a1", "b1", "a2", "c1", "b2", "a3"], 9, 99, [["a1", "a2", "a3"], ["b1", "b2"], ["c1"]]),
        (["a1", "b1", "a2", "c1", "b2", "a3"], 2, 99, [["a1", "a2"], ["b1", "b2"], ["c1"], ["a3"]]),
        (["a1", "b1", "a2", "c1", "b2", "a3"], 9, 4, [["a1", "a2"], ["b1", "b2"], ["c1"], ["a3"]]),
        (["a1", "b1", "a22222", "a3"], 9, 5, [["a1"], ["b1"], ["a22222"], ["a3"]]),
    ],
)
def test_alike_items_are_picked_together_and_keep_their_order(items, most, heaviest, picked) -> None:
    made = lanes()
    put(made, "orders", *items)
    found = []
    while taken := made.pick(0, most, len, heaviest, lambda item: item[0]):
        found.append(taken)
        made.done(0)

    assert found == picked
    assert made["orders"].room.free == 10


async def test_who_gathers_waits_for_enough_or_for_so_long_and_not_once_it_is_closed(nursery, autojump_clock) -> None:
    made = lanes()
    ended: list[float] = []

    async def gather() -> None:
        await made.gather(3, 10.0)
        ended.append(trio.current_time())

    put(made, "orders", *"ab")
    nursery.start_soon(gather)
    await trio.sleep(4)
    put(made, "due", "1")
    await trio.sleep(1)
    assert ended == [4.0]
    picks(made)
    await gather()
    assert ended[1:] == [15.0]
    nursery.start_soon(gather)
    await trio.sleep(1)
    made.close()
    await trio.sleep(1)

    assert ended[2:] == [16.0]


async def test_one_hand_is_woken_for_what_one_hand_can_take_and_wakes_the_next_for_the_rest(autojump_clock) -> None:
    made = lanes()
    woken: list[tuple[int, list[str]]] = []

    async def hand(number: int) -> None:
        try:
            while True:
                await made.ready()
                woken.append((number, made.pick(number, 2, len)))
                await trio.sleep(1)
                made.done(number)
        except Closed:
            return

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(hand, number)
        await trio.testing.wait_all_tasks_blocked()
        put(made, "orders", *"ab")
        await trio.testing.wait_all_tasks_blocked()
        assert [items for _, items in woken] == [["a", "b"]]
        put(made, "orders", *"cdef")
        await trio.testing.wait_all_tasks_blocked()
        made.close()

    assert [items for _, items in woken] == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert len({number for number, _ in woken}) == 3


def test_what_is_let_go_of_early_is_no_leftover() -> None:
    made = lanes()
    put(made, "orders", *"abcde")
    picked = made.pick(0, 5, len)
    made.done(0, picked[1:3])

    assert made["orders"].room.free == 7
    assert made.leftovers() == ["a", "d", "e"]
    assert made["orders"].room.free == 10


def test_the_next_turn_can_be_given_to_another_lane() -> None:
    made = lanes()
    put(made, "due", *"12")
    put(made, "orders", *"ab")
    made.prefer_others()

    assert picks(made) == ["a", "1", "b", "2"]


def test_a_turn_that_no_other_lane_needs_is_not_lost() -> None:
    made = lanes()
    put(made, "due", *"12")
    made.prefer_others()

    assert picks(made) == ["1", "2"]


def test_what_waits_behind_a_shut_gate_is_passed_over_until_it_opens() -> None:
    made, gate = lanes(), Gate()
    made.add("gated", gate)
    put(made, "gated", *"gh")
    put(made, "leads", "x")
    gate.close()

    assert (made.waiting, made.pickable, made.is_shut("gated"), made.is_shut("leads")) == (3, 1, True, False)
    assert picks(made) == ["x"]
    gate.open()
    assert picks(made) == ["g", "h"]


async def test_a_hand_that_finds_only_shut_gates_waits_until_one_opens(nursery: trio.Nursery) -> None:
    made, gate = lanes(), Gate(shut=True)
    made.add("gated", gate)
    put(made, "gated", "g")
    ready = trio.Event()

    async def wait() -> None:
        await made.ready()
        ready.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert not ready.is_set()
    gate.open()
    made.opened()
    await ready.wait()


async def test_what_stays_behind_a_shut_gate_does_not_keep_a_closed_one_going() -> None:
    made = lanes()
    made.add("gated", Gate(shut=True))
    put(made, "gated", "g")
    made.close()

    with pytest.raises(Closed):
        await made.ready()


def test_items_of_one_lane_only_can_be_taken_out() -> None:
    made = lanes()
    put(made, "due", *"ab")
    put(made, "orders", *"ab")

    assert made.take_out("a".__eq__, "due") == ["a"]
    assert (made["due"].room.free, picks(made, most=10)) == (9, ["b", "ab"])
