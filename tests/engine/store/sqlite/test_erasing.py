"""Overwriting what was erased, when somebody else does it too or did not come to the end of it."""

from __future__ import annotations

import sqlite3
from functools import partial

import trio

from engine.store.base import Change, Cursor, Retention
from engine.store.opening import open_store
from tests.support.stores import NOW, Disk, OpenedStore, event


async def test_two_who_erase_at_the_same_time_overwrite_one_after_the_other(tmp_path):
    store = await open_store("sqlite", tmp_path)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(store.eraser.scrub)

    assert await store.meta.put("still", b"open", 0)
    await store.aclose()


async def test_what_an_engine_that_was_killed_overwrote_is_free_again_at_the_next_start(tmp_path):
    await (await open_store("sqlite", tmp_path)).aclose()
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        connection.execute("CREATE TABLE scrub (zeros BLOB)")
        connection.execute("INSERT INTO scrub VALUES (zeroblob(1000000))")
    connection.close()

    store = await open_store("sqlite", tmp_path)

    assert store.usage().used < 1_000_000
    assert await store.eraser.scrub()
    await store.aclose()


async def test_what_is_overwritten_takes_no_room_from_events(tmp_path):
    made = OpenedStore(partial(open_store, "sqlite", tmp_path), Disk())
    store = await made.open()
    await made.append(*[event(at, raw=b"x" * 100_000) for at in range(1, 200)])
    await store.commit(Change(cursors=(Cursor(source="shop", position=199),)))
    while await store.trim(Retention(size=1_000_000), NOW):
        pass
    used: list[int] = []

    async def look() -> None:
        while True:
            used.append(store.usage().used)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        assert await store.eraser.scrub()
        nursery.cancel_scope.cancel()

    assert max(used) < 2_500_000
    await store.aclose()
