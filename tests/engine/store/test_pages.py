from __future__ import annotations

import pytest

from engine.messages import Judged, Routed, Settle, Settled, Settlement, Stage, State, Trouble
from engine.store.base import Cursor, Progress
from engine.store.pages import Books


def books(high: int = 10, open_: tuple[tuple[int, str], ...] = ()) -> Books:
    page = Progress(sync="orders", source="shop", high=high, open=open_)
    return Books([Cursor(source="shop", position=high)], [page])


def trouble(position: int, state: State = State.ARCHIVED) -> Trouble:
    return Trouble(
        id=f"{position}-k", state=state, stage=Stage.MAPPING, reason="mapping_failed", source="shop", sync="orders",
        position=position, key="k", message_id="m", received_at=1.0, first_at=1.0, last_at=1.0,
    )  # fmt: skip


def test_nothing_reported_is_nothing_to_write() -> None:
    assert not books().changed


def test_a_routers_word_moves_high_opens_and_counts() -> None:
    made = books()
    made.fold(
        Routed(
            sync="orders", after=10, upto=14, opened=((11, "a"), (13, "b")), matched=3, filtered={"no_event_type": 1},
            troubles=(trouble(14),),
        )
    )  # fmt: skip
    change = made.change()

    assert change.progress == (Progress(sync="orders", source="shop", high=14, open=((11, "a"), (13, "b"))),)
    assert change.troubles == (trouble(14),)
    assert change.counts == {
        ("sync:orders", "matched"): 3,
        ("sync:orders", "filtered.no_event_type"): 1,
        ("sync:orders", "created"): 3,
    }
    assert not made.changed


def test_the_same_word_twice_counts_once() -> None:
    made = books()
    word = Routed(sync="orders", after=10, upto=11, opened=((11, "a"),), matched=1)
    made.fold(word)
    made.fold(word)

    assert made.change().counts == {("sync:orders", "matched"): 1, ("sync:orders", "created"): 1}


def test_an_outcome_closes_and_gives_its_places_with_the_transaction() -> None:
    made = books(open_=((9, "a"), (10, "b")))
    made.fold(Settled(closed=(("orders", 9, "a"),), delivered={"orders": 1}, places=1))

    assert (made.outcomes, made.places) == (1, 1)
    change = made.change()
    assert change.progress[0].open == ((10, "b"),)
    assert change.counts == {("sync:orders", "delivered"): 1}
    assert (made.outcomes, made.places) == (0, 0)


def test_claims_are_settled_with_the_same_transaction() -> None:
    made = books()
    settle = Settle(id="9-a", token=4, how=Settlement.DONE)
    made.fold(Settled(settles=(settle,), places=1))

    assert made.change().settles == (settle,)


def test_what_the_plan_makes_no_more_is_discarded_and_what_takes_its_place_is_created() -> None:
    made = books(open_=((9, "old"), (10, "kept")))
    made.fold(
        Routed(sync="orders", after=10, upto=10, opened=((9, "new"), (10, "kept")), voided=((9, "old"),))
    )  # fmt: skip
    change = made.change()

    assert change.progress[0].open == ((9, "new"), (10, "kept"))
    assert change.counts == {("sync:orders", "created"): 1, ("sync:orders", "discarded"): 1}


@pytest.mark.parametrize(("upto", "passed"), [(10, 0), (11, 2)])
def test_a_validators_word_counts_only_what_is_new(upto, passed) -> None:
    made = books()
    made.fold(Judged(source="shop", after=9, upto=upto, passed=2, blocked=1, troubles=(trouble(upto),)))
    change = made.change()

    assert change.counts.get(("source:shop", "passed"), 0) == passed
    assert [cursor.position for cursor in change.cursors] == ([11] if passed else [])
