"""What every store must keep: the ledger, and the counts that follow."""

from __future__ import annotations

import pytest
import trio

from engine.errors import StoreError
from engine.messages import Attempt, Settlement, Stage, State
from engine.store.base import Change, Selection, Waiting
from tests.support.stores import NOW, OpenedStore, changed, event, key_of, progress, settle, trouble

ALL = Selection()


async def test_a_trouble_comes_back_as_it_was(opened_store: OpenedStore) -> None:
    full = trouble(
        1,
        first_at=NOW + 1 / 7,
        due_at=NOW + 2 / 7,
        excused=1 / 3,
        event=b"\x00\xff",
        request=b"POST",
        response=b"500",
        trace="Traceback …",
        event_type="purchase",
        type="custom",
        revision=7,
        replay=1,
    )
    await opened_store.trouble(full, trouble(2))

    assert await opened_store.store.ledger.get(full.id) == full
    assert await opened_store.store.ledger.get("3-nothing") is None
    [claim] = await opened_store.store.claim("crm", NOW + 1, 1)
    assert claim.trouble == trouble(2)


async def test_an_archived_row_is_listed_retried_and_delivered_under_its_id(opened_store: OpenedStore) -> None:
    await opened_store.fill(1)
    before = trouble(1, State.ARCHIVED, attempts=8, excused=5.0)
    await opened_store.trouble(before)
    store = opened_store.store
    assert await opened_store.sync_counts() == {"archived": 1}
    assert await store.ledger.list(ALL) == [changed(before, event=b'{"n":1}')]
    assert await opened_store.claimed(NOW + 1e6) == []

    assert await store.ledger.retry(Selection(sync="orders"), NOW + 7) == 1

    assert await opened_store.sync_counts() == {}
    assert store.next_due("crm") == NOW + 7
    [claim] = await store.claim("crm", NOW + 7, 1)
    due = changed(before, state=State.RETRYING, attempts=0, excused=0.0, first_at=NOW + 7, due_at=NOW + 7)
    due = changed(due, again_at=NOW + 7)
    assert claim.trouble == changed(due, event=b'{"n":1}')
    assert await store.commit(Change(settles=(settle(claim, Settlement.DONE),))) == (True,)
    assert await store.ledger.list(ALL) == []
    assert await opened_store.sync_counts() == {"delivered": 1}


async def test_what_cannot_be_retried_stays(opened_store: OpenedStore) -> None:
    rows = [
        trouble(1, State.ARCHIVED, payload=b"", stage=Stage.MAPPING),
        trouble(2, State.BLOCKED, sync="", stage=Stage.CONTRACT),
        trouble(3, State.DISCARDED),
        trouble(4, due_at=NOW + 100, attempts=5),
    ]
    await opened_store.trouble(*rows)

    assert await opened_store.store.ledger.retry(ALL, NOW) == 1

    assert await opened_store.store.ledger.list(ALL) == [changed(rows[3], due_at=NOW), *rows[2::-1]]
    assert await opened_store.claimed() == [4]


async def test_a_discarded_row_is_not_tried_again_even_if_it_was_claimed(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1), trouble(2), trouble(3, State.ARCHIVED), trouble(4, State.BLOCKED))
    store = opened_store.store
    [claim] = await store.claim("crm", NOW, 1)

    assert await store.ledger.discard(ALL, NOW + 50) == 3

    assert await opened_store.sync_counts() == {"discarded": 3}
    assert await store.commit(Change(settles=(settle(claim, Settlement.DONE),))) == (False,)
    assert await opened_store.claimed(NOW + 1e6) == []
    assert store.next_due("crm") is None
    ended = await store.ledger.list(Selection(states=(State.DISCARDED,)))
    assert [(row.position, row.last_at, row.due_at) for row in ended] == [(at, NOW + 50, 0.0) for at in (3, 2, 1)]


async def test_many_rows_are_retried_and_discarded_at_once(opened_store: OpenedStore) -> None:
    await opened_store.trouble(*[trouble(at, State.ARCHIVED) for at in range(1, 351)])
    ledger = opened_store.store.ledger

    assert await ledger.retry(Selection(limit=10), NOW) == 350
    assert await ledger.discard(Selection(ids=tuple(trouble(at).id for at in (5, 6, 5, 999))), NOW) == 2
    assert await ledger.discard(ALL, NOW) == 348
    assert await opened_store.sync_counts() == {"discarded": 350}


