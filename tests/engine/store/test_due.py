from __future__ import annotations

import pytest

from engine.messages import State, Trouble
from engine.store import books
from engine.store.base import LEASE
from engine.store.due import Due
from tests.support.stores import NOW, trouble


def write(due: Due, *troubles: Trouble, before: tuple[Trouble, ...] = ()) -> list[str]:
    """Tell *due* that these rows were written over those."""
    fold = books.Fold({one.id: books.standing(one) for one in before})
    for one in troubles:
        fold.write(one)
    return due.follow(fold.effect())


def waiting(at: int, due_at: float) -> Trouble:
    return trouble(at, due_at=due_at)


def ids(*positions: int) -> list[str]:
    return [trouble(at).id for at in positions]


def take(due: Due, now: float, limit: int = 100) -> list[str]:
    return [hold.id for hold in due.take("crm", now, limit)]


def test_a_row_put_to_another_time_is_due_only_then():
    due = Due()
    first, later, sooner = waiting(1, 10.0), waiting(1, 30.0), waiting(1, 20.0)
    write(due, first)
    write(due, later, before=(first,))
    write(due, sooner, before=(later,))

    assert due.next_due("crm") == 20.0
    assert take(due, 19.0) == []
    assert take(due, 20.0) == ids(1)
    assert take(due, 99.0) == []


def test_rows_of_one_moment_are_taken_by_their_ids():
    due = Due()
    write(due, *[waiting(at, 5.0) for at in (3, 1, 2)])

    assert take(due, 5.0) == sorted(ids(1, 2, 3))


def test_a_row_that_changes_its_destination_leaves_the_old_one():
    due = Due()
    write(due, waiting(1, 5.0))

    assert write(due, trouble(1, due_at=5.0, destination="erp"), before=(waiting(1, 5.0),)) == ["erp"]
    assert (due.next_due("crm"), due.next_due("erp")) == (None, 5.0)


def test_a_claim_that_was_not_ended_in_the_store_is_taken_back():
    due = Due()
    write(due, waiting(1, 5.0))
    [hold] = due.take("crm", 5.0, 1)

    assert due.end(hold.id, hold.token + 1) is None
    ended = due.end(hold.id, hold.token)
    assert ended is hold
    assert due.next_due("crm") is None
    due.restore([hold])
    assert due.next_due("crm") == 5.0 + LEASE
    assert due.end(hold.id, hold.token) is hold


def test_a_claimed_row_that_is_written_stays_claimed():
    due = Due()
    write(due, waiting(1, 5.0))
    [hold] = due.take("crm", 5.0, 1)
    assert write(due, waiting(1, 3.0), before=(waiting(1, 5.0),)) == []

    assert take(due, 99.0) == []
    due.give_back([hold])
    assert due.next_due("crm") == 3.0


def test_only_the_first_rows_are_in_memory_and_the_horizon_is_the_next_time():
    due = Due(limit=10)
    write(due, *[waiting(at, float(at)) for at in range(1, 12)])
    write(due, waiting(20, 20.0), waiting(30, 0.5))

    assert take(due, 99.0) == ids(30, 1, 2, 3, 4, 5)
    assert due.short("crm", 99.0)
    assert due.next_due("crm") == 5.0
    assert not due.short("crm", 4.0)


def test_what_changes_while_rows_are_read_is_not_lost():
    due = Due(limit=4)
    old = {at: waiting(at, float(at)) for at in range(1, 11)}
    write(due, *old.values())
    assert take(due, 99.0) == ids(1, 2)

    assert due.begin_fill("crm") == (2.0, trouble(2).id)
    write(due, trouble(6, State.DISCARDED), before=(old[6],))
    write(due, waiting(7, 50.0), before=(old[7],))
    write(due, waiting(11, 3.5), waiting(12, 60.0))
    due.fill("crm", [(float(at), trouble(at).id) for at in range(3, 9)], more=True)
    due.end_fill("crm")

    assert take(due, 99.0) == ids(3, 11, 4, 5, 8)
    assert due.short("crm", 99.0)
    due.begin_fill("crm")
    due.fill(
        "crm", [(due_at, trouble(at).id) for due_at, at in ((9.0, 9), (10.0, 10), (50.0, 7), (60.0, 12))], more=False
    )
    due.end_fill("crm")
    assert take(due, 99.0) == ids(9, 10, 7, 12)
    assert not due.short("crm", 99.0)


def test_a_read_that_failed_leaves_the_horizon():
    due = Due(limit=4)
    write(due, *[waiting(at, float(at)) for at in range(1, 6)])
    held = len(take(due, 99.0))
    above = due.begin_fill("crm")
    write(due, waiting(50, 50.0))
    due.end_fill("crm")

    assert above == (float(held), trouble(held).id)
    assert take(due, 99.0) == []
    assert due.short("crm", 99.0)


@pytest.mark.parametrize("many", [1, 500])
def test_a_lane_that_is_written_again_and_again_does_not_grow(many: int):
    due = Due()
    rows = [waiting(at, NOW) for at in range(many)]
    write(due, *rows)
    for turn in range(20):
        later = [waiting(at, NOW + turn) for at in range(many)]
        write(due, *later, before=tuple(rows))
        rows = later

    assert len(due._lanes["crm"].heap) <= 2 * many + 101
    assert len(take(due, NOW + 20, many)) == many
