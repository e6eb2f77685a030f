"""What every store must keep: retention takes what may go and nothing else."""

from __future__ import annotations

import pytest

from engine.errors import StoreFull
from engine.messages import Attempt, Result, State
from engine.store.base import TRIM, Change, Cursor, Retention, Selection
from tests.support.stores import NOW, OpenedStore, event, progress, trouble

SOON = NOW + 1e6
EVERYTHING = Retention(age=1.0)


async def left(opened: OpenedStore, source: str = "shop") -> list[int]:
    return [logged.position for logged in await opened.store.read(source, 0, opened.store.durable, 10_000)]


async def read_up_to(opened: OpenedStore, high: int, source: str = "shop") -> None:
    await opened.store.commit(
        Change(cursors=(Cursor(source=source, position=high),), progress=(progress(high, (), "orders", source),))
    )


@pytest.fixture(autouse=True)
def _can_trim(opened_store: OpenedStore) -> None:
    if not opened_store.store.caps.retention:
        pytest.skip("this store keeps everything")


async def test_the_old_go_and_the_young_stay(opened_store: OpenedStore) -> None:
    await opened_store.fill(10)
    await read_up_to(opened_store, 10)

    assert await opened_store.store.trim(Retention(), SOON) == 0
    assert await opened_store.store.trim(Retention(age=5.0), NOW + 9) == 3

    assert await left(opened_store) == [4, 5, 6, 7, 8, 9, 10]


async def test_no_more_than_so_many_go_at_once(opened_store: OpenedStore) -> None:
    await opened_store.fill(TRIM + 200)
    await read_up_to(opened_store, TRIM + 200)

    assert await opened_store.store.trim(EVERYTHING, SOON) == TRIM
    assert await left(opened_store) == list(range(TRIM + 1, TRIM + 201))
    assert await opened_store.store.trim(EVERYTHING, SOON) == 199


async def test_the_newest_event_stays_and_with_it_the_position(opened_store: OpenedStore) -> None:
    await opened_store.fill(5)
    await read_up_to(opened_store, 5)

    assert await opened_store.store.trim(EVERYTHING, SOON) == 4

    if opened_store.store.caps.durable:
        await opened_store.again()
    assert opened_store.store.last == 5
    await opened_store.fill(1)
    assert await left(opened_store) == [5, 6]


async def test_what_was_not_read_stays(opened_store: OpenedStore) -> None:
    sources = ["shop", "app", "shop", "app", "web", "shop", "app", "shop"]
    await opened_store.append(*[event(position, source) for position, source in enumerate(sources, 1)])
    cursors = (Cursor(source="shop", position=6), Cursor(source="app", position=8))
    syncs = (progress(8, (), "orders"), progress(3, (), "refunds"), progress(4, (), "orders", "app"))
    await opened_store.store.commit(Change(cursors=cursors, progress=syncs))

    assert await opened_store.store.trim(EVERYTHING, SOON) == 4

    assert await left(opened_store) == [6, 8]
    assert await left(opened_store, "app") == [7]
    assert await left(opened_store, "web") == [5]


async def test_open_deliveries_and_retries_keep_their_events(opened_store: OpenedStore) -> None:
    await opened_store.fill(10)
    await opened_store.store.commit(
        Change(
            cursors=(Cursor(source="shop", position=9),),
            progress=(progress(9, (2, 7)), progress(9, (2, 4), "refunds")),
            troubles=(trouble(3), trouble(5, State.ARCHIVED), trouble(9, due_at=SOON)),
        )
    )

    assert await opened_store.store.trim(EVERYTHING, SOON) == 4

    assert await left(opened_store) == [2, 3, 4, 7, 9, 10]
    kept = await opened_store.store.ledger.get(trouble(5).id)
    assert kept is not None
    assert kept.event == b'{"n":5}'


async def test_a_sync_that_was_forgotten_holds_nothing_back(opened_store: OpenedStore) -> None:
    await opened_store.fill(6)
    store = opened_store.store
    await store.commit(
        Change(
            cursors=(Cursor(source="shop", position=6),),
            progress=(progress(2, (1,), "gone"), progress(6)),
            troubles=(trouble(2, sync="gone"),),
        )
    )
    assert await store.trim(EVERYTHING, SOON) == 0

    await store.meta.forget([progress(0, (), "gone")], "sync_removed", SOON)

    assert await store.trim(EVERYTHING, SOON) == 5


async def test_results_and_attempts_go_with_their_events(opened_store: OpenedStore) -> None:
    await opened_store.fill(4)
    store = opened_store.store
    store.keep([Result(position=at, outcome="dropped") for at in range(1, 5)], lambda _: None)
    sent = [Attempt(destination="crm", at=NOW, seconds=0.1, status=200, positions=(at,)) for at in range(1, 5)]
    for attempt in sent:
        await store.commit(Change(attempts=(attempt,)))
    await read_up_to(opened_store, 4)

    assert await store.trim(EVERYTHING, NOW + 4) == 2

    assert sorted(await store.results([1, 2, 3, 4])) == [3, 4]
    assert [await store.ledger.attempts(at) for at in (2, 3)] == [(), (sent[2],)]


