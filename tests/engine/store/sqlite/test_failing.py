from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import trio
import trio.testing

from engine.errors import StoreError, StoreFull
from engine.messages import Result, Settlement
from engine.store.base import Change, Selection
from engine.store.opening import open_store
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.writer import Insert
from tests.support.stores import NOW, Disk, OpenedStore, event, progress, settle, trouble

BULK = b'"' + b"x" * 100_000 + b'"'


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[OpenedStore]:
    opened = OpenedStore(lambda: open_store("sqlite", tmp_path), Disk())
    await opened.open()
    yield opened
    await opened.store.aclose()


async def limit(opened: OpenedStore, more: int) -> None:
    """Let the file grow by *more* pages and no further, as a full disk would."""
    assert isinstance(opened.store, SqliteStore)

    def run(connection):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + more}")

    await opened.store._writer.perform(run)


async def test_a_log_that_cannot_be_written_is_the_end(one: OpenedStore, tmp_path: Path) -> None:
    await one.fill(3)
    await limit(one, 0)
    told: list[tuple[int, str]] = []
    wanted = f"{tmp_path}/headrace.db: there is no room left on the disk; make room, then start again"

    def done(at: int) -> Callable[[BaseException | None], None]:
        return lambda error: told.append((at, f"{type(error).__name__}: {error}"))

    one.store.append([event(4, raw=BULK)], done(4))
    one.store.append([event(5)], done(5))
    one.store.keep([Result(position=1, outcome="dropped")], done(1))
    with pytest.raises(StoreError) as caught:
        await one.store.read("shop", 0, 5, 10)
    assert str(caught.value) == wanted
    with pytest.raises(StoreError) as caught:
        one.store.append([event(6)], done(6))
    assert str(caught.value) == wanted
    with pytest.raises(StoreError) as caught:
        await one.store.commit(Change())
    assert (type(caught.value), str(caught.value)) == (StoreError, wanted)

    assert told == [(at, f"StoreError: {wanted}") for at in (4, 5, 1)]
    assert one.store.durable == 3
    assert await one.again() is one.store
    assert one.store.last == 3
    await one.fill(1)


async def test_outcomes_that_find_no_room_may_be_tried_again(one: OpenedStore) -> None:
    await one.trouble(trouble(1))
    [claim] = await one.store.claim("crm", NOW, 1)
    change = Change(
        progress=(progress(1),),
        troubles=(trouble(2, payload=BULK),),
        settles=(settle(claim, Settlement.DONE),),
        counts={("sync:orders", "matched"): 1},
    )
    await limit(one, 1)

    with pytest.raises(StoreFull):
        await one.store.commit(change)

    assert await one.store.meta.progress() == []
    assert await one.sync_counts() == {}
    assert await one.store.claim("crm", NOW, 1) == []
    await limit(one, 1000)
    assert await one.store.commit(change) == (True,)
    assert await one.sync_counts() == {"matched": 1, "delivered": 1}


async def test_a_change_that_cannot_be_written_harms_only_its_caller(one: OpenedStore) -> None:
    with pytest.raises(TypeError):
        await one.store.commit(Change(counts={("sync:orders", "x"): "1"}))  # type: ignore[dict-item]
    with pytest.raises(OverflowError):
        await one.store.commit(Change(counts={("sync:orders", "x"): 2**70}))

    await one.fill(1)
    assert await one.sync_counts() == {}


async def test_a_cancelled_commit_is_written_all_the_same(one: OpenedStore) -> None:
    told: list[str] = []
    one.store.on_due = told.append

    with trio.CancelScope() as scope:
        scope.cancel()
        await one.store.commit(Change(troubles=(trouble(1),)))
    assert scope.cancelled_caught
    await one.fill(1)

    assert told == ["crm"]
    assert await one.store.ledger.list(Selection()) == [trouble(1)]


async def test_what_was_handed_over_before_the_close_is_written(one: OpenedStore) -> None:
    told: list[BaseException | None] = []
    for position in range(1, 2001):
        one.store.append([event(position)], told.append)

    await one.store.aclose()

    assert told == [None] * 2000
    await one.open()
    assert one.store.last == 2000


async def test_a_store_whose_loop_is_gone_lets_the_process_go_on(tmp_path: Path) -> None:
    def lost() -> None:
        async def main() -> None:
            store = await open_store("sqlite", tmp_path)
            for position in range(1, 500):
                store.append([event(position)], lambda _: None)
            leaked.append(store)

        trio.run(main)

    leaked: list[object] = []
    await trio.to_thread.run_sync(lost)
    writer = leaked[0]._writer  # type: ignore[attr-defined]
    writer._inbox.put(None)
    await trio.to_thread.run_sync(writer._thread.join)

    assert not writer._thread.is_alive()
    leaked[0]._lock.release()  # type: ignore[attr-defined]
    store = await open_store("sqlite", tmp_path)
    assert store.last == 499
    await store.aclose()


async def test_events_that_wait_share_a_commit(one: OpenedStore) -> None:
    assert isinstance(one.store, SqliteStore)
    writer = one.store._writer
    groups: list[int] = []
    write = writer._write

    def counted(group: Sequence[Insert]) -> None:
        groups.append(len(group))
        write(group)

    writer._write = counted  # type: ignore[method-assign]
    held = trio.Event()
    one.store._source("shop")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.perform, lambda _: trio.from_thread.run(held.wait, trio_token=writer._token))
        await trio.testing.wait_all_tasks_blocked()
        for position in range(1, 1001):
            one.store.append([event(position)], lambda _: None)
        held.set()
    await one.store.read("shop", 0, 1000, 1)

    assert groups[-4:] == [256, 256, 256, 232]
