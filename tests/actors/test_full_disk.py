"""A disk so full that not even the reserve is left: memory stays bounded, and all goes on once there is room."""

from __future__ import annotations

import pytest
import trio

from actors.archiver import PLACES
from engine.errors import StoreFull
from engine.store.base import Change
from engine.store.memory import MemoryStore
from engine.store.room import Room
from tests.support.grown import FUNCTION, ORDERS, grow, unbalanced

FAILS = ORDERS.replace('"properties.n"', '"{{ 1 | divided_by: 0 }}"')


class Disk(MemoryStore):
    """A store on a disk that others fill.

    Attributes:
        full: whether no outcome can be written.
    """

    full = False

    async def commit(self, change: Change) -> tuple[bool, ...]:
        """Write *change* if there is room."""
        if self.full:
            raise StoreFull("the disk is full")
        return await super().commit(change)


@pytest.mark.parametrize("stage", ["mapping", "function"])
async def test_what_fails_while_nothing_can_be_written_waits_in_the_log(nursery, autojump_clock, stage, tmp_path):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    raise ValueError('no')\n")
    text = FAILS if stage == "mapping" else FUNCTION + ORDERS
    disk = Disk(Room(0, 0, lambda: 1 << 40))
    engine = await grow(nursery, text, disk, folder=tmp_path)
    await engine.unwatched()
    disk.full = True
    for _ in range(3 * PLACES // 256):
        await engine.send(256)
        await trio.sleep(1)
    assert 0 < len(engine.tree.books._troubles) <= PLACES

    disk.full = False
    status = await engine.settled()
    sync, source = status.syncs[0], status.sources[0]
    assert (sync.archived if stage == "mapping" else source.failed) == 3 * PLACES
    assert unbalanced(status) == []
    assert engine.tree.places.free == PLACES
