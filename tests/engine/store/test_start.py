from __future__ import annotations

import msgspec
import pytest

from engine.messages import Envelope, Logged
from engine.store.base import Change, Cursor, Progress, Retention, Selection, Store
from engine.store.opening import open_store
from engine.store.seen import Seen
from engine.store.start import Beginning, Paused, Wish, begin, keep_paused
from tests.support.stores import trouble

NOW = 10_000.0


async def opened(tmp_path, *events: tuple[str, float]) -> Store:
    store = await open_store("memory", tmp_path)
    rows = [
        Logged(position=at, source=source, raw=b"{}", envelope=Envelope(message_id=f"m{at}", received_at=received))
        for at, (source, received) in enumerate(events, 1)
    ]
    store.append(rows, lambda _: None)
    await store.read("shop", 0, len(rows), 1)
    return store


async def begun(store, *wishes: Wish, sources: tuple[str, ...] = ("shop", "app")) -> Beginning:
    return await begin(store, wishes, sources, Seen(86_400.0, 100), Retention(), NOW)


def wish(sync: str = "orders", source: str = "shop", start: str | float = "latest") -> Wish:
    return Wish(sync=sync, source=source, destination="crm", start=start)


@pytest.mark.parametrize(("start", "high"), [("latest", 3), ("earliest", 0), (150.0, 1), (300.0, 2), (9e9, 3)])
async def test_where_a_new_sync_begins_is_durable_at_once(tmp_path, start, high) -> None:
    store = await opened(tmp_path, ("shop", 100.0), ("shop", 200.0), ("shop", 300.0))
    beginning = await begun(store, wish(start=start))

    assert beginning.progress["orders"].high == high
    assert await store.meta.progress() == [Progress(sync="orders", source="shop", high=high)]


@pytest.mark.parametrize(("start", "first"), [(0.0, 1), (500.0, 501), (500.5, 501), (998.0, 999), (999.0, 1000)])
async def test_a_moment_is_found_among_many_events_by_looking_at_a_few(tmp_path, monkeypatch, start, first) -> None:
    events = [("shop" if number % 2 else "app", float(number)) for number in range(1000)]
    store = await opened(tmp_path, *events)
    read, looks = store.read, list[int]()

    async def looked(source: str, after: int, upto: int, limit: int) -> list[Logged]:
        looks.append(limit)
        return await read(source, after, upto, limit)

    monkeypatch.setattr(store, "read", looked)
    high = (await begun(store, wish(start=start))).progress["orders"].high
    begins = await read("shop", high, store.last, 1)

    assert begins[0].position == first + first % 2
    assert len(looks) <= 12
    assert set(looks) == {1}


async def test_a_known_sync_goes_on_wherever_it_would_begin(tmp_path) -> None:
    store = await opened(tmp_path, ("shop", 100.0), ("shop", 200.0))
    known = Progress(sync="orders", source="shop", high=1, open=((1, "k"),))
    await store.commit(Change(progress=(known,)))

    assert (await begun(store, wish(start="earliest"))).progress == {"orders": known}


async def test_a_sync_on_another_source_is_another_sync(tmp_path) -> None:
    store = await opened(tmp_path, ("shop", 100.0), ("app", 200.0))
    await store.commit(Change(progress=(Progress(sync="orders", source="shop", high=1, open=((1, "k"),)),)))
    beginning = await begun(store, wish(source="app"))

    assert beginning.progress == {"orders": Progress(sync="orders", source="app", high=2)}
    assert await store.meta.progress() == [Progress(sync="orders", source="app", high=2)]


async def test_a_source_that_is_gone_holds_the_log_back_no_longer(tmp_path) -> None:
    store = await opened(tmp_path, ("shop", 100.0), ("app", 200.0))
    await store.commit(Change(cursors=(Cursor(source="shop", position=1), Cursor(source="app", position=0))))
    beginning = await begun(store, wish(), sources=("shop",))

    assert (beginning.cursor("shop"), beginning.cursor("app"), beginning.cursor("new")) == (1, 2, 0)


async def test_what_a_source_that_is_gone_had_not_judged_is_dropped_and_counted_once(tmp_path) -> None:
    store = await opened(tmp_path, *[("web", 100.0), ("shop", 100.0)] * 300)
    await begun(store, wish(), sources=("shop", "web"))
    await store.commit(Change(cursors=(Cursor(source="web", position=3),)))
    await begun(store, wish(), sources=("shop",))
    again = await begun(store, wish(), sources=("shop",))
    results = await store.results(range(1, 601))

    assert again.cursor("web") == 600
    assert await store.meta.counts() == {("source:web", "dropped"): 298}
    assert list(results) == list(range(5, 601, 2))
    assert {(one.outcome, one.reason) for one in results.values()} == {("dropped", "source_removed")}


async def test_a_source_that_never_judged_anything_is_missed_too(tmp_path) -> None:
    store = await opened(tmp_path, ("web", 100.0))
    await begun(store, wish(), sources=("shop", "web"))

    assert (await begun(store, wish(), sources=("shop",))).cursor("web") == 1


async def test_what_is_paused_stays_paused(tmp_path) -> None:
    store = await opened(tmp_path)
    await keep_paused(store, Paused(syncs=("orders",)))
    await keep_paused(store, Paused(syncs=("orders",), destinations=("crm",)))
    beginning = await begun(store, wish())

    assert (beginning.paused_syncs, beginning.paused_destinations) == ({"orders"}, {"crm"})


async def test_what_was_tried_by_a_clock_that_ran_ahead_is_due_at_once(tmp_path) -> None:
    store = await opened(tmp_path, ("shop", 100.0), ("shop", 200.0))
    ahead = msgspec.structs.replace(trouble(1), last_at=NOW + 3600, due_at=NOW + 3700)
    fine = msgspec.structs.replace(trouble(2), last_at=NOW - 10, due_at=NOW + 90)
    await store.commit(Change(troubles=(ahead, fine)))
    await begun(store, wish())
    due = {one.position: one.due_at for one in await store.ledger.list(Selection())}

    assert due == {1: NOW, 2: NOW + 90}


async def test_the_door_remembers_what_was_accepted(tmp_path) -> None:
    store = await opened(tmp_path, ("shop", NOW - 90_000.0), ("shop", NOW - 10.0))

    assert len((await begun(store, wish())).seen) == 1
