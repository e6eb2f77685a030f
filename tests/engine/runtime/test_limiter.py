from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.runtime.channel import Closed
from engine.runtime.clock import SystemClock
from engine.runtime.limiter import Limiter, LimiterStats


def limiter(rate, burst=1.0):
    return Limiter(rate, burst, SystemClock())


async def moments(limiter, wishes):
    """Return when each of *wishes*, asked for one after the other, came true."""
    times = []
    for tokens in wishes:
        await limiter.take(tokens)
        times.append(round(trio.current_time(), 6))
    return times


@pytest.mark.parametrize(
    ("rate", "burst", "wishes", "expected"),
    [
        (2.0, 1, [1, 1, 1, 1], [0.0, 0.5, 1.0, 1.5]),
        (2.0, 3, [1, 1, 1, 1, 1], [0.0, 0.0, 0.0, 0.5, 1.0]),
        (1.0, 4, [3, 3, 3], [0.0, 2.0, 5.0]),
        (1.0, 2, [5, 1, 1], [0.0, 4.0, 5.0]),
        (0.1, 1, [1, 1], [0.0, 10.0]),
        (None, 1, [1000, 1000], [0.0, 0.0]),
    ],
)
async def test_tokens_leave_at_the_rate_and_after_a_rest_in_a_burst(rate, burst, wishes, expected, autojump_clock):
    assert await moments(limiter(rate, burst), wishes) == expected


async def test_a_rest_fills_the_bucket_and_no_more(autojump_clock):
    bucket = limiter(1.0, 2)
    await bucket.take(2)
    await trio.sleep(100)

    assert await moments(bucket, [1, 1, 1]) == [100.0, 100.0, 101.0]


async def test_a_large_wish_is_not_overtaken_by_small_ones(nursery, autojump_clock):
    bucket = limiter(1.0, 5)
    await bucket.take(5)
    order = []

    async def take(tokens):
        await bucket.take(tokens)
        order.append((tokens, trio.current_time()))

    for tokens in (5, 1, 2):
        nursery.start_soon(take, tokens)
        await wait_all_tasks_blocked()
    await trio.sleep(20)

    assert order == [(5, 5.0), (1, 6.0), (2, 8.0)]


async def test_a_pause_holds_all_back_even_without_a_rate(nursery, autojump_clock):
    for rate in (None, 100.0):
        bucket = limiter(rate)
        start = trio.current_time()
        bucket.pause_until(start + 30)
        bucket.pause_until(start + 10)
        assert bucket.paused
        assert bucket.wait_time == 30.0
        await bucket.take()
        assert trio.current_time() - start == 30.0
        assert not bucket.paused


