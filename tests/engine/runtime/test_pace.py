from __future__ import annotations

import pytest

from engine.runtime.pace import Pace, Paces


def steady(rate: float, since: float = 0.0, until: float = 120.0) -> Pace:
    pace = Pace()
    now = since
    while now <= until:
        pace.note(now, int((now - since) * rate))
        now += 0.25
    return pace


@pytest.mark.parametrize(
    ("now", "expected"),
    [(120.0, 100.0), (150.0, 50.0), (180.0, 0.0), (1e6, 0.0)],
    ids=["as it goes", "half a minute later", "a minute later", "long after"],
)
def test_the_rate_is_of_the_last_minute(now: float, expected: float) -> None:
    assert steady(100.0).rate(now) == pytest.approx(expected, rel=0.02)


def test_an_earlier_pace_is_forgotten() -> None:
    pace = steady(1000.0)
    for second in range(121, 200):
        pace.note(float(second), 120_000 + second - 120)
    assert pace.rate(199.0) == pytest.approx(1.0, rel=0.02)


def test_nobody_can_tell_before_the_first_look() -> None:
    assert Pace().rate(5.0) == 0.0


def test_looks_are_few() -> None:
    assert len(steady(100.0)._looks) <= 62


def test_what_is_left_is_read_and_then_done() -> None:
    paces = Paces()
    for second in range(61):
        paces.read.note(float(second), 200 * second)
        paces.done.note(float(second), 100 * second)

    assert paces.drain(60.0, 0, 0) == 0.0
    assert paces.drain(60.0, 0, 500) == pytest.approx(5.0)
    assert paces.drain(60.0, 1000, 500) == pytest.approx(10.0)
    assert paces.drain(1000.0, 0, 1) is None
