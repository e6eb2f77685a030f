from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store.base import Accepted
from engine.store.seen import KNOWN, Seen, key_of

DAY = 86_400.0


def known(seen: Seen, name: str, at: float, position: int = 1) -> None:
    seen.turn(at)
    key = key_of("shop", name)
    assert seen.admit(key, position) is None
    seen.commit([key], at)


def asked(seen: Seen, name: str, at: float) -> int | None:
    """Ask without leaving a trace."""
    seen.turn(at)
    key = key_of("shop", name)
    answer = seen.admit(key, -1)
    if answer is None:
        seen.forget([key])
    return answer


def test_an_id_is_pending_with_its_position_then_known() -> None:
    seen = Seen(DAY, 100)
    key = key_of("shop", "m1")

    assert seen.admit(key, 7) is None
    assert seen.admit(key, 8) == 7
    seen.commit([key], 0.0)
    assert seen.admit(key, 9) == KNOWN


def test_an_id_whose_commit_failed_may_come_again() -> None:
    seen = Seen(DAY, 100)
    key = key_of("shop", "m1")
    seen.admit(key, 7)

    seen.forget([key])

    assert seen.admit(key, 7) is None


def test_the_same_id_of_two_sources_is_two_ids() -> None:
    assert key_of("shop", "m1") != key_of("app", "m1")
    assert len(key_of("shop", "\ud800")) == 16


@pytest.mark.parametrize(
    ("after", "remembered"),
    [(0.0, True), (DAY - 1, True), (2 * DAY, False), (30 * DAY, False)],
    ids=["at once", "within the window", "after twice the window", "after a long silence"],
)
def test_an_id_is_remembered_for_the_window_and_at_most_twice_that(after: float, *, remembered: bool) -> None:
    seen = Seen(DAY, 100)
    known(seen, "first", 0.0)

    assert (asked(seen, "first", after) == KNOWN) is remembered
    assert seen.early == 0


def test_ids_that_come_too_fast_push_out_the_oldest_half_and_are_counted() -> None:
    seen = Seen(DAY, 10)

    for number in range(11):
        known(seen, f"m{number}", float(number))

    assert [number for number in range(11) if asked(seen, f"m{number}", 11.0) == KNOWN] == [5, 6, 7, 8, 9, 10]
    assert len(seen) == 6
    assert seen.early == 5


def test_only_ids_younger_than_the_window_count_as_gone_early() -> None:
    seen = Seen(10.0, 4)
    for name, at in (("a", 0.0), ("b", 5.0), ("c", 6.0), ("d", 7.0)):
        known(seen, name, at)

    known(seen, "e", 12.0)

    assert seen.early == 1


def test_rebuild_knows_the_last_window_of_the_log() -> None:
    seen = Seen(100.0, 10)
    log = [
        Accepted(position=1, source="shop", message_id="old", received_at=850.0),
        Accepted(position=2, source="shop", message_id="m1", received_at=910.0),
        Accepted(position=3, source="shop", message_id="m2", received_at=990.0),
    ]

    seen.rebuild(log, 1000.0)

    assert [asked(seen, name, 1000.0) for name in ("old", "m1", "m2")] == [None, KNOWN, KNOWN]


def test_a_clock_that_is_set_back_forgets_nothing() -> None:
    seen = Seen(100.0, 10)
    known(seen, "a", 1000.0)
    known(seen, "b", 900.0)

    assert asked(seen, "a", 905.0) == KNOWN
    assert asked(seen, "b", 1050.0) == KNOWN


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=120))
def test_within_window_and_half_of_max_no_duplicate_is_missed(steps: list[tuple[int, int]]) -> None:
    seen, now = Seen(100.0, 20), 0.0
    model: dict[str, float] = {}
    order: list[str] = []
    for wait, number in steps:
        now += wait
        name = f"m{number}"
        answer = asked(seen, name, now)
        recent = order[-10:]
        if name in model and now - model[name] < 100.0 and name in recent:
            assert answer == KNOWN
        if name not in model:
            assert answer is None
        if answer is None:
            known(seen, name, now)
            model[name] = now
            order.append(name)
        assert len(seen) <= 20