async def test_a_pause_that_grows_reaches_those_who_wait_already(nursery, autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(10.0)
    nursery.start_soon(bucket.take)
    await trio.sleep(5)
    bucket.pause_until(40.0)
    await trio.sleep(30)

    assert bucket.statistics() == LimiterStats(taken=0.0, waited=1, waiting=1, paused_seconds=35.0)
    await trio.sleep(6)
    assert bucket.statistics() == LimiterStats(taken=1.0, waited=1, waiting=0, paused_seconds=40.0)


async def test_resume_wakes_those_who_wait_and_stops_the_count(nursery, autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(1000.0)
    nursery.start_soon(bucket.take)
    await trio.sleep(5)
    bucket.resume()
    await trio.sleep(1)

    assert bucket.statistics() == LimiterStats(taken=1.0, waited=1, waiting=0, paused_seconds=5.0)
    bucket.pause_until(trio.current_time() + 2)
    await trio.sleep(10)
    bucket.resume()
    assert bucket.statistics().paused_seconds == 7.0


async def test_nobody_waits_for_the_end_of_a_pause_that_was_dismissed(nursery, autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(SystemClock().monotonic() + 3600)
    turned_away = 0

    async def wait() -> None:
        nonlocal turned_away
        with pytest.raises(Closed, match=r"^inbox 'limiter' is closed$"):
            await bucket.take()
        turned_away += 1

    for _ in range(3):
        nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    bucket.dismiss()
    await wait_all_tasks_blocked()
    assert turned_away == 3

    bucket.recall()
    assert await moments(bucket, [1]) == [3600.0]


async def test_a_rate_is_kept_to_the_end(nursery, autojump_clock):
    bucket = limiter(1.0)
    bucket.dismiss()

    assert await moments(bucket, [1, 1, 1]) == [0.0, 1.0, 2.0]


async def test_one_who_gives_up_takes_no_token_and_lets_the_next_one_through(nursery, autojump_clock):
    bucket = limiter(1.0, 10)
    await bucket.take(10)

    async def impatient():
        with trio.move_on_after(3):
            await bucket.take(10)

    nursery.start_soon(impatient)
    await wait_all_tasks_blocked()

    assert await moments(bucket, [2, 2]) == [3.0, 4.0]


async def test_a_token_that_is_given_back_goes_to_who_waits(nursery, autojump_clock):
    bucket = limiter(0.1)
    await bucket.take()
    came: list[float] = []

    async def wait():
        await bucket.take()
        came.append(trio.current_time())

    nursery.start_soon(wait)
    await trio.sleep(3)
    bucket.give_back()
    await wait_all_tasks_blocked()
    assert came == [3.0]
    assert bucket.statistics().taken == 1
    await bucket.take()
    assert trio.current_time() == 13.0


async def test_rounding_never_makes_a_sleep_too_short(autojump_clock):
    await trio.sleep(70_003.7)
    bucket = limiter(333.3)
    start = trio.current_time()
    for _ in range(1000):
        await bucket.take()

    assert trio.current_time() - start == pytest.approx(999 / 333.3)


@pytest.mark.parametrize(
    ("rate", "burst", "text"),
    [(0, 1, "a rate must be above 0 per second, not 0"), (1, 0, "a burst must be above 0, not 0")],
)
def test_what_could_never_let_anything_through_is_refused(rate, burst, text):
    with pytest.raises(ValueError) as caught:
        limiter(rate, burst)
    assert str(caught.value) == text


async def test_after_a_pause_that_was_asked_for_one_goes_a_second_until_one_is_answered_as_usual(autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(trio.current_time() + 10, wary=True)
    bucket.trust()  # by the answer to a request from before the pause
    assert await moments(bucket, [1, 1, 1]) == [10.0, 11.0, 12.0]

    bucket.trust()
    assert await moments(bucket, [1, 1, 1]) == [12.0, 12.0, 12.0]


async def test_an_answer_lets_those_go_who_wait_after_a_pause(nursery, autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(10.0, wary=True)
    for _ in range(4):
        nursery.start_soon(bucket.take)
    await trio.sleep(10.5)
    assert bucket.statistics() == LimiterStats(taken=1.0, waited=4, waiting=3, paused_seconds=10.0)

    bucket.trust()
    await wait_all_tasks_blocked()
    assert bucket.statistics() == LimiterStats(taken=4.0, waited=4, waiting=0, paused_seconds=10.0)


async def test_who_goes_first_after_a_pause_and_has_nothing_to_send_lets_the_next_one_go(nursery, autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(10.0, wary=True)
    await bucket.take()
    nursery.start_soon(bucket.take)
    await wait_all_tasks_blocked()
    bucket.give_back()
    await wait_all_tasks_blocked()

    assert bucket.statistics() == LimiterStats(taken=1.0, waited=2, waiting=0, paused_seconds=10.0)
    assert trio.current_time() == 10.0


async def test_a_used_up_quota_leaves_nobody_wary(autojump_clock):
    bucket = limiter(None)
    bucket.pause_until(10.0)
    assert await moments(bucket, [1, 1, 1]) == [10.0, 10.0, 10.0]
