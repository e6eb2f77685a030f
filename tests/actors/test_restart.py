"""What an engine makes of what the last one left: open deliveries, another plan, new and removed syncs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from actors.router import reopened as sent_again
from engine.lang.keys import delivery_key
from engine.messages import Delivery, Event
from tests.support.grown import NOW, ORDERS, Engine, always, each, grow, hang, reopened, shop_plan

MANY_HANDS = ORDERS.replace("concurrency = 1", 'concurrency = 8\ntimeout = "1h"')
OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")
NO_ORDERS = """
[destinations.crm]
type = "desk"
[syncs.rest]
source = "shop"
destination = "crm"
[[syncs.rest.event_types]]
"""


async def left_open(nursery, *positions: int, count: int = 20) -> Engine:
    """Return an engine that ended while the deliveries at these positions were on their way."""

    async def answer(batch: Sequence[Delivery]):
        return await (hang if batch[0].position in positions else always(200))(batch)

    engine = await grow(nursery, MANY_HANDS)
    engine.desk().answer = answer
    await engine.send(count)
    await trio.sleep(1)
    assert sorted(position for position, _ in engine.tree.books.syncs["orders"].open) == list(positions)
    await engine.crash()
    return engine


async def test_only_what_was_open_is_sent_again_with_the_same_keys(nursery, autojump_clock):
    first = await left_open(nursery, 3, 7, 20)
    second = await grow(nursery, MANY_HANDS, reopened(first.store))
    status = await second.settled()

    keys = {call.batch[0].position: call.batch[0].key for call in first.desk().calls}
    assert {call.batch[0].position: call.batch[0].key for call in second.desk().calls} == {
        position: keys[position] for position in (3, 7, 20)
    }
    assert (status.syncs[0].created, status.syncs[0].delivered) == (20, 20)


async def test_what_was_open_is_sent_again_before_anything_new(nursery, autojump_clock):
    first = await left_open(nursery, 3, 7)
    second = await grow(nursery, ORDERS, reopened(first.store))
    await second.send(5)
    await second.settled()

    assert second.desk().positions == [3, 7]  # messages m1 to m5 were seen before
    assert second.tree.doors["shop"].counts.duplicate == 5


async def test_open_deliveries_far_apart_are_all_found(nursery, autojump_clock):
    first = await left_open(nursery, 1, 300, 301, 900, count=900)
    second = await grow(nursery, MANY_HANDS, reopened(first.store))
    await second.settled()

    assert sorted(second.desk().positions) == [1, 300, 301, 900]


async def test_a_sync_that_takes_no_such_events_any_more_discards_what_was_open(nursery, autojump_clock):
    first = await left_open(nursery, 3, 7)
    second = await grow(nursery, ORDERS + 'filter = "properties.n > 5"\n', reopened(first.store))
    status = await second.settled()

    assert second.desk().positions == [7]
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].discarded) == (20, 19, 1)


async def test_what_today_s_plan_makes_of_an_open_event_takes_its_place(nursery, autojump_clock):
    first = await left_open(nursery, 3, 7)
    two = (
        ORDERS.replace("[[", 'match = "all"\n[[')
        + """
        name = "one"
        [[syncs.orders.event_types]]
        name = "two"
        filter = "properties.n = 7"
        """
    )
    second = await grow(nursery, two, reopened(first.store))
    status = await second.settled()

    made = [(call.batch[0].position, call.batch[0].event_type) for call in second.desk().calls]
    assert sorted(made) == [(3, "one"), (7, "one"), (7, "two")]
    sync = status.syncs[0]
    assert (sync.created, sync.delivered, sync.discarded, sync.pending) == (23, 21, 2, 0)


async def test_a_changed_mapping_keeps_the_key_and_sends_the_new_payload(nursery, autojump_clock):
    first = await left_open(nursery, 3)
    second = await grow(nursery, ORDERS.replace("{ n =", "{ number ="), reopened(first.store))
    await second.settled()

    [again] = second.desk().calls[0].batch
    assert again.payload == b'{"number":3}'
    assert again.key == next(call.batch[0].key for call in first.desk().calls if call.batch[0].position == 3)


async def test_a_removed_sync_leaves_its_retries_in_the_archive(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    first.desk().answer = each(lambda delivery: 500 if delivery.position < 4 else 200)
    await first.send(10)
    await first.desk().called(10)
    await trio.sleep(0.5)
    await first.crash()
    second = await grow(nursery, NO_ORDERS, reopened(first.store))

    assert {trouble.reason for trouble in await second.archived()} == {"sync_removed"}
    assert sorted(trouble.position for trouble in await second.archived()) == [1, 2, 3]
    assert second.desk().calls == []
    counts = await second.store.meta.counts()
    assert (counts["sync:orders", "created"], counts["sync:orders", "delivered"]) == (10, 7)
    assert counts["sync:orders", "archived"] == 3


async def test_a_new_sync_begins_where_it_says(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    await first.send(10)
    await trio.sleep(3600)
    await first.send(10)
    await first.settled()
    await first.crash()
    starts = {"latest": [], "earliest": list(range(1, 21)), "2026-01-01T00:30:00Z": list(range(11, 21))}
    text = ORDERS + "".join(
        OTHERS.replace("others", f"new{number}").replace("erp", f"erp{number}").replace("[[", f'start = "{start}"\n[[')
        for number, start in enumerate(starts)
    )
    second = await grow(nursery, text, reopened(first.store))
    await second.settled()

    assert [second.desk(f"erp{number}").positions for number in range(3)] == list(starts.values())
    assert second.desk().calls == []


async def test_where_a_new_sync_begins_is_remembered_before_it_has_done_anything(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    await first.send(10)
    await first.settled()
    await first.crash()
    second = await grow(nursery, ORDERS + OTHERS, reopened(first.store))
    await second.crash()
    third = await grow(nursery, ORDERS, reopened(second.store))
    await third.crash()
    fourth = await grow(nursery, ORDERS + OTHERS.replace("[[", 'start = "earliest"\n[['), reopened(second.store))
    await fourth.settled()

    assert fourth.desk("erp").positions == list(range(1, 11))  # it was removed in between, so it is new again


async def test_what_was_paused_stays_paused(nursery, autojump_clock):
    first = await grow(nursery, ORDERS + OTHERS)
    await first.tree.operator.pause("syncs", "orders")
    await first.tree.operator.pause("destinations", "erp")
    await first.send(5)
    await first.crash()
    second = await grow(nursery, ORDERS + OTHERS, reopened(first.store))
    await trio.sleep(60)
    assert (second.desk("crm").calls, second.desk("erp").calls) == ([], [])

    await second.tree.operator.resume("syncs", "orders")
    await second.tree.operator.resume("destinations", "erp")
    await second.settled()
    assert (second.desk("crm").positions, second.desk("erp").positions) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


async def test_what_is_paused_at_the_same_time_stays_paused(nursery, autojump_clock):
    first = await grow(nursery, ORDERS + OTHERS)
    async with trio.open_nursery() as at_once:
        for name in ("crm", "erp"):
            at_once.start_soon(first.tree.operator.pause, "destinations", name)
            at_once.start_soon(first.tree.operator.pause, "syncs", {"crm": "orders", "erp": "others"}[name])
    await first.crash()
    second = await grow(nursery, ORDERS + OTHERS, reopened(first.store))
    status = await second.tree.operator.status()

    assert [sync.state for sync in status.syncs] == ["paused"] * 2
    assert [destination.state for destination in status.destinations] == ["paused"] * 2


async def test_a_sync_that_changed_its_destination_retries_at_the_new_one(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    first.desk().answer = always(429, retry_after=30.0)
    await first.send(2)
    await first.desk().called(1)
    await trio.sleep(0.5)
    await first.crash()
    moved = ORDERS.replace("crm", "erp") + NO_ORDERS
    second = await grow(nursery, moved, reopened(first.store))
    status = await second.settled(600)

    assert sorted(second.desk("erp").positions) == [1, 2]
    assert second.desk("crm").calls == []
    assert (status.syncs[0].created, status.syncs[0].delivered) == (2, 2)


@pytest.mark.parametrize(
    ("opened", "known", "again"),
    [
        (["a", "b"], [], ["a", "b"]),
        (["a"], ["a", "b"], ["a"]),  # b had its fate
        (["gone"], ["gone", "a"], ["b"]),  # b is new, and takes the place; a had its fate
        (["gone"], [], ["a", "b"]),  # only one could take it then: what is made now takes its place
        (["gone", "a"], ["gone", "a"], ["a", "b"]),
    ],
)
async def test_only_what_the_plan_makes_otherwise_is_affected(opened, known, again):
    plan = shop_plan(
        ORDERS.replace("[[", 'match = "all"\n[[') + 'name = "a"\n[[syncs.orders.event_types]]\nname = "b"\n'
    )
    sync = plan.syncs["orders"]
    body = {"type": "track", "event": "Seen"}
    made = sync.route(Event(position=1, message_id="m1", received_at=NOW, body=body), NOW).deliveries
    keys = {name: delivery_key("shop", "m1", "orders", name) for name in ("a", "b", "gone")}

    found = sent_again(sync, made, {keys[name] for name in opened}, frozenset(known))

    assert [delivery.event_type for delivery in found] == again


async def test_a_sync_that_was_renamed_meanwhile_goes_on_where_it_stood(nursery, autojump_clock):
    first = await left_open(nursery, 3, 7)
    keys = {call.batch[0].position: call.batch[0].key for call in first.desk().calls}
    renamed = ORDERS.replace("syncs.orders", "syncs.sales").replace("[[", 'was = "orders"\n[[')
    second = await grow(nursery, renamed, reopened(first.store))
    await second.send(21)
    status = await second.settled()

    sent = {call.batch[0].position: call.batch[0].key for call in second.desk().calls}
    assert {position: sent[position] for position in (3, 7)} == {position: keys[position] for position in (3, 7)}
    assert sorted(sent) == [3, 7, 21]
    assert (status.syncs[0].name, status.syncs[0].created, status.syncs[0].delivered) == ("sales", 21, 21)
