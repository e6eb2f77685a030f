from __future__ import annotations

import trio

from engine.runtime.bell import Bell
from engine.runtime.gate import Gate
from engine.runtime.mark import Mark


async def test_a_ring_before_the_wait_counts_and_counts_once(autojump_clock) -> None:
    bell = Bell()
    bell.ring()
    bell.ring()

    await bell.wait(5)
    first = trio.current_time()
    await bell.wait(5)

    assert trio.current_time() - first == 5


async def test_a_negative_wait_returns_at_once(autojump_clock) -> None:
    start = trio.current_time()
    await Bell().wait(-3)

    assert trio.current_time() == start


async def test_a_shut_gate_holds_everybody_and_lets_all_through_when_opened(autojump_clock) -> None:
    gate = Gate(shut=True)
    through = []

    async def comer(name: str) -> None:
        await gate.wait()
        through.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(comer, "a")
        nursery.start_soon(comer, "b")
        await trio.testing.wait_all_tasks_blocked()
        gate.close()  # shut already: whoever waits must still hear the opening
        assert through == []
        gate.open()

    assert sorted(through) == ["a", "b"]


async def test_a_gate_calls_back_who_is_on_his_way_and_nobody_else(autojump_clock) -> None:
    gate = Gate()
    with gate.leave() as arrived:
        await trio.sleep(1)
    gate.recall()

    with gate.leave() as away:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            gate.recall()

    assert (arrived.cancelled_caught, away.cancelled_caught, gate.recalls) == (False, True, 2)


def test_a_mark_only_grows() -> None:
    mark = Mark(3)
    mark.move(7)
    mark.move(5)

    assert mark.position == 7
