"""What every store must keep: forgetting."""

from __future__ import annotations

from engine.messages import Result, Settlement, Stage, State
from engine.store.base import Change, Selection
from engine.store.erasing import Tomb
from engine.violated import Violated, Wanted
from tests.support.stores import NOW, OpenedStore, changed, event, settle, trouble


def tomb(position: int, **parts) -> Tomb:
    return Tomb(position=position, source="shop", received_at=NOW, **parts)


def broken(position: int, raw: bytes) -> Violated:
    return Violated(
        position=position,
        at=NOW,
        source="shop",
        contract="c",
        type="track",
        message_id=f"m{position}",
        allowed=True,
        rules=("type",),
        violations=("/a: no",),
        event=raw,
    )


async def test_an_erased_event_keeps_its_place_and_nothing_else(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.append(event(1), event(2), event(3))
    made = Result(position=2, outcome="passed", events=(b'{"messageId":"m2"}', b'{"messageId":"m2#1"}'))
    store.keep([made], lambda _: None)
    await opened_store.fill(1)

    assert await store.eraser.bury([tomb(2, result=made), tomb(3, blocked=True)]) == 2
    assert await store.eraser.bury([tomb(2, result=made)]) == 0

    read = await store.read("shop", 0, 3, 10)
    assert [(one.position, one.raw, one.envelope.message_id, one.envelope.erased) for one in read] == [
        (1, b'{"n":1}', "m1", ""),
        (2, b"", "", "passed"),
        (3, b"", "", "blocked"),
    ]
    assert await store.results([2]) == {2: Result(position=2, outcome="passed", events=(b"{}", b"{}"))}
    assert await store.history.located("m2") == []
    assert await store.history.located("m2#1") == []
    assert store.last == 4


async def test_erased_rows_move_to_erased_in_the_books(opened_store: OpenedStore) -> None:
    blocked = changed(trouble(5, State.BLOCKED), sync="", stage=Stage.CONTRACT)
    await opened_store.trouble(
        trouble(1), trouble(2, State.ARCHIVED), trouble(3, State.DISCARDED), trouble(4, State.ARCHIVED), blocked
    )

    gone = await opened_store.store.eraser.erase_rows([trouble(at).id for at in (1, 2, 3, 5, 9)])

    assert sorted(row.position for row in gone) == [1, 2, 3, 5]
    assert await opened_store.sync_counts() == {"archived": 1, "discarded": 1, "erased": 2}
    assert opened_store.store.next_due("crm") is None


async def test_no_row_is_written_for_an_erased_event_any_more(opened_store: OpenedStore) -> None:
    await opened_store.fill(3)
    await opened_store.store.eraser.bury([tomb(1), tomb(2)])

    await opened_store.trouble(trouble(1), trouble(2, State.ARCHIVED), trouble(3))

    assert await opened_store.sync_counts() == {"erased": 2}
    assert await opened_store.claimed() == [3]


async def test_what_broke_contracts_is_erased_by_position_and_user(opened_store: OpenedStore) -> None:
    store = opened_store.store

    await store.commit(
        Change(violated=(broken(1, b"{}"), broken(2, b'{"userId":"u1"}'), broken(3, b'{"userId":"u2"}')))
    )

    assert (await store.eraser.erase_rest(("userId", "u1"), [1]))["violations"] == 2
    assert [one.position for one in await store.violations.list(Wanted())] == [3]
    assert await store.eraser.scrub()


async def test_what_is_told_late_of_an_erased_event_is_not_kept(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(2)
    await store.eraser.bury([tomb(1)])

    await store.commit(Change(violated=(broken(1, b"{}"), broken(2, b"{}"))))

    assert [one.position for one in await store.violations.list(Wanted())] == [2]


async def test_a_row_that_outlives_its_event_keeps_its_copy_until_it_is_erased(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.trouble(trouble(1, State.ARCHIVED, event=b'{"userId":"u1"}'))
    assert await store.ledger.retry(Selection(), NOW) == 1
    for after, how in ((State.RETRYING, Settlement.RETRY), (State.ARCHIVED, Settlement.ARCHIVE)):
        [claim] = await store.claim("crm", NOW, 1)
        await store.commit(Change(settles=(settle(claim, how, trouble(1, after)),)))

    row = await store.ledger.get(trouble(1).id)

    assert row is not None
    assert (row.state, row.event) == (State.ARCHIVED, b'{"userId":"u1"}')
