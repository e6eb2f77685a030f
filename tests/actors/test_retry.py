"""When a delivery is tried again, and when no more: by the destination's schedule, with trio's clock."""

from __future__ import annotations

import itertools

import trio

from tests.support.grown import NOW, ORDERS, always, each, grow, inturn, reopened, unbalanced

SCHEDULE = """
[destinations.crm.retry]
window = "1h"
backoff = "10s..5m"
max_age = "3h"
[destinations.crm.breaker]
failures = 9999
ratio = 1.0
"""


async def test_a_failed_delivery_is_tried_again_by_the_schedule(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = inturn(*[always(500)] * 7, always(200))
    await engine.send()
    status = await engine.settled(3600)

    # 10 s · 2ⁿ, at most 5 min, of which a roll of 0.5 takes half; each waits for the commit of the one before.
    waits = [after - before for before, after in itertools.pairwise(engine.desk().times)]
    assert [round(wait) for wait in waits] == [5, 10, 20, 40, 80, 150, 150]
    assert len({call.batch[0].key for call in engine.desk().calls}) == 1
    assert [call.batch[0].attempts for call in engine.desk().calls] == list(range(8))
    assert status.syncs[0].delivered == 1
    assert unbalanced(status) == []


async def test_a_delivery_that_never_arrives_is_archived_when_its_window_is_over(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = always(503)
    await engine.send()
    status = await engine.settled(7200)

    [trouble] = await engine.archived()
    assert (trouble.reason, trouble.status, trouble.attempts) == ("retries_exhausted", 0, len(engine.desk().calls))
    assert 3600 <= engine.desk().times[-1] < 3600 + 150 + 1
    assert trouble.due_at == 0.0
    assert unbalanced(status) == []


async def test_a_slow_schedule_still_makes_the_least_number_of_attempts(nursery, autojump_clock):
    schedule = SCHEDULE.replace('window = "1h"', 'window = "1s"\nmin_attempts = 4')
    engine = await grow(nursery, ORDERS + schedule)
    engine.desk().answer = always(503)
    await engine.send()
    await engine.settled(3600)

    assert [trouble.attempts for trouble in await engine.archived()] == [4]


async def test_what_a_destination_s_outage_took_is_not_held_against_an_event_until_it_is_too_old(
    nursery, autojump_clock
):
    engine = await grow(nursery, ORDERS + SCHEDULE.replace("9999", "1"))
    engine.desk().answer = always(503)
    await engine.send()
    await trio.sleep(2 * 3600)
    assert (await engine.tree.operator.status()).syncs[0].pending == 1

    status = await engine.settled(2 * 3600)
    [trouble] = await engine.archived()
    assert trouble.reason == "too_old"
    assert 3 * 3600 <= trouble.last_at - NOW < 3 * 3600 + 300
    assert unbalanced(status) == []


async def test_retry_after_holds_the_whole_destination_back_and_is_no_attempt(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = inturn(always(429, retry_after=600.0), always(200))
    await engine.send(3)
    status = await engine.settled(1200)

    times = engine.desk().times
    assert times[0] < 1.0
    assert times[1] == 600.0 + times[0]
    assert all(at < times[1] + 1.0 for at in times[1:])
    assert sorted(engine.desk().positions[1:]) == [1, 2, 3]
    again = next(call.batch[0] for call in engine.desk().calls[1:] if call.batch[0].position == 1)
    assert again.attempts == 0
    assert status.syncs[0].delivered == 3
    assert unbalanced(status) == []


async def test_a_retry_that_waits_for_hours_in_a_paused_destination_is_sent_once(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = always(500)
    await engine.send()
    await engine.desk().called(1)
    await engine.tree.operator.pause("destinations", "crm")
    await trio.sleep(2 * 3600)
    engine.desk().answer = always(200)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    assert len(engine.desk().calls) == 2
    assert status.destinations[0].waiting == 0
    assert unbalanced(status) == []


async def test_retries_are_claimed_no_more_than_the_sender_has_room_for(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = always(500)
    await engine.send(1500)
    await engine.desk().called(1500)
    await engine.tree.operator.pause("destinations", "crm")
    await trio.sleep(600)
    status = await engine.tree.operator.status()

    assert status.syncs[0].pending == 1500
    assert 1000 < status.destinations[0].waiting <= 1024


async def test_a_retry_survives_the_engine_and_keeps_its_payload_key_and_time(nursery, autojump_clock):
    first = await grow(nursery, ORDERS + SCHEDULE)
    first.desk().answer = always(500)
    await first.send()
    await first.desk().called(4)
    await trio.sleep(1)
    await first.crash()
    second = await grow(nursery, ORDERS + SCHEDULE, reopened(first.store))
    status = await second.settled(600)

    before, after = first.desk().calls[-1].batch[0], second.desk().calls[0].batch[0]
    assert (after.key, after.payload, after.attempts) == (before.key, before.payload, 4)
    assert len(second.desk().calls) == 1
    assert status.syncs[0].delivered == 1


async def test_due_retries_and_live_deliveries_take_turns(nursery, autojump_clock):
    failing = set(range(1, 21))
    engine = await grow(nursery, ORDERS + SCHEDULE)
    engine.desk().answer = each(lambda delivery: 500 if delivery.position in failing else 200)
    await engine.send(20)
    await engine.desk().called(20)
    await engine.tree.operator.pause("destinations", "crm")
    failing.clear()
    await engine.send(20)
    await trio.sleep(60)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    kinds = ["due" if position <= 20 else "live" for position in engine.desk().positions[20:]]
    assert len(kinds) == 40
    assert all(before != after for before, after in itertools.pairwise(kinds))
    assert unbalanced(status) == []