@pytest.mark.parametrize(
    ("selection", "positions"),
    [
        (Selection(), [6, 5, 4, 3, 2, 1]),
        (Selection(limit=2), [6, 5]),
        (Selection(limit=2, after=trouble(5).id), [4, 3]),
        (Selection(after=trouble(1).id), []),
        (Selection(sync="refunds"), [6, 2]),
        (Selection(source="app"), [4]),
        (Selection(destination="erp"), [5, 2]),
        (Selection(states=(State.ARCHIVED, State.BLOCKED)), [4, 3, 1]),
        (Selection(reason="mapping_failed"), [3]),
        (Selection(stage="mapping"), [3]),
        (Selection(stage="send", destination="erp"), [5, 2]),
        (Selection(since=NOW - 20 + 4), [6, 5, 4]),
        (Selection(until=NOW - 20 + 2), [2, 1]),
        (Selection(since=NOW - 20 + 2, until=NOW - 20 + 3), [3, 2]),
        (Selection(text="ZOË"), [5]),
        (Selection(text="m3"), [3]),
        (Selection(text="% _"), []),
        (Selection(ids=(trouble(2).id, trouble(4).id, "9-no")), [4, 2]),
        (Selection(ids=(trouble(2).id, trouble(4).id, trouble(5).id), limit=1, after=trouble(5).id), [4]),
        (Selection(ids=(trouble(2).id,), states=(State.ARCHIVED,)), []),
        (Selection(sync="orders", states=(State.RETRYING,), text="500"), []),
        (Selection(sync="refunds", states=(State.RETRYING,), text="500", limit=1), [6]),
    ],
)
async def test_a_selection_takes_rows_where_every_part_holds(
    opened_store: OpenedStore, selection: Selection, positions: list[int]
) -> None:
    await opened_store.trouble(
        trouble(1, State.ARCHIVED),
        trouble(2, sync="refunds", destination="erp"),
        trouble(3, State.ARCHIVED, reason="mapping_failed", stage=Stage.MAPPING, error="no price"),
        trouble(4, State.BLOCKED, source="app", sync=""),
        trouble(5, destination="erp", error="zoë was refused"),
        trouble(6, sync="refunds"),
    )

    assert [row.position for row in await opened_store.store.ledger.list(selection)] == positions


async def test_rows_of_the_same_moment_are_paged_without_loss(opened_store: OpenedStore) -> None:
    await opened_store.trouble(*[trouble(at, last_at=NOW) for at in range(1, 26)])
    seen: list[str] = []

    while page := await opened_store.store.ledger.list(Selection(limit=7, after=seen[-1] if seen else "")):
        seen += [row.id for row in page]

    assert seen == sorted((trouble(at).id for at in range(1, 26)), reverse=True)


async def test_a_page_after_a_row_that_is_gone_is_an_error(opened_store: OpenedStore) -> None:
    with pytest.raises(StoreError) as caught:
        await opened_store.store.ledger.list(Selection(after="7-gone"))

    assert str(caught.value) == "entry 7-gone, at which the last page ended, is gone; list again from the start"


async def test_a_row_of_the_same_id_is_replaced_and_the_counts_follow(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1), trouble(2, State.ARCHIVED), trouble(3, State.DISCARDED))
    await opened_store.trouble(trouble(1, State.ARCHIVED), trouble(2, destination="erp"), trouble(3, State.ARCHIVED))

    assert await opened_store.sync_counts() == {"archived": 2, "discarded": 3}
    assert await opened_store.sync_counts("") == {}
    assert await opened_store.claimed() == []
    assert await opened_store.claimed(destination="erp") == [2]
    assert len(await opened_store.store.ledger.list(ALL)) == 3


