"""The power fails: what was not synced yet may be on disk in part, whole, or as garbage.

SQLite guarantees, with a write-ahead log and ``synchronous=FULL``: a transaction that was reported committed survives,
one that was not is there whole or not at all (each frame has a checksum that continues the one before). The file system
must keep what fsync returned for; a disk that lies about that can lose acknowledged events, and no program notices.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import trio

from engine.store.base import Change, Cursor
from engine.store.opening import open_store
from tests.support import dead
from tests.support.hail import World
from tests.support.stores import event, progress

CUTS = 40
LOG = "headrace.db-wal"


def torn(path: Path, size: int, how: str, chance: random.Random) -> None:
    """Leave *size* bytes of a file as they are, and of the rest what a power failure leaves."""
    whole = path.read_bytes()
    rest = {"gone": b"", "zeros": bytes(len(whole) - size), "garbage": chance.randbytes(len(whole) - size)}[how]
    path.write_bytes(whole[:size] + rest)


def _heard(_error: BaseException | None) -> None:
    """Leave it to the read that follows."""


async def written(folder: Path, copy: Path) -> list[tuple[int, int]]:
    """Write commits of several sizes; return the file's length and the last position, as of each acknowledgement."""
    store = await open_store("sqlite", folder)
    chance = random.Random(7)
    acked: list[tuple[int, int]] = []
    for _ in range(30):
        first = store.last + 1
        store.append([event(at) for at in range(first, first + chance.randint(1, 20))], _heard)
        high = store.last
        await store.read("shop", high - 1, high, 1)  # which waits until it is durable
        await store.commit(Change(cursors=(Cursor(source="shop", position=high),), progress=(progress(high),)))
        acked.append(((folder / LOG).stat().st_size, high))
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm", "lock"))
    await store.aclose()
    return acked


@pytest.mark.parametrize("how", ["gone", "zeros", "garbage"])
async def test_what_was_acknowledged_survives_a_torn_end_of_the_log(tmp_path: Path, how: str) -> None:
    acked = await written(tmp_path / "first", tmp_path / "copy")
    chance = random.Random(11)
    cuts = [acked[-1][0], *(chance.randrange(acked[0][0], acked[-1][0]) for _ in range(CUTS))]
    for number, cut in enumerate(cuts):
        folder = tmp_path / f"cut{number}"
        shutil.copytree(tmp_path / "copy", folder)
        torn(folder / LOG, cut, how, chance)
        store = await open_store("sqlite", folder)
        log = await store.read("shop", 0, store.last, 10**6)
        [page], [cursor] = await store.meta.progress(), await store.meta.cursors()
        await store.aclose()

        durable = max(last for size, last in acked if size <= cut)
        assert [one.position for one in log] == list(range(1, store.last + 1)), cut
        assert durable <= store.last, cut
        assert store.last in {last for _, last in acked}, "a commit is there whole or not at all"
        assert page.high == cursor.position <= store.last, cut


async def test_an_engine_whose_store_lost_its_last_moments_goes_on_with_books_that_balance(world_for) -> None:
    world: World = world_for()
    await world.start()
    chance = random.Random(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.load)
        await world.crm.took(500)
        world.died("power")
        nursery.cancel_scope.cancel()  # what it acknowledged last may be lost, and nobody sends that again
    log = world.engine.folder / "data" / LOG
    torn(log, max(log.stat().st_size - chance.randint(1, 100_000), 0), "garbage", chance)

    assert dead.unbalanced(world.engine.folder) == []
    await world.start()
    status = await world.engine.settled()
    assert {sync.name: sync.pending for sync in status.syncs} == dict.fromkeys(
        ("orders", "sums", "trials", "alerts"), 0
    )
    assert await world.engine.terminate() == 0
    assert dead.unbalanced(world.engine.folder) == []