async def test_however_many_attempts_there_were_they_go_with_their_events(opened_store: OpenedStore) -> None:
    await opened_store.fill(2)
    await opened_store.store.commit(
        Change(
            attempts=tuple(
                Attempt(destination=f"d{number}", at=NOW, seconds=0.1, status=200, positions=(1,))
                for number in range(450)
            )
        )
    )
    await read_up_to(opened_store, 2)
    before = len(await opened_store.store.ledger.attempts(1))
    await opened_store.store.trim(EVERYTHING, SOON)

    assert (before, await opened_store.store.ledger.attempts(1)) == (450, ())


async def test_the_archive_goes_by_its_own_age_and_never_what_waits(opened_store: OpenedStore) -> None:
    rows = [trouble(1), trouble(2, State.ARCHIVED), trouble(3, State.BLOCKED), trouble(4, State.DISCARDED), trouble(5)]
    await opened_store.trouble(*rows, trouble(6, State.ARCHIVED))
    archived = await opened_store.sync_counts()

    assert await opened_store.store.trim(Retention(age=1.0, archive_age=10.0), NOW - 20 + 15.5) == 3

    assert [row.position for row in await opened_store.store.ledger.list(Selection())] == [6, 5, 1]
    assert await opened_store.sync_counts() == archived


async def test_the_archive_goes_by_its_own_size_the_oldest_first(opened_store: OpenedStore) -> None:
    bulky = b"x" * 10_000
    await opened_store.trouble(*[trouble(at, State.ARCHIVED, payload=bulky) for at in range(1, 11)], trouble(11))

    assert await opened_store.store.trim(Retention(archive_size=45_000), NOW) == 6

    assert [row.position for row in await opened_store.store.ledger.list(Selection())] == [11, 10, 9, 8, 7]


async def test_too_much_in_use_takes_the_oldest_until_it_fits(opened_store: OpenedStore) -> None:
    bulky = b'"' + b"x" * 4000 + b'"'
    await opened_store.append(*[event(at, raw=bulky) for at in range(1, 701)])
    await read_up_to(opened_store, 700)
    used = opened_store.store.usage().used
    assert used > 700 * 4000

    size = used - 300 * 4000
    gone = await opened_store.store.trim(Retention(size=size), NOW)

    assert 250 <= gone <= 500
    assert opened_store.store.usage().used <= size
    assert await left(opened_store) == list(range(gone + 1, 701))
    assert await opened_store.store.trim(Retention(size=size), NOW) == 0


async def test_a_store_of_nothing_but_needed_events_refuses_more_until_some_are_read(opened_store: OpenedStore) -> None:
    bulky = b'"' + b"x" * 4000 + b'"'
    store = opened_store.store
    await opened_store.append(*[event(at, raw=bulky) for at in range(1, 401)])
    await store.commit(Change())
    used = store.usage().used
    too_small = Retention(size=used - 100 * 4000)

    assert await store.trim(too_small, NOW) == 0

    used = store.usage().used
    with pytest.raises(StoreFull) as caught:
        store.append([event(401)], lambda _: None)
    assert str(caught.value) == store.usage().full
    assert store.usage().full == (
        f"the store uses {used} of {too_small.size} bytes and every event in it still waits for a destination; "
        "let the destinations catch up, or raise the size"
    )
    await read_up_to(opened_store, 300)
    assert await store.trim(too_small, NOW) > 0
    assert store.usage().full == ""
    await opened_store.append(event(401))


async def test_a_raised_size_makes_room_at_once(opened_store: OpenedStore) -> None:
    await opened_store.fill(50)
    store = opened_store.store
    await store.trim(Retention(size=1), NOW)
    assert store.usage().full

    await store.trim(Retention(size=2**30), NOW)

    await opened_store.fill(1)


async def test_what_is_archived_has_limits_of_its_own_and_takes_no_room_from_events(opened_store: OpenedStore) -> None:
    store = opened_store.store
    bulky = b"x" * 100_000
    await opened_store.fill(50)
    await opened_store.trouble(*[trouble(at, State.ARCHIVED, payload=bulky) for at in range(1, 21)])
    used = store.usage().used
    assert used > 20 * len(bulky)

    assert await store.trim(Retention(size=used - 10 * len(bulky)), NOW) == 0

    usage = store.usage()
    assert (usage.full, usage.pinned) == ("", False)
    assert await store.trim(Retention(size=100), NOW) == 0
    assert store.usage().pinned
