"""A batch that a real HTTP destination refuses as a whole is divided until the bad delivery is alone."""

from __future__ import annotations

import trio

from engine.messages import Reply
from tests.support.grown import grow, unbalanced
from tests.support.sink import Sink

BATCHES = """
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_private = true
batch = 8
concurrency = 1
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""


async def started(nursery: trio.Nursery, judge):
    """Return an engine that holds its first batch back until all eight events are there, and its destination."""
    sink = Sink()
    sink.judge = judge
    await nursery.start(sink.run)
    engine = await grow(nursery, BATCHES.format(port=sink.port))
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(8)
    await engine.tree.operator.resume("destinations", "crm")
    return engine, sink


async def test_a_batch_that_is_too_large_is_sent_in_halves(nursery):
    engine, sink = await started(nursery, lambda body: Reply(status=413 if body.count(b'"n"') > 2 else 200))
    await sink.took(8)
    await engine.stop()

    requests = [[each.number for each in sink.arrivals if each.at == at] for at in dict.fromkeys(moments(sink))]
    assert requests[0] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [each.number for each in sink.arrivals if each.status == 200] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [each.status for each in sink.arrivals].count(413) == 8 + 4 + 4
    assert await engine.archived() == []
    counts = await engine.store.meta.counts()
    assert counts["sync:orders", "delivered"] == 8


async def test_a_refusal_that_does_not_say_which_finds_the_one_bad_event(nursery):
    engine, sink = await started(nursery, lambda body: Reply(status=400 if b'"n":5' in body else 200))
    await sink.took(7)
    await engine.stop()

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason, trouble.status) == (5, "rejected_400", 400)
    assert b'[{"n":5}]' in trouble.request
    assert [each.number for each in sink.arrivals if each.status == 200] == [1, 2, 3, 4, 6, 7, 8]
    counts = await engine.store.meta.counts()
    assert (counts["sync:orders", "delivered"], counts["sync:orders", "archived"]) == (7, 1)


async def test_one_event_that_is_too_large_by_itself_is_archived(nursery):
    engine, sink = await started(nursery, lambda body: Reply(status=413 if b'"n":5' in body else 200))
    await sink.took(7)
    await engine.stop()

    assert [(one.position, one.reason) for one in await engine.archived()] == [(5, "rejected_413")]


async def test_what_time_heals_is_not_divided(nursery):
    replies = [Reply(status=503, headers=(("retry-after", "1"),)), Reply(status=200)]
    engine, sink = await started(nursery, lambda _body: replies.pop(0) if len(replies) > 1 else replies[0])
    await sink.took(8)
    status = await engine.settled()

    assert [each.number for each in sink.arrivals] == [*range(1, 9), *range(1, 9)]
    assert len({each.key for each in sink.arrivals}) == 8
    assert sink.arrivals[8].at - sink.arrivals[0].at >= 1.0
    assert unbalanced(status) == []


async def test_a_quota_that_is_used_up_holds_all_events_back_though_all_is_well(nursery):
    spent = (("ratelimit", '"burst";r=0;t=1'), ("ratelimit-policy", '"burst";q=1;w=1'))
    replies = [Reply(status=200, headers=spent), Reply(status=200)]
    sink = Sink()
    sink.judge = lambda _body: replies.pop(0) if len(replies) > 1 else replies[0]
    await nursery.start(sink.run)
    engine = await grow(nursery, BATCHES.format(port=sink.port).replace("batch = 8", "batch = 2"))
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(6)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    at = list(dict.fromkeys(moments(sink)))
    assert at[1] - at[0] >= 1.0
    assert (status.syncs[0].delivered, len(sink.arrivals)) == (6, 6)


async def test_a_status_that_this_destination_means_otherwise_is_tried_again_and_divides_nothing(nursery):
    replies = [Reply(status=409), Reply(status=200)]
    sink = Sink()
    sink.judge = lambda _body: replies.pop(0) if len(replies) > 1 else replies[0]
    await nursery.start(sink.run)
    rules = 'retry = { retry_on = [409], backoff = "1ms..1ms" }\n[syncs.orders]'
    engine = await grow(nursery, BATCHES.format(port=sink.port).replace("[syncs.orders]", rules, 1))
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(8)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    assert [each.number for each in sink.arrivals][:8] == list(range(1, 9))
    assert len(sink.arrivals) == 16
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (8, 0)


async def test_a_mapping_that_fails_archives_its_own_event_type_only(nursery, autojump_clock):
    text = """
    [destinations.crm]
    type = "desk"
    [syncs.orders]
    source = "shop"
    destination = "crm"
    match = "all"
    [[syncs.orders.event_types]]
    name = "good"
    mapping = { n = "properties.n" }
    [[syncs.orders.event_types]]
    name = "bad"
    mapping = { n = "{{ row['event'] | cast: 'number' }}" }
    """
    engine = await grow(nursery, text)
    await engine.send(3)
    status = await engine.settled()

    assert sorted(engine.desk().positions) == [1, 2, 3]
    sync = status.syncs[0]
    assert (sync.matched, sync.created, sync.delivered, sync.archived) == (3, 6, 3, 3)
    assert {(one.event_type, one.stage, one.reason) for one in await engine.archived()} == {
        ("bad", "mapping", "mapping_failed")
    }
    assert unbalanced(status) == []


def moments(sink: Sink) -> list[float]:
    return [each.at for each in sink.arrivals]