async def test_counts_add_up(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await store.commit(Change(counts={("sync:orders", "matched"): 2, ("source:shop", "passed"): 5}))
    await store.commit(Change(counts={("sync:orders", "matched"): 3}, troubles=(trouble(1, State.ARCHIVED),)))

    assert {key: value for key, value in (await store.meta.counts()).items() if value} == {
        ("sync:orders", "matched"): 5,
        ("source:shop", "passed"): 5,
        ("sync:orders", "archived"): 1,
    }


async def test_attempts_are_found_by_position(opened_store: OpenedStore) -> None:
    def attempt(destination: str, at: float, *positions: int, error: str = "") -> Attempt:
        return Attempt(
            destination=destination, at=at, seconds=0.1, status=0 if error else 200, positions=positions, error=error
        )

    first, second = attempt("crm", NOW + 1 / 7, 1, 2, 9), attempt("erp", NOW + 1, 2, 3)
    third, last = attempt("crm", NOW + 3, 3, error="ConnectError: refused"), attempt("crm", NOW + 9, 2)
    await opened_store.store.commit(Change(attempts=(last, third, second, first)))

    ledger = opened_store.store.ledger
    assert await ledger.attempts(2) == (first, second, last)
    assert await ledger.attempts(3) == (second, third)
    assert await ledger.attempts(5) == ()


async def test_what_belongs_to_a_sync_that_is_gone_is_archived_and_forgotten(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(9)
    kept = progress(9, (5,), "refunds")
    await store.commit(
        Change(
            progress=(progress(9, (7, 8)), kept),
            troubles=(trouble(1), trouble(2, sync="refunds"), trouble(3, State.ARCHIVED, event=b"{}")),
        )
    )

    assert await store.meta.forget([progress(0)], "sync_removed", NOW + 5) == 1

    assert await store.meta.progress() == [kept]
    gone = changed(
        trouble(1), state=State.ARCHIVED, reason="sync_removed", last_at=NOW + 5, due_at=0.0, event=b'{"n":1}'
    )
    assert await store.ledger.list(Selection(sync="orders")) == [gone, trouble(3, State.ARCHIVED, event=b"{}")]
    assert await opened_store.claimed() == [2]
    assert await opened_store.sync_counts() == {"archived": 2, "discarded": 2}
    assert await store.meta.forget([progress(0)], "sync_removed", NOW + 6) == 0


async def test_what_waits_is_counted_for_each_sync_with_the_oldest_of_it(opened_store: OpenedStore) -> None:
    await opened_store.trouble(
        trouble(1, State.ARCHIVED),
        trouble(2, received_at=NOW - 7),
        trouble(3, received_at=NOW - 9),
        trouble(4, received_at=NOW - 8),
        trouble(5, received_at=NOW - 1 / 7, sync="refunds"),
    )

    assert await opened_store.store.ledger.waiting() == {
        "orders": Waiting(count=3, since=NOW - 9),
        "refunds": Waiting(count=1, since=NOW - 1 / 7),
    }


async def test_reopening_keeps_everything_and_releases_every_claim(opened_store: OpenedStore) -> None:
    if not opened_store.store.caps.durable:
        pytest.skip("this store forgets")
    await opened_store.append(event(1), event(2, "app"), event(3))
    change = Change(
        troubles=(trouble(1), trouble(2, due_at=NOW + 3), trouble(3, State.ARCHIVED)),
        progress=(progress(3, (2,)),),
        counts={("sync:orders", "matched"): 2},
    )
    await opened_store.store.commit(change)
    await opened_store.store.meta.put("plan", b"one", 0)
    assert await opened_store.claimed() == [1]
    listed = await opened_store.store.ledger.list(ALL)

    store = await opened_store.again()

    assert (store.last, store.durable) == (3, 3)
    assert await store.read("shop", 0, 3, 9) == [event(1), event(3)]
    assert await store.read("app", 0, 3, 9) == [event(2, "app")]
    assert await store.ledger.list(ALL) == listed
    assert await store.meta.progress() == [progress(3, (2,))]
    assert await opened_store.sync_counts() == {"matched": 2, "archived": 1}
    assert await store.meta.get("plan") == (b"one", 1)
    assert store.next_due("crm") == NOW
    assert await opened_store.claimed(NOW + 3) == [1, 2]
    await opened_store.append(event(4, "web"))
    assert await store.read("web", 0, 4, 9) == [event(4, "web")]
    assert trouble(2).key == key_of(2)


async def test_a_sync_s_rows_go_to_another_destination(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(9)
    await opened_store.trouble(
        trouble(1),
        trouble(2, State.ARCHIVED, event=b"{}"),
        trouble(3, sync="refunds"),
        trouble(4, source="web"),
        trouble(5, State.BLOCKED, destination="", event=b"{}"),
    )
    before = await opened_store.sync_counts()

    assert await store.meta.readdress("orders", "shop", "erp") == 2

    assert sorted(await opened_store.claimed()) == [3, 4]
    assert await opened_store.claimed(destination="erp") == [1]
    assert await opened_store.sync_counts() == before
    await store.ledger.retry(Selection(ids=(trouble(2).id,)), NOW)
    assert await opened_store.claimed(destination="erp") == [2]
    assert await store.meta.readdress("orders", "shop", "erp") == 0


async def test_a_snapshot_balances_while_somebody_writes(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(100)
    done = trio.Event()

    async def write() -> None:
        """Open a delivery, then settle it or let it wait: created = delivered + open + retrying, after every commit."""
        for at in range(1, 101):
            await store.commit(Change(progress=(progress(at, (at,)),), counts={("sync:orders", "created"): 1}))
            change = Change(progress=(progress(at),), counts={("sync:orders", "delivered"): 1})
            await store.commit(change if at % 3 else Change(progress=(progress(at),), troubles=(trouble(at),)))
        done.set()

    looks = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        while not done.is_set():
            seen = await store.meta.snapshot()
            waiting = seen.waiting["orders"].count if "orders" in seen.waiting else 0
            opened = len(seen.progress["orders"].open) if "orders" in seen.progress else 0
            counted = {name: value for (_, name), value in seen.counts.items()}
            assert counted.get("created", 0) == counted.get("delivered", 0) + opened + waiting
            looks += 1

    assert looks > 10
    assert (await store.meta.snapshot()).waiting["orders"].count == 33
