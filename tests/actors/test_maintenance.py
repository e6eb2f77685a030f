"""Trimming leaves the store to others for most of the time, unless it is too big."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from actors.maintenance import Maintenance
from engine.runtime.clock import SystemClock
from engine.store.base import TRIM, Change, Cursor, Retention
from engine.store.memory import MemoryStore
from engine.store.room import Room
from tests.support.stores import Disk, OpenedStore


class Slow(MemoryStore):
    """A store on a disk that takes a second for every step; remembers when each began, and whether it weighed."""

    def __init__(self) -> None:
        """Begin with all of a big disk."""
        super().__init__(Room(0, 0, lambda: 2**40))
        self.steps: list[tuple[float, bool]] = []

    async def trim(self, retention: Retention, now: float, *, weigh: bool = True) -> int:
        """Take a second."""
        self.steps.append((trio.current_time(), weigh))
        await trio.sleep(1)
        return await super().trim(retention, now, weigh=weigh)


async def minute_of(nursery: trio.Nursery, events: int, retention: Retention) -> list[tuple[float, bool]]:
    """Return the steps of the first minute in a store with so many events, which all have been read."""

    async def opening() -> Slow:
        return store

    store = Slow()
    opened = OpenedStore(opening, Disk())
    await opened.open()
    await opened.fill(events)
    await store.commit(Change(cursors=(Cursor(source="shop", position=events),)))
    maintenance = Maintenance(store, retention, SystemClock())
    nursery.start_soon(maintenance.run)
    await trio.sleep(60)
    maintenance.stop()
    return store.steps


@pytest.mark.parametrize(
    ("events", "retention", "steps"),
    [
        pytest.param(1, Retention(age=1.0), [(30, True)], id="nothing: a look every 30 s"),
        pytest.param(TRIM, Retention(age=1.0), [(30, True)], id="a step that is not full is the last"),
        pytest.param(
            3 * TRIM + 1,
            Retention(age=1.0),
            [(30, True), (34, False), (38, False), (42, False), (51, True)],
            id="three times a step's time is for others, and the next look comes soon",
        ),
        pytest.param(
            3 * TRIM + 1,
            Retention(size=1),
            [(30, True), (31, False), (32, False), (33, False), (39, True)],
            id="one step after another if the store is over its size",
        ),
    ],
)
async def test_steps(
    nursery: trio.Nursery, autojump_clock: Any, events: int, retention: Retention, steps: list[tuple[float, bool]]
) -> None:
    assert await minute_of(nursery, events, retention) == steps
