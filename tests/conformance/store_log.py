"""What every store must keep: the log and small facts."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
import trio

from engine.errors import StoreError, StoreFull
from engine.messages import Result
from engine.results import WindowState
from engine.store.base import Accepted, Change, Cursor, Done
from tests.support.stores import NOW, OpenedStore, event, key_of, progress


def telling(told: list[Any], what: object) -> Done:
    """Return a call that notes *what* was reported."""
    return lambda _: told.append(what)


async def test_an_append_is_reported_once_and_later(opened_store: OpenedStore) -> None:
    store = opened_store.store
    told: list[tuple[int, BaseException | None]] = []

    store.append([event(1), event(2)], lambda error: told.append((2, error)))
    assert (store.last, store.durable, told) == (2, 0, [])
    store.append([event(3)], lambda error: told.append((3, error)))
    await store.read("shop", 0, 3, 1)

    assert (store.last, store.durable, told) == (3, 3, [(2, None), (3, None)])


@pytest.mark.parametrize("positions", [(3,), (1,), (2, 2), (2, 4), (0,)])
async def test_positions_with_a_gap_or_twice_are_refused(opened_store: OpenedStore, positions: tuple[int, ...]) -> None:
    await opened_store.fill(1)

    with pytest.raises(ValueError) as caught:
        opened_store.store.append([event(position) for position in positions], lambda _: None)

    at, wanted = next((at, wanted) for wanted, at in enumerate(positions, 2) if at != wanted)
    assert str(caught.value) == f"position {at} was given where {wanted} follows"
    assert opened_store.store.last == 1
    await opened_store.fill(1)
    assert opened_store.store.durable == 2


async def test_an_event_comes_back_as_it_was(opened_store: OpenedStore) -> None:
    kept = [
        event(1, raw='{"name":"Zoë \\u0000","n":1e400}'.encode(), at=1_700_000_000.1234567),
        event(2, sent_at="yesterday", ip="::1", context={"a": [1, None]}, integrations={"All": False}),
        event(3, raw=b"{}" + b" " * 100_000, context={}),
    ]

    await opened_store.append(*kept)

    assert await opened_store.store.read("shop", 0, 3, 10) == kept


async def test_the_log_is_read_in_order_and_by_source(opened_store: OpenedStore) -> None:
    sources = ["shop", "app", "shop", "shop", "app", "web"]
    await opened_store.append(*[event(position, source) for position, source in enumerate(sources, 1)])
    store = opened_store.store

    async def read(source: str, after: int, upto: int, limit: int) -> list[int]:
        return [logged.position for logged in await store.read(source, after, upto, limit)]

    assert await read("shop", 0, 6, 10) == [1, 3, 4]
    assert await read("shop", 1, 3, 10) == [3]
    assert await read("shop", 0, 6, 2) == [1, 3]
    assert await read("app", 0, 6, 10) == [2, 5]
    assert await read("nobody", 0, 6, 10) == []
    assert await read("shop", 4, 6, 10) == []


async def test_a_read_waits_until_its_end_is_durable(opened_store: OpenedStore) -> None:
    store = opened_store.store
    for position in range(1, 301):
        store.append([event(position)], lambda _: None)
    assert store.durable == 0

    found = await store.read("shop", 0, 300, 1000)

    assert store.durable == 300
    assert [logged.position for logged in found] == list(range(1, 301))


async def test_many_small_appends_and_one_big_one_all_arrive(opened_store: OpenedStore) -> None:
    store = opened_store.store
    told: list[int] = []
    sizes = [1, 7, 255, 256, 257, 1000, 1, 90]
    for start, size in zip(itertools.accumulate([1, *sizes]), sizes, strict=False):
        end = start + size
        store.append([event(position) for position in range(start, end)], telling(told, end - 1))

    found = await store.read("shop", 0, sum(sizes), 5000)

    assert [logged.position for logged in found] == list(range(1, sum(sizes) + 1))
    assert told == list(itertools.accumulate(sizes))


async def test_an_empty_append_is_reported_in_its_turn(opened_store: OpenedStore) -> None:
    told: list[str] = []
    opened_store.store.append([event(1)], lambda _: told.append("event"))
    opened_store.store.append([], lambda _: told.append("nothing"))

    await opened_store.fill(1)

    assert told == ["event", "nothing"]


async def test_the_first_result_stays(opened_store: OpenedStore) -> None:
    store = opened_store.store
    first = Result(position=1, outcome="passed", events=(b'{"a":1}', b"\x00\xff"))
    dropped = Result(position=2, outcome="dropped")
    failed = Result(position=3, outcome="failed", error="Traceback …")
    durable = trio.Event()

    await opened_store.fill(3)
    store.keep([first, dropped], lambda _: None)
    store.keep([Result(position=1, outcome="dropped"), failed], lambda _: durable.set())
    await durable.wait()

    assert await store.results([1, 2, 3, 4]) == {1: first, 2: dropped, 3: failed}
    assert await store.results([]) == {}


async def test_results_that_nobody_waits_for_are_seen_at_once(opened_store: OpenedStore) -> None:
    await opened_store.fill(2)
    for position in (1, 2):
        opened_store.store.keep([Result(position=position, outcome="dropped")], lambda _: None, soon=False)

    assert sorted(await opened_store.store.results([1, 2])) == [1, 2]


async def test_no_cursor_is_durable_before_the_results_that_it_covers(opened_store: OpenedStore) -> None:
    told: list[str] = []
    store = opened_store.store
    await opened_store.fill(1)
    store.keep([Result(position=1, outcome="dropped")], telling(told, "result"), soon=False)
    await store.commit(Change(cursors=(Cursor(source="shop", position=1),)))

    assert told == ["result"]


async def test_results_that_nobody_waits_for_are_written_when_the_store_closes(opened_store: OpenedStore) -> None:
    if not opened_store.store.caps.durable:
        pytest.skip("it forgets")
    await opened_store.fill(1)
    opened_store.store.keep([Result(position=1, outcome="dropped")], lambda _: None, soon=False)

    assert await (await opened_store.again()).results([1]) == {1: Result(position=1, outcome="dropped")}


async def test_results_and_events_handed_over_together_keep_their_order(opened_store: OpenedStore) -> None:
    told: list[str] = []
    store = opened_store.store
    for position in range(1, 40):
        store.append([event(position)], telling(told, f"event {position}"))
        store.keep([Result(position=position, outcome="dropped")], telling(told, f"result {position}"))

    await opened_store.fill(1)

    assert told == [f"{what} {at}" for at in range(1, 40) for what in ("event", "result")]
    assert len(await store.results(range(1, 41))) == 39


async def test_the_newest_ids_are_remembered(opened_store: OpenedStore) -> None:
    await opened_store.append(*[event(at, "shop" if at % 2 else "app", at=NOW + at) for at in range(1, 2101)])
    store = opened_store.store

    def accepted(at: int) -> Accepted:
        return Accepted(position=at, source="shop" if at % 2 else "app", message_id=f"m{at}", received_at=NOW + at)

    assert await store.accepted(NOW + 2098, 10) == [accepted(2098), accepted(2099), accepted(2100)]
    assert await store.accepted(0.0, 2) == [accepted(2099), accepted(2100)]
    assert await store.accepted(0.0, 5000) == [accepted(at) for at in range(1, 2101)]
    assert await store.accepted(NOW + 5000, 10) == []


async def test_a_fact_is_written_only_by_one_who_knows_its_revision(opened_store: OpenedStore) -> None:
    meta = opened_store.store.meta

    assert await meta.get("plan") is None
    assert await meta.put("plan", b"one", 1) is False
    assert await meta.put("plan", b"one", 0) is True
    assert await meta.put("plan", b"other", 0) is False
    assert await meta.get("plan") == (b"one", 1)
    assert await meta.put("plan", b"two", 1) is True
    assert await meta.get("plan") == (b"two", 2)


async def test_cursors_and_progress_are_absolute(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(9)
    await store.commit(Change(cursors=(Cursor(source="shop", position=5),), progress=(progress(5, (2, 4)),)))
    other = (progress(3, (), "orders", "app"), progress(7, (7,)))
    await store.commit(Change(cursors=(Cursor(source="app", position=1),), progress=other))

    assert await store.meta.cursors() == [Cursor(source="app", position=1), Cursor(source="shop", position=5)]
    assert await store.meta.progress() == [progress(3, (), "orders", "app"), progress(7, (7,))]


@pytest.mark.parametrize("step", [1, 200, 60_000, 5_000_000_000])
async def test_a_large_open_set_comes_back(opened_store: OpenedStore, step: int) -> None:
    opened = tuple(range(1 + step, 4096 * step + 1 + step, step))
    await opened_store.store.commit(Change(progress=(progress(opened[-1], opened),)))

    assert await opened_store.store.meta.progress() == [progress(opened[-1], opened)]


async def test_an_open_position_may_have_several_keys_of_any_shape(opened_store: OpenedStore) -> None:
    several = ((1, key_of(1)), (1, key_of(2)), (3, "k"), (3, key_of(3).upper()))
    await opened_store.store.commit(Change(progress=(progress(3, ()), progress(3, (), "other"))))
    kept = (progress(3, ()).__class__(sync="orders", source="shop", high=3, open=several),)
    await opened_store.store.commit(Change(progress=kept))

    assert await opened_store.store.meta.progress() == [*kept, progress(3, (), "other")]


async def test_a_full_disk_refuses_events_and_keeps_outcomes(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(3)
    opened_store.disk.free = 1000
    await store.commit(Change(counts={("source:shop", "passed"): 3}))

    with pytest.raises(StoreFull) as caught:
        store.append([event(4)], lambda _: None)

    why = "the disk has 1000 bytes left, and 1000 are the reserve; make room on the disk"
    assert (str(caught.value), store.usage().full, store.last) == (why, why, 3)
    await store.commit(Change(counts={("source:shop", "passed"): 1}))
    assert (await store.meta.counts())["source:shop", "passed"] == 4

    opened_store.disk.free = 1001
    assert store.usage().full == ""
    opened_store.disk.free = 1000
    await store.commit(Change())
    opened_store.disk.free = 1001
    await opened_store.fill(1)
    assert (store.usage().full, store.durable) == ("", 4)


async def test_a_closed_store_refuses_everything(opened_store: OpenedStore) -> None:
    store = opened_store.store
    told: list[BaseException | None] = []
    store.append([event(1)], told.append)

    await store.aclose()
    await store.aclose()

    assert told == [None]
    with pytest.raises(StoreError, match="the store is closed"):
        store.append([event(2)], told.append)
    with pytest.raises(StoreError, match="the store is closed"):
        await store.commit(Change())
    with pytest.raises(StoreError, match="the store is closed"):
        await store.read("shop", 0, 2, 1)


async def test_what_windows_counted_is_written_with_the_cursor(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(2)
    one = WindowState(window="w", key="a", start=NOW, value=2.0, seen=(1, 2**64 - 1))
    two = WindowState(window="w", key="b", start=NOW, fired=True)
    await store.commit(Change(cursors=(Cursor(source="shop", position=1),), windows=(one, two)))
    grown = msgspec.structs.replace(one, value=3.0)
    gone = msgspec.structs.replace(two, gone=True)
    await store.commit(Change(cursors=(Cursor(source="shop", position=2),), windows=(grown, gone)))
    if store.caps.durable:
        store = await opened_store.again()

    assert await store.meta.windows() == [grown]
