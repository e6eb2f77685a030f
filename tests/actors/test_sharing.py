"""Who shares what: one sick destination harms nobody else, one busy sync starves nobody, a full lane costs nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import trio

from engine.messages import Delivery
from engine.plugin import Item, by_status
from engine.store.base import Selection
from tests.support.grown import ORDERS, grow, hang, unbalanced

OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")
FUNCTION = """
functions = ["twice"]
[functions.twice]
file = "twice.py"
isolation = "inline"
"""
"""Goes on with `[sources.shop]`, with which the head ends."""
SHARED = """
[destinations.crm]
type = "desk"
concurrency = 1
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
[syncs.others]
source = "shop"
destination = "crm"
[[syncs.others.event_types]]
"""


async def test_syncs_that_share_a_destination_go_round(nursery, autojump_clock):
    engine = await grow(nursery, SHARED)
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(100)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    syncs = [call.batch[0].sync for call in engine.desk().calls]
    assert len(syncs) == 200
    assert all(before != after for before, after in itertools.pairwise(syncs))
    assert unbalanced(status) == []


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_sync_that_lags_and_one_that_is_live_share_alike(nursery, autojump_clock, concurrency):
    engine = await grow(nursery, SHARED.replace("concurrency = 1", f"concurrency = {concurrency}"))

    async def slow(batch: Sequence[Delivery]) -> Sequence[Item]:
        await trio.sleep(0.01)
        return [by_status(200)] * len(batch)

    engine.desk().answer = slow
    await engine.tree.operator.pause("syncs", "orders")
    await engine.send(3000)
    await trio.sleep(60)
    before = len(engine.desk().calls)
    await engine.tree.operator.resume("syncs", "orders")
    await engine.send(500)
    status = await engine.settled(600)

    calls = [call.batch[0] for call in engine.desk().calls[before:]]
    live = [number for number, one in enumerate(calls) if one.sync == "others"]
    assert len(live) == 500
    assert live[-1] - live[0] <= 2 * 500 + concurrency  # every second request is the live one's, whatever lags
    assert sorted(one.position for one in calls if one.sync == "orders") == list(range(1, 3501))
    assert unbalanced(status) == []


async def test_a_dead_destination_makes_its_sync_lag_and_writes_nothing(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS.replace("concurrency", 'timeout = "10h"\nconcurrency') + OTHERS)
    engine.desk("crm").answer = hang
    await engine.send(20_000)
    await trio.sleep(3600)
    status = await engine.tree.operator.status()

    syncs = {sync.name: sync for sync in status.syncs}
    assert syncs["others"].delivered == 20_000
    assert syncs["orders"].lag > 20_000 - 2048
    assert syncs["orders"].open <= 1024 + 256
    assert syncs["orders"].oldest_pending == 3600
    assert await engine.store.ledger.list(Selection()) == []
    waiting = engine.tree.offers["orders"].statistics()
    assert waiting.waiting <= waiting.size


async def test_a_lagging_sync_catches_up_in_log_order(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(10_000)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")
    await engine.send(1000)
    status = await engine.settled()

    assert engine.desk().positions == list(range(1, 11_001))
    assert unbalanced(status) == []


async def test_two_sources_in_one_log_keep_apart(nursery, autojump_clock):
    web = OTHERS.replace('source = "shop"', 'source = "web"')
    engine = await grow(nursery, ORDERS + web + '[sources.web]\nwrite_keys = ["web-key"]\n')
    for _ in range(20):
        await engine.send(7, "shop")
        await engine.send(5, "web")
    status = await engine.settled()

    crm, erp = engine.desk("crm").positions, engine.desk("erp").positions
    assert (len(crm), len(erp)) == (140, 100)
    assert sorted(crm + erp) == list(range(1, 241))
    assert (crm, erp) == (sorted(crm), sorted(erp))
    assert unbalanced(status) == []


async def test_a_function_s_results_reach_a_sync_that_lags(nursery, autojump_clock, tmp_path):
    (tmp_path / "twice.py").write_text(
        "def transform_events(events):\n"
        "    return [e for event in events for e in (event, event | {'event': 'Derived'})\n"
        "            if event['properties']['n'] % 3]\n"
    )
    engine = await grow(nursery, FUNCTION + ORDERS, folder=tmp_path)
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(6000)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()

    source = status.sources[0]
    assert (source.dropped, source.derived, source.passed) == (2000, 4000, 8000)
    assert engine.desk().positions == [n for n in range(1, 6001) if n % 3 for _ in range(2)]
    assert unbalanced(status) == []
