from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.runtime.breaker import Breaker, Change, Thresholds
from engine.runtime.channel import Closed
from engine.runtime.clock import SystemClock


@pytest.fixture
def changes():
    return []


@pytest.fixture
async def breaker(changes):
    return Breaker(SystemClock(), on_change=changes.append)


def fail(breaker, times):
    for _ in range(times):
        breaker.failure()


async def test_twenty_failures_in_a_row_open_it_and_nineteen_do_not(breaker, changes, autojump_clock):
    fail(breaker, 19)
    breaker.success()
    fail(breaker, 19)
    assert breaker.state == "closed"
    breaker.failure()

    assert breaker.state == "open"
    assert breaker.admit_nowait() is None
    assert changes == [Change(before="closed", after="open", reason="20 failures in a row")]


@pytest.mark.parametrize(("answered", "state"), [(49, "closed"), (50, "open")])
async def test_more_than_half_of_enough_answers_within_a_minute_open_it(answered, state, breaker, autojump_clock):
    for number in range(answered):
        if number % 3:
            breaker.failure()
        else:
            breaker.success()

    assert breaker.state == state
    if state == "open":
        assert breaker.reason == "33 of 50 requests failed within 60 s"


async def test_half_of_the_answers_is_not_more_than_half(breaker, autojump_clock):
    for _ in range(200):
        breaker.success()
        breaker.failure()

    assert breaker.state == "closed"


async def test_answers_older_than_the_period_are_forgotten(breaker, autojump_clock):
    for _ in range(2):
        for _ in range(19):
            breaker.failure()
        breaker.success()
    await trio.sleep(61)
    fail(breaker, 12)

    assert breaker.state == "closed"


async def test_a_single_probe_goes_out_and_its_success_closes(breaker, changes, nursery, autojump_clock):
    fail(breaker, 20)
    admitted = []

    async def request():
        admission = await breaker.admit()
        admitted.append((trio.current_time(), admission.probe))
        if admission.probe:
            await trio.sleep(2)
        breaker.success(admission)

    for _ in range(3):
        nursery.start_soon(request)
    await trio.sleep(31)
    assert admitted == [(30.0, True)]
    assert breaker.state == "half_open"
    await trio.sleep(2)

    assert admitted == [(30.0, True), (32.0, False), (32.0, False)]
    assert [(change.before, change.after) for change in changes] == [
        *[("closed", "open"), ("open", "half_open"), ("half_open", "closed")],
    ]
    assert (breaker.since, breaker.reason) == (32.0, "")


async def test_a_failed_probe_is_followed_by_another_half_a_minute_later(breaker, autojump_clock):
    fail(breaker, 20)
    times = []
    for _ in range(3):
        breaker.failure(await breaker.admit())
        times.append(trio.current_time())

    assert times == [30.0, 60.0, 90.0]
    assert (breaker.state, breaker.since) == ("open", 0.0)


async def test_a_probe_of_which_nothing_is_heard_is_followed_by_another(breaker, autojump_clock):
    fail(breaker, 20)
    await breaker.admit()

    assert (await breaker.admit()).probe
    assert trio.current_time() == 60.0


async def test_answers_from_before_it_opened_neither_close_nor_prolong_it(breaker, autojump_clock):
    early = await breaker.admit()
    fail(breaker, 20)
    await trio.sleep(30)
    probe = await breaker.admit()
    breaker.success(early)
    assert breaker.state == "half_open"
    breaker.failure(early)
    assert breaker.state == "half_open"
    breaker.success(probe)

    assert breaker.state == "closed"


async def test_a_cancelled_wait_uses_up_no_probe(breaker, autojump_clock):
    fail(breaker, 20)
    with trio.move_on_after(10):
        await breaker.admit()

    assert (await breaker.admit()).probe
    assert trio.current_time() == 30.0


async def test_a_destination_that_refuses_us_is_probed_and_resumes_by_itself(breaker, changes, autojump_clock):
    breaker.needs_attention("401 Unauthorized")
    assert (breaker.state, breaker.reason, breaker.next_probe) == ("attention", "401 Unauthorized", 30.0)
    probe = await breaker.admit()
    breaker.needs_attention("401 Unauthorized")
    assert breaker.state == "attention"
    probe = await breaker.admit()
    breaker.success(probe)

    assert trio.current_time() == 60.0
    assert [change.after for change in changes] == ["attention", "half_open", "attention", "half_open", "closed"]


async def test_a_pause_lets_no_probe_through_and_keeps_what_was_known(breaker, nursery, autojump_clock):
    fail(breaker, 20)
    admitted = []

    async def request():
        admitted.append(await breaker.admit())

    nursery.start_soon(request)
    await wait_all_tasks_blocked()
    breaker.pause("paused by an operator")
    await trio.sleep(3600)
    assert (breaker.state, breaker.reason, breaker.next_probe) == ("paused", "paused by an operator", None)
    assert admitted == []
    breaker.resume()
    await wait_all_tasks_blocked()

    assert [admission.probe for admission in admitted] == [True]


async def test_resume_wakes_those_who_wait_at_once(breaker, nursery, autojump_clock):
    breaker.pause("paused by an operator")
    admitted = []

    async def request():
        admitted.append(await breaker.admit())

    nursery.start_soon(request)
    await trio.sleep(10)
    breaker.resume()
    await wait_all_tasks_blocked()

    assert [admission.probe for admission in admitted] == [False]
    assert breaker.state == "closed"


async def test_a_probe_can_be_asked_for_before_its_time(breaker, nursery, autojump_clock):
    fail(breaker, 20)
    await trio.sleep(1)
    breaker.probe_now()

    assert (await breaker.admit()).probe
    assert trio.current_time() == 1.0


async def test_thresholds_are_the_user_s(autojump_clock):
    breaker = Breaker(SystemClock(), Thresholds(consecutive=2, probe_every=5.0))
    fail(breaker, 2)
    await breaker.admit()

    assert trio.current_time() == 5.0


async def test_nobody_waits_for_a_breaker_that_was_dismissed(breaker, nursery, autojump_clock):
    fail(breaker, 20)
    ended = []

    async def request():
        with pytest.raises(Closed):
            await breaker.admit()
        ended.append(trio.current_time())

    nursery.start_soon(request)
    await trio.sleep(1)
    breaker.dismiss()
    await wait_all_tasks_blocked()

    assert ended == [1.0]


async def test_a_dismissed_breaker_that_is_closed_lets_through(breaker):
    breaker.dismiss()

    assert not (await breaker.admit()).probe
