"""What every store must keep: the order of deliveries, and rows that are parked until it is their turn."""

from __future__ import annotations

from typing import Any

from engine.messages import NEVER, Settlement, State, Trouble
from engine.store.base import Change, Selection
from engine.store.order import Moved, Remains
from tests.support.stores import NOW, OpenedStore, changed, settle, trouble

ORDERS = ("orders", "u1")


def parked(position: int, turn: str = "u1", **changes: Any) -> Trouble:
    return trouble(position, turn=turn, due_at=NEVER, reason="parked", attempts=0, **changes)


async def positions(opened_store: OpenedStore, *, after: tuple[int, str] = (0, ""), limit: int = 10) -> list[int]:
    claims = await opened_store.store.claim_parked(ORDERS, after, NOW, limit)
    return [claim.trouble.position for claim in claims]


async def test_what_is_parked_is_never_due_and_counts_as_waiting(opened_store: OpenedStore) -> None:
    await opened_store.trouble(parked(1), parked(2))

    assert opened_store.store.next_due("crm") is None
    assert await opened_store.claimed(NEVER + 1) == []
    assert (await opened_store.store.ledger.waiting())["orders"].count == 2
    if opened_store.store.caps.durable:
        again = await opened_store.again()
        assert again.next_due("crm") is None
        assert await opened_store.claimed(NEVER + 1) == []


async def test_parked_rows_are_claimed_in_the_order_of_the_log_each_once(opened_store: OpenedStore) -> None:
    await opened_store.trouble(*[parked(at) for at in (7, 3, 5, 1)], parked(2, "u2"), parked(4, sync="others"))

    assert await positions(opened_store, limit=2) == [1, 3]
    assert await positions(opened_store, limit=2) == [5, 7]
    assert await positions(opened_store) == []
    if opened_store.store.caps.durable:
        await opened_store.again()
        assert await positions(opened_store, after=(3, "~")) == [5, 7]


async def test_a_claimed_one_is_settled_like_any_other(opened_store: OpenedStore) -> None:
    await opened_store.trouble(parked(1), parked(2), parked(3))
    store = opened_store.store
    done, again, release = await store.claim_parked(ORDERS, (0, ""), NOW, 3)
    later = changed(again.trouble, due_at=NOW + 5)
    settles = (
        settle(done, Settlement.DONE),
        settle(again, Settlement.RETRY, later),
        settle(release, Settlement.RELEASE),
    )

    assert await store.commit(Change(settles=settles)) == (True, True, True)
    assert store.next_due("crm") == NOW + 5
    assert await positions(opened_store) == [3]


async def test_what_waits_and_has_a_turn_is_known_after_a_start(opened_store: OpenedStore) -> None:
    head = trouble(1, turn="u1")
    await opened_store.trouble(head, parked(2), parked(9), parked(4, "u2"), trouble(5))
    store = await opened_store.again() if opened_store.store.caps.durable else opened_store.store

    assert await store.turns() == [
        Remains(sync="orders", turn="u1", id=head.id, position=1),
        Remains(sync="orders", turn="u1", count=2, position=9),
        Remains(sync="orders", turn="u2", position=4),
    ]


async def test_who_keeps_the_order_is_told_what_ended_and_what_was_parked(opened_store: OpenedStore) -> None:
    told: list[Moved] = []
    opened_store.store.on_moved = told.append
    first, second = trouble(1, turn="u1"), parked(2)
    await opened_store.trouble(first, second)
    await opened_store.store.ledger.discard(Selection(ids=(first.id,)), NOW)
    await opened_store.trouble(changed(second, state=State.ARCHIVED, due_at=0.0))

    assert [(one.ended, one.parked) for one in told] == [
        ((), (ORDERS,)),
        ((first.id,), ()),
        ((second.id,), ()),
    ]


async def test_a_person_retries_outside_the_order_and_never_what_is_parked(opened_store: OpenedStore) -> None:
    archived, waiting = trouble(1, State.ARCHIVED, turn="u1"), parked(2)
    await opened_store.trouble(archived, waiting)

    assert await opened_store.store.ledger.retry(Selection(sync="orders"), NOW) == 1
    again = await opened_store.store.ledger.get(archived.id)
    assert again is not None
    assert (again.state, again.turn) == (State.RETRYING, "")
    assert await opened_store.store.ledger.get(waiting.id) == waiting
