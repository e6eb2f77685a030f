"""The disk fills up, the engine is killed on it, and space returns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.engine import LOOK
from tests.support.hail import World
from tests.support.small_disk import SmallDisk

SIZE = 24 << 20
RESERVE = 4 << 20
GUARD = 60.0
"""Seconds after which what is waited for will not happen."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Return a disk that can fill up."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = SmallDisk(folder, SIZE)
    yield made
    made.unmount()


def leave(disk: SmallDisk, left: int) -> None:
    """Take all of the disk but so many bytes."""
    with disk.fill().open("r+b") as ballast:
        ballast.truncate(max(ballast.seek(0, os.SEEK_END) - left, 0))


async def refusing(world: World) -> None:
    """Wait until events are refused; the engine looks at its disk by itself, and only its status says so."""
    status = await world.engine.status()
    while not status.full:
        await trio.sleep(LOOK)
        status = await world.engine.status()


async def test_an_engine_that_is_killed_on_a_full_disk_loses_nothing(world_for, disk: SmallDisk) -> None:
    world: World = world_for(store='reserve = "4 MiB"')
    folder = world.engine.folder
    (folder / "data").symlink_to(disk.folder)
    await world.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.load)
        await world.crm.took(200)
        leave(disk, RESERVE // 2)
        with trio.fail_after(GUARD):
            await refusing(world)
        world.died("full")
        leave(disk, 0)
        try:
            await world.start()
        except AssertionError:  # it says so, for whoever starts it again
            assert world.engine.child.wait() == 1
            assert "Traceback" not in world.engine.child.errors()
        world.died("started full")
        (disk.folder / "ballast").unlink()
        await world.start()
        came = len(world.crm.taken)
        with trio.fail_after(GUARD):
            await world.crm.took(came + 200)
        world.over = True
    status = await world.engine.settled()

    world.check(status)
    assert status.full == ""
    assert await world.engine.terminate() == 0
