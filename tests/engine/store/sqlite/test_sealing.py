"""When messageIds are sealed: as soon as all up to there is judged, whoever has nothing to say."""

from __future__ import annotations

from functools import partial

import pytest

from engine.store.base import Change, Cursor
from engine.store.opening import open_store
from tests.support.stores import Disk, OpenedStore, event


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch):
    monkeypatch.setattr("engine.store.sqlite.history.SEALED", 8)


async def test_a_source_without_new_events_holds_no_seal_back(tmp_path):
    made = OpenedStore(partial(open_store, "sqlite", tmp_path), Disk())
    store = await made.open()
    await made.append(event(1, "removed"), *[event(at) for at in range(2, 21)])
    cursors = [Cursor(source="removed", position=1), Cursor(source="never", position=0)]
    await store.commit(Change(cursors=(*cursors, Cursor(source="shop", position=12))))

    assert [await store.history.seal() for _ in range(2)] == [8, 0]
    await store.commit(Change(cursors=(Cursor(source="shop", position=20),)))
    assert [await store.history.seal() for _ in range(2)] == [8, 0]

    assert [await store.history.located(f"m{at}") for at in (1, 9, 20)] == [[1], [9], [20]]
    await store.aclose()


async def test_what_a_source_has_not_judged_holds_its_seal_back(tmp_path):
    made = OpenedStore(partial(open_store, "sqlite", tmp_path), Disk())
    store = await made.open()
    await made.append(*[event(at) for at in range(1, 8)], event(8, "late"), event(9))
    await store.commit(Change(cursors=(Cursor(source="shop", position=9),)))

    assert await store.history.seal() == 0
    await store.commit(Change(cursors=(Cursor(source="late", position=8),)))
    assert await store.history.seal() == 8
    await store.aclose()
