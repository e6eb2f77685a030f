"""What a sick destination costs over hours: each kind of outage with its exact fate, and how often it was asked.

A request is answered at once here, so that only the engine's own pace shows: 20 failures open the breaker, a probe
goes out every 30 s, Retry-After is kept to the second, and a retry waits half of 5 s · 2ⁿ, at most 5 min.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import trio

from actors.tree import LANE_PLACES
from engine.messages import Delivery, State
from engine.observe.status import Status
from engine.plugin import Item
from engine.store.base import Selection
from tests.support.deaths import fail_once
from tests.support.grown import ORDERS, Answer, always, each, grow, reopened, unbalanced

HOUR = 3600.0
FIVE = 5 * HOUR
OPENS = 20
"""Failures in a row."""
PROBES = int(FIVE / 30)
"""One every 30 s, for five hours."""
EVENTS = 100


async def dead(_batch: Sequence[Delivery]) -> Sequence[Item]:
    """Refuse the connection."""
    raise ConnectionRefusedError("Connection refused")


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """Five hours of the same answer.

    Attributes:
        answer: the destination's.
        asked: requests within that time, however much waits; fewer if too little waits to open the breaker at once.
        state: of the destination.
        reason: why it is not closed, as status says it.
        waits: the reason that its deliveries are listed with.
    """

    answer: Answer
    asked: int
    state: str
    reason: str
    waits: str


OUTAGES = {
    "dead": Outage(
        answer=dead, asked=OPENS + PROBES, state="open", reason="20 failures in a row", waits="network"
    ),
    "503": Outage(
        answer=always(503), asked=OPENS + PROBES, state="open", reason="20 failures in a row", waits="status_503"
    ),
    "500 for all": Outage(
        answer=always(500), asked=OPENS + PROBES, state="open", reason="20 failures in a row", waits="status_500"
    ),
    "429 storm with Retry-After: 60": Outage(
        answer=always(429, retry_after=60.0), asked=int(FIVE / 60), state="closed", reason="", waits="status_429"
    ),
    "429 storm that asks for a day": Outage(  # an hour is the longest that is kept to
        answer=always(429, retry_after=3600.0), asked=5, state="closed", reason="", waits="status_429"
    ),
    "429 storm that does not say how long": Outage(
        answer=always(429), asked=OPENS + PROBES, state="open", reason="20 failures in a row", waits="status_429"
    ),
    "401": Outage(
        answer=always(401),
        asked=1 + PROBES,
        state="attention",
        reason="the destination refuses us (status 401): check its credentials",
        waits="needs_attention",
    ),
}  # fmt: skip


MANY = [("dead", 3 * LANE_PLACES), ("429 storm with Retry-After: 60", 3 * LANE_PLACES)]
"""More than the lane holds: the router lags."""


@pytest.mark.parametrize(
    ("outage", "events"), [*((outage, events) for outage in OUTAGES for events in (2, EVENTS)), *MANY]
)
async def test_five_hours_of_it_lose_nothing_and_hammer_nobody(nursery, autojump_clock, outage, events):
    told = OUTAGES[outage]
    if events < OPENS and told.waits == "status_500":
        return  # a few events that meet 500 for hours may be to blame themselves: see below
    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    engine.desk().answer = told.answer
    await engine.send(events)
    await trio.sleep(FIVE)

    [destination] = (await engine.tree.operator.status()).destinations
    assert len(engine.desk().calls) <= told.asked + 2
    assert len(engine.desk().calls) >= told.asked - 2 or events < OPENS
    assert (destination.state, destination.reason) == (told.state, told.reason)
    waiting = await engine.store.ledger.list(Selection(states=(State.RETRYING,)))
    assert {one.reason for one in waiting} == {told.waits}
    assert len(waiting) <= told.asked + 2  # whatever was never tried lies in the log, and costs no row

    asked = len(engine.desk().calls)
    engine.desk().answer = always(200)
    status = await engine.settled(2 * HOUR)
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (events, 0)
    assert len(engine.desk().calls) == asked + events  # each arrives at its first attempt from now on
    assert status.destinations[0].state == "closed"
    assert unbalanced(status) == []


@pytest.mark.parametrize("others", [0, 1])
async def test_one_event_that_always_gives_500_ends_in_the_archive_and_opens_nothing(nursery, autojump_clock, others):
    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    engine.desk().answer = each(lambda delivery: 500 if delivery.position == 3 else 200)
    await engine.send(10)
    states: set[str] = set()
    for _ in range(16):
        await trio.sleep(HOUR / 4)
        if others:
            await engine.send(others)
        states.add((await engine.tree.operator.status()).destinations[0].state)
    status = await engine.settled(HOUR)

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason, trouble.error) == (3, "retries_exhausted", "status 500")
    # Half of 5, 10, 20, 40, 80 and 160 s, then half of 5 min until four hours are over.
    assert trouble.attempts == 1 + 6 + 95
    assert len(engine.desk().calls) == 9 + 16 * others + trouble.attempts
    assert states == {"closed"}
    assert status.syncs[0].delivered == 9 + 16 * others
    assert unbalanced(status) == []


async def test_one_403_among_good_ones_costs_half_a_minute_once(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    engine.desk().answer = each(lambda delivery: 403 if delivery.position == 3 else 200)
    await engine.send(EVENTS)
    status = await engine.settled(HOUR)

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason, trouble.attempts) == (3, "rejected_403", 2)
    assert len(engine.desk().calls) == EVENTS + 1
    assert [round(at) for at in engine.desk().times[:4]] == [0, 0, 0, 30]
    assert status.syncs[0].delivered == EVENTS - 1
    assert unbalanced(status) == []


async def test_a_receiver_that_stops_for_two_seconds_is_waited_for(nursery, autojump_clock):
    stopped = trio.Event()

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        await stopped.wait()
        return await always(200)(batch)

    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    engine.desk().answer = answer
    await engine.send(EVENTS)
    await trio.sleep(2.0)
    asked = len(engine.desk().calls)
    stopped.set()
    status = await engine.settled()

    assert (asked, len(engine.desk().calls)) == (1, EVENTS)
    assert status.syncs[0].delivered == EVENTS
    assert unbalanced(status) == []


async def test_a_destination_that_flaps_is_asked_little_while_it_is_down(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    down: list[float] = []

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        if int(trio.current_time() // 60) % 2:
            return await always(200)(batch)
        down.append(trio.current_time())
        return await always(503)(batch)

    engine.desk().answer = answer
    for _ in range(120):  # two hours, a minute down and a minute up, and always five events more
        await engine.send(5)
        await trio.sleep(60.0)
    status: Status = await engine.settled(HOUR)

    assert (status.syncs[0].delivered, status.syncs[0].archived) == (600, 0)
    # In each of 60 minutes at most what opens the breaker, and a probe or two.
    assert len(down) <= 60 * (OPENS + 2)
    assert len(engine.desk().calls) == 600 + len(down)
    assert unbalanced(status) == []


@pytest.mark.parametrize("how", ["paused", "dead"])
async def test_hours_in_which_it_was_not_to_be_had_do_not_count_after_a_restart(nursery, autojump_clock, how):
    first = await grow(nursery, ORDERS, answers={"crm": dead if how == "dead" else always(503)})
    await first.unwatched()
    await first.send(OPENS)
    await first.desk().called(4 * OPENS)
    if how == "paused":
        await first.tree.operator.pause("destinations", "crm")
    await trio.sleep(FIVE)
    await first.crash()

    second = await grow(nursery, ORDERS, reopened(first.store), answers={"crm": always(503)})
    await second.tree.operator.resume("destinations", "crm")
    await second.desk().called(OPENS)
    assert await second.archived() == []
    second.desk().answer = always(200)
    status = await second.settled(FIVE)

    assert (status.syncs[0].delivered, status.syncs[0].archived) == (OPENS, 0)


async def test_hours_of_a_pause_do_not_count_though_the_sender_dies_behind_it(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.unwatched()
    engine.desk().answer = always(500)
    await engine.send(1)
    await engine.desk().called(2)
    await engine.tree.operator.pause("destinations", "crm")
    await trio.sleep(FIVE)
    fail_once(engine.tree.ports["crm"].downtime, "within")  # asked for when an attempt has failed
    await engine.tree.operator.resume("destinations", "crm")
    await engine.desk().called(3)
    await trio.sleep(60)

    [waits] = await engine.store.ledger.list(Selection(states=(State.RETRYING,)))
    assert waits.attempts > 3
    assert waits.excused > FIVE - 60
    assert await engine.archived() == []
