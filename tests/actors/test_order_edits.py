"""An ordered sync that is edited: what waits behind a key goes along or to the archive, and nothing is discarded."""

from __future__ import annotations

import pytest
import trio

from engine.runtime import turns
from tests.support.edited import WAYS, Edited
from tests.support.grown import each
from tests.support.order import Came, disorder

ORDERED = """
[destinations.crm]
type = "desk"
concurrency = 4
[destinations.crm.retry]
backoff = "10s..1m"
[destinations.crm.breaker]
failures = 9999
ratio = 1.0
"""
SYNC = """
[syncs.orders]
source = "shop"
destination = "crm"
order_by = "properties.user"
[[syncs.orders.event_types]]
mapping = { n = "properties.n", user = "properties.user" }
"""
FAILING = {"crm": each(lambda one: 500 if one.position % 50 == 1 else 200)}
"""The first of each of two keys fails, so that others wait behind it."""

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
async def waiting(nursery, way, monkeypatch):
    """An engine in which, behind two keys, some wait in memory, and the others in the ledger."""
    monkeypatch.setattr(turns.Turns.__init__, "__defaults__", (10, 30))
    edited = Edited(nursery, way)
    await edited.begin(ORDERED + SYNC, FAILING)
    for number in range(20):
        await edited.send(10, user=f"u{number % 2}")
    await trio.sleep(1)
    line = edited.engine.tree.orderings.of("orders").turns
    assert line.standing > 5
    assert line.parked > 50
    return edited


async def test_what_waits_behind_a_key_of_a_removed_sync_is_archived(autojump_clock, waiting: Edited):
    arrived = set(waiting.positions()) - {1, 51, 101, 151}
    await waiting.edit(ORDERED)
    await waiting.send(1)
    await waiting.settled()
    told = await waiting.counts("sync:orders")

    gone = [one.position for one in await waiting.archived("sync_removed")]
    assert sorted({*gone, *arrived}) == list(range(1, 201))
    assert told == {"matched": 200, "created": 200, "archived": len(gone), "delivered": 200 - len(gone)}


@pytest.mark.parametrize(
    "edit", ["goes elsewhere", "is renamed", "maps otherwise", "loses its order", "has another key"]
)
async def test_what_waits_behind_a_key_goes_along(autojump_clock, waiting: Edited, edit: str):
    text = {
        "goes elsewhere": (ORDERED + SYNC).replace("crm", "erp"),
        "is renamed": ORDERED
        + SYNC.replace("syncs.orders", "syncs.sales").replace("order_by", 'was = "orders"\norder_by'),
        "maps otherwise": ORDERED + SYNC.replace("{ n =", '{ m = { value = "x" }, n ='),
        "loses its order": ORDERED + SYNC.replace('order_by = "properties.user"\n', ""),
        "has another key": ORDERED + SYNC.replace("properties.user", "userId", 1),
    }[edit]
    await waiting.edit(text)
    await waiting.send(1, user="u0")
    status = await waiting.settled()

    calls = [
        Came("", key, position)
        for destination in ("crm", "erp")
        for sync in ("orders", "sales")
        for position, _, key in waiting.calls(destination, sync)
    ]
    assert sorted({one.place for one in calls}) == list(range(1, 202))
    assert len({one.key for one in calls}) == 201
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].discarded) == (201, 201, 0)


async def test_a_sync_that_goes_elsewhere_keeps_its_order(autojump_clock, waiting: Edited):
    await waiting.edit((ORDERED + SYNC).replace("crm", "erp"))
    await waiting.settled()

    came = [*waiting.calls("crm"), *waiting.calls("erp")]
    users = {position: f"u{(position - 1) // 10 % 2}" for position, _, _ in came}
    assert disorder([Came(users[position], key, position) for position, _, key in came]) == []
