from __future__ import annotations

from actors.receiver.seldom import EVERY, Seldom
from engine.runtime.clock import TrioClock


async def test_it_is_said_at_once_and_then_once_a_minute_with_how_often(autojump_clock: object) -> None:
    clock = TrioClock(0.0)
    seldom = Seldom(clock)

    assert [seldom.now() for _ in range(5)] == [1, 0, 0, 0, 0]
    await clock.sleep(EVERY)
    assert [seldom.now(), seldom.now()] == [5, 0]
