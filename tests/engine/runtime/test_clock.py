from __future__ import annotations

import time

import trio

from engine.runtime.clock import Clock, SystemClock, TrioClock


async def test_a_trio_clock_moves_both_times_together(autojump_clock):
    await trio.sleep(5)
    clock: Clock = TrioClock(1_700_000_000.0)
    await clock.sleep(3600)
    await clock.sleep_until(clock.monotonic() + 60)

    assert clock.wall() == 1_700_003_660.0
    assert clock.monotonic() == 3665.0


async def test_the_system_clock_tells_the_machine_s_time():
    clock: Clock = SystemClock()
    before = time.time()

    assert before <= clock.wall() <= time.time()
