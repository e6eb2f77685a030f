"""What goes into one request: what waits, as much as fits, and only what may stand together."""

from __future__ import annotations

import trio

from tests.support.grown import ORDERS, grow, unbalanced

BATCHES = ORDERS.replace('type = "desk"', 'type = "desk"\nbatch = 4')
BY_LIST = BATCHES.replace("batch = 4", 'batch = 4\nbatch_keys = ["list"]').replace(
    "mapping = {", 'mapping = { list = "properties.list",'
)
LINGER = BATCHES.replace("batch = 4", 'batch = 4\nlinger = "2s"')


async def test_a_batch_holds_only_deliveries_with_equal_keys(nursery, autojump_clock):
    engine = await grow(nursery, BY_LIST)
    await engine.tree.operator.pause("destinations", "crm")
    for name in ("a", "b", "a", "a", "b", "a", "a"):
        await engine.send(list=name)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    assert [[each.position for each in call.batch] for call in engine.desk().calls] == [[1, 3, 4, 6], [2, 5], [7]]
    assert unbalanced(status) == []


async def test_nobody_waits_for_a_batch_to_fill_unless_asked_to(nursery, autojump_clock):
    engine = await grow(nursery, BATCHES)
    await engine.send()
    await engine.desk().called(1)

    assert engine.desk().times[0] < 0.1


async def test_a_request_that_lingers_leaves_when_its_batch_is_full_or_its_time_is_over(nursery, autojump_clock):
    engine = await grow(nursery, LINGER)
    await engine.send()
    await trio.sleep(0.5)
    await engine.send()
    await engine.desk().called(1)
    await trio.sleep(10)
    began = engine.tree.clock.monotonic()
    await engine.send(2)
    await trio.sleep(1)
    await engine.send(2)
    status = await engine.settled()

    first, second = engine.desk().calls
    assert [each.position for each in first.batch] == [1, 2]
    assert 2.0 <= first.at < 2.1
    assert [each.position for each in second.batch] == [3, 4, 5, 6]
    assert 1.0 <= second.at - began < 1.1
    assert unbalanced(status) == []


async def test_a_request_that_lingers_is_sent_at_the_end(nursery, autojump_clock):
    engine = await grow(nursery, LINGER.replace("2s", "1h"))
    await engine.send(3)
    await trio.sleep(1)
    await engine.stop()

    assert engine.desk().positions == [1, 2, 3]
