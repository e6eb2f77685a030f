"""Events that are read again are read by the plan that judged them, however many came since, and after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.support.edited import WAYS, Edited
from tests.support.grown import FUNCTION, ORDERS

PASSES = "def transform_events(events):\n    return events\n"
CONTRACT = """contract = "shop"
[contracts.shop]
on_undeclared_event = "block"
events = [{ type = "track", name = "Other", schema = { type = "object" } }]
"""
"""Blocks all that is sent here."""
EARLIEST = ORDERS.partition("[syncs")[2].join(["[syncs", ""]).replace("orders", "books")
EARLIEST = EARLIEST.replace("[[", 'start = "earliest"\n[[')
MANY = 2500
"""More than what waits in memory for a sync that is paused."""

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
async def edited(nursery, way, tmp_path: Path):
    (tmp_path / "f.py").write_text(PASSES)
    return Edited(nursery, way, tmp_path)


async def restarted(edited: Edited, text: str) -> None:
    """Let another engine begin with the same configuration."""
    before, edited._way = edited._way, "offline"
    await edited.edit(text)
    edited._way = before


async def sums(edited: Edited) -> tuple[int, int]:
    """Return what has passed the source, and what the sync has read of it."""
    status = await edited.settled()
    sync = next(one for one in status.syncs if one.name == "orders")
    return status.sources[0].passed, sync.matched + sum(sync.filtered.values())


async def read_back(edited: Edited, *texts: str) -> tuple[int, int]:
    """Let a sync lag behind edits to *texts*, ten events each, and a restart, and read all; return its `sums`."""
    await edited.begin(ORDERS)
    await edited.engine.tree.operator.pause("syncs", "orders")
    await edited.send(MANY)
    await trio.sleep(1)
    for text in texts:
        await edited.edit(text)
        await edited.send(10)
        await trio.sleep(1)
    await restarted(edited, texts[-1])
    await edited.engine.tree.operator.resume("syncs", "orders")
    return await sums(edited)


async def test_a_lagging_sync_reads_what_no_function_saw_also_after_the_next_restart(autojump_clock, edited: Edited):
    passed, read = await read_back(edited, FUNCTION + ORDERS)

    assert passed == read == MANY + 10
    assert sorted(edited.positions()) == list(range(1, MANY + 11))


async def test_a_lagging_sync_reads_each_event_by_its_own_of_several_former_plans(autojump_clock, edited: Edited):
    passed, read = await read_back(edited, CONTRACT + ORDERS, FUNCTION + ORDERS)

    assert passed == read == MANY + 10
    assert sorted(edited.positions()) == [*range(1, MANY + 1), *range(MANY + 11, MANY + 21)]


async def test_a_sync_that_begins_at_the_earliest_reads_each_event_by_the_plan_of_then(autojump_clock, edited: Edited):
    await edited.begin(ORDERS)
    await edited.send(3)
    await edited.settled()
    await edited.edit(CONTRACT + ORDERS)
    await edited.send(3)
    await edited.settled()
    await edited.edit(FUNCTION + ORDERS)
    await edited.send(3)
    await edited.settled()
    await edited.edit(FUNCTION + ORDERS + EARLIEST)
    await edited.settled()

    assert edited.positions(sync="books") == [1, 2, 3, 7, 8, 9]
