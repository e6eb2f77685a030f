"""A paused sync sends nothing: neither what it had made, nor what is tried again; others are not held up."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from engine.messages import Delivery
from engine.plugin import Item, by_status
from tests.support.grown import ORDERS, always, each, grow, inturn, reopened, unbalanced

TWO = (
    ORDERS
    + """
[syncs.others]
source = "shop"
destination = "crm"
[[syncs.others.event_types]]
mapping = { n = "properties.n" }
"""
)
KEYED = ORDERS.replace('destination = "crm"', 'destination = "crm"\norder_by = "userId"')
HOURS = 3600.0


class Slow:
    """An answer that waits until it is let go, every time."""

    def __init__(self) -> None:
        self.go = trio.Event()

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        await self.go.wait()
        return [by_status(200)] * len(batch)


async def test_what_waits_in_its_lane_waits_and_goes_on_in_order(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = slow = Slow()
    await engine.send(100)
    await engine.desk().called(1)
    await engine.tree.operator.pause("syncs", "orders")
    slow.go.set()
    await trio.sleep(HOURS)

    assert engine.desk().positions == [1]  # it was on its way
    status = await engine.tree.operator.status()
    assert (status.syncs[0].state, status.syncs[0].pending, status.destinations[0].waiting) == ("paused", 99, 99)

    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled()
    assert engine.desk().positions == list(range(1, 101))
    assert unbalanced(status) == []


async def test_another_sync_to_the_same_destination_is_not_held_up(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    await engine.tree.operator.pause("syncs", "orders")
    await engine.send(2000)
    await trio.sleep(60)

    sent = [one for call in engine.desk().calls for one in call.batch]
    assert ({one.sync for one in sent}, len(sent)) == ({"others"}, 2000)


async def test_what_is_tried_again_waits_and_the_time_does_not_count(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = always(500)
    await engine.send()
    await engine.desk().called(3)
    await engine.tree.operator.pause("syncs", "orders")
    await trio.sleep(24 * HOURS)  # far more than a retry's window of four hours

    assert len(engine.desk().calls) == 3
    engine.desk().answer = inturn(always(500), always(200))
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled(900)

    assert [call.batch[0].attempts for call in engine.desk().calls] == [0, 1, 2, 3, 4]
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (1, 0)
    assert unbalanced(status) == []


async def test_what_was_paused_for_a_moment_is_tried_again_soon(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = inturn(always(500), always(200))
    await engine.send()
    await engine.desk().called(1)
    await engine.tree.operator.pause("syncs", "orders")
    await trio.sleep(60)
    await engine.tree.operator.resume("syncs", "orders")
    resumed = trio.current_time()
    await engine.desk().called(2)

    assert trio.current_time() - resumed <= 16


async def test_what_is_due_and_stands_before_the_sender_is_taken_back(nursery, autojump_clock):
    engine = await grow(
        nursery, TWO.replace('"properties.n" }\n', '"properties.n" }\nfilter = "properties.n < 50"\n', 1)
    )
    engine.desk().answer = each(lambda one: 500 if one.sync == "orders" else 200)
    await engine.send(49)
    await engine.desk().called(98)
    engine.desk().answer = slow = Slow()
    await engine.desk().called(99)  # the first is tried again, and hangs; the others become due behind it
    await trio.sleep(5)
    before = (await engine.tree.operator.status()).destinations[0].waiting
    await engine.tree.operator.pause("syncs", "orders")
    after = (await engine.tree.operator.status()).destinations[0].waiting
    asked = len(engine.desk().calls)
    slow.go.set()
    await engine.send(1)
    await trio.sleep(HOURS)

    assert before > 10
    assert after == 0
    sent = [(one.sync, one.position) for call in engine.desk().calls[asked:] for one in call.batch]
    assert {sync for sync, _ in sent} == {"others"}
    assert ("others", 50) in sent
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled(900)
    assert [one.delivered for one in status.syncs] == [49, 50]
    assert unbalanced(status) == []


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_what_waited_in_its_lane_is_not_sent_by_the_next_life_either(nursery, autojump_clock, how):
    first = await grow(nursery, ORDERS, remember=True)
    first.desk().answer = slow = Slow()
    await first.send(10)
    await first.desk().called(1)
    await first.tree.operator.pause("syncs", "orders")
    slow.go.set()
    await trio.sleep(10)
    await (first.stop() if how == "stopped" else first.crash())
    second = await grow(nursery, ORDERS, reopened(first.store), remember=True)
    await trio.sleep(HOURS)

    assert second.desk().calls == []
    await second.tree.operator.resume("syncs", "orders")
    status = await second.settled()
    assert second.desk().positions == list(range(2, 11))
    assert status.syncs[0].delivered == 10


async def test_the_order_of_a_key_holds_over_a_pause(nursery, autojump_clock):
    engine = await grow(nursery, KEYED)
    engine.desk().answer = each(lambda one: 500 if one.position == 3 and one.attempts < 2 else 200)
    await engine.send(20)
    await engine.desk().called(3)
    await engine.tree.operator.pause("syncs", "orders")
    await trio.sleep(HOURS)
    assert engine.desk().positions == [1, 2, 3]
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled(900)

    assert engine.desk().positions == [1, 2, 3, 3, *range(3, 21)]
    assert unbalanced(status) == []
