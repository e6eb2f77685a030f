"""What the soak bench makes of an old engine beside a fresh one."""

from __future__ import annotations

from typing import Any

import pytest

from bench.aged import counting, verdicts, with_arrivals

CALM = {"count": 100, "p50": 4.0, "p99": 20.0, "late": 0.0, "stolen": 0.0}
SLOWER = CALM | {"p99": 30.0}
ROBBED = CALM | {"p99": 30.0, "stolen": 0.06}
LATE = CALM | {"late": 0.02}
WARM_UP = CALM | {"p99": 900.0}


def turns(*slots: dict[str, float]) -> list[dict[str, Any]]:
    """Return turns whose second slots are *slots*, for acks and for arrivals, after one that warms up."""
    return [{"slots": [WARM_UP, slot], "well": slot} for slot in (WARM_UP, *slots)]


def judged(aged: list[dict[str, float]], fresh: list[dict[str, float]], pairs: int = 3) -> dict[str, Any]:
    return verdicts({"aged": turns(*aged), "fresh": turns(*fresh)}, pairs)


def verdict(aged_ms: float, ratio: float, *, kept: bool) -> dict[str, Any]:
    return {"pairs": 3, "fresh_ms": 20.0, "aged_ms": aged_ms, "ratio": ratio, "kept": kept}


@pytest.mark.parametrize(
    ("aged", "fresh", "expected"),
    [
        pytest.param([CALM] * 3, [CALM] * 3, verdict(20.0, 1.0, kept=True), id="as it was"),
        pytest.param([SLOWER] * 3, [CALM] * 3, verdict(30.0, 1.5, kept=False), id="slower by half"),
        pytest.param([CALM, CALM, SLOWER], [CALM] * 3, verdict(20.0, 1.0, kept=True), id="slower in one pair"),
        pytest.param(
            [ROBBED, CALM, CALM, CALM], [CALM] * 4, verdict(20.0, 1.0, kept=True), id="one turn robbed, one pair more"
        ),
        pytest.param([ROBBED] * 3, [ROBBED] * 3, verdict(30.0, 1.0, kept=True) | {"fresh_ms": 30.0}, id="both robbed"),
        pytest.param([CALM] * 3, [CALM, CALM, LATE], None, id="too few without a late turn"),
        pytest.param([CALM] * 2, [CALM] * 2, None, id="too few"),
    ],
)
def test_what_age_costs_is_the_median_over_the_pairs_that_count(
    aged: list[dict[str, float]], fresh: list[dict[str, float]], expected: dict[str, Any] | None
) -> None:
    found = judged(aged, fresh)
    assert (found["aged_acks_p99"], found["aged_well_p99"]) == (expected, expected)


def test_a_difference_of_two_milliseconds_is_none() -> None:
    found = judged([CALM | {"p50": 6.0}] * 3, [CALM] * 3)
    assert found["aged_acks_p50"] == {"pairs": 3, "fresh_ms": 4.0, "aged_ms": 6.0, "ratio": 1.5, "kept": True}


def test_a_run_without_pairs_says_nothing_of_age() -> None:
    assert set(verdicts({"aged": [], "fresh": []}, 0).values()) == {None}
    assert counting({"aged": turns(), "fresh": turns()}) == []


@pytest.mark.parametrize(
    ("began", "expected"), [(100, 10), (101, 11), (105, 11), (110, 11)], ids=["at its edge", "after", "amid", "next"]
)
def test_a_turns_arrivals_are_those_of_the_slot_that_lies_within_it(began: int, expected: int) -> None:
    second = 10**9
    arrived = {"began": 0, "slots": [{"p50": float(number)} for number in range(20)]}
    given = {"aged": [{"began": began * second}], "fresh": []}
    found = with_arrivals(given, arrived, slot=10.0)
    assert found == {"aged": [{"began": began * second, "well": {"p50": float(expected)}}], "fresh": []}
