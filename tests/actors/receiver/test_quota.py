from __future__ import annotations

from actors.receiver.quota import Quota
from engine.runtime.clock import TrioClock


async def test_a_second_s_worth_goes_at_once_and_then_the_rate_holds(autojump_clock) -> None:
    clock = TrioClock(0.0)
    quota = Quota(10.0, clock)
    await clock.sleep(5.0)

    assert [quota.take(1) for _ in range(11)] == [0.0] * 11
    assert round(quota.take(1), 3) == 0.1
    await clock.sleep(0.1)
    assert quota.take(1) == 0.0


async def test_a_large_batch_goes_and_is_paid_for_afterwards(autojump_clock) -> None:
    clock = TrioClock(0.0)
    quota = Quota(10.0, clock)
    await clock.sleep(5.0)

    assert quota.take(110) == 0.0
    assert round(quota.take(1), 3) == 10.0
    await clock.sleep(10.0)
    assert quota.take(1) == 0.0
