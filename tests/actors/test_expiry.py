"""A store that is full of what waits: new events are refused, or what waits longest makes room."""

from __future__ import annotations

import msgspec
import pytest
import trio

from engine.errors import StoreFull
from engine.store.base import Retention, Selection
from tests.support import grown
from tests.support.grown import ORDERS, always, grow, unbalanced

EVENTS = 2000
BULK = "x" * 500
ROOM = Retention(size=600_000)
"""About half of what these events take."""


@pytest.fixture
def archiving(monkeypatch):
    """Let the configuration say that what waits longest makes room."""
    full = 'kind = "memory"\non_full = "archive_oldest"'
    monkeypatch.setattr(grown, "HEAD", grown.HEAD.replace('kind = "memory"', full))


async def filled(nursery) -> grown.Engine:
    """Return an engine whose only destination is dead, full of events that wait for it."""
    engine = await grow(nursery, ORDERS)
    engine.tree.maintenance.retention = ROOM
    engine.desk().answer = always(503)
    await engine.send(EVENTS, bulk=BULK)
    return engine


async def test_new_events_are_refused_unless_told_otherwise(nursery, autojump_clock):
    engine = await filled(nursery)

    await trio.sleep(120)

    usage = engine.store.usage()
    assert usage.pinned
    assert usage.full.endswith("still waits for a destination; let the destinations catch up, or raise the size")
    with pytest.raises(StoreFull):
        await engine.send()
    assert await engine.archived() == []
    engine.desk().answer = always(200)
    engine.tree.ports["crm"].breaker.probe_now()
    status = await engine.settled(4 * 3600)
    assert status.syncs[0].delivered == EVENTS
    await trio.sleep(60)
    await engine.send()  # nobody had to make room by hand
    await engine.stop()


async def test_what_waits_longest_makes_room(nursery, autojump_clock, archiving):
    engine = await filled(nursery)

    await trio.sleep(120)

    assert engine.store.usage().full == ""
    expired = [row for row in await all_archived(engine) if row.reason == "expired"]
    assert 200 < len(expired) < EVENTS
    positions = sorted(row.position for row in expired)
    # The oldest went: what is in flight or waits for its next attempt aside, nothing younger than what stayed.
    assert positions[-1] - positions[0] < len(positions) + 300
    assert expired[0].error == "it waited longest when the store was full\nreplay it, if it is still worth sending"
    assert all(row.payload for row in expired)
    await engine.send(10)
    engine.desk().answer = always(200)
    engine.tree.ports["crm"].breaker.probe_now()
    status = await engine.settled(4 * 3600)
    assert (status.syncs[0].archived, status.syncs[0].delivered) == (len(expired), EVENTS + 10 - len(expired))
    assert unbalanced(status) == []
    await engine.stop()


async def test_what_fits_does_not_expire(nursery, autojump_clock, archiving):
    engine = await filled(nursery)
    engine.tree.maintenance.retention = Retention(size=10 * ROOM.size)

    await trio.sleep(600)

    assert [row for row in await all_archived(engine) if row.reason == "expired"] == []
    await engine.crash()


async def all_archived(engine: grown.Engine):
    """Return the whole archive."""
    return await engine.store.ledger.list(msgspec.structs.replace(Selection(), states=(), limit=100_000))
