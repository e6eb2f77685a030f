"""What the soak bench makes of its slots."""

from __future__ import annotations

from typing import Any

import pytest

from bench.soak import table, verdicts

CALM = {"count": 100, "p50": 4.0, "p99": 20.0, "late": 0.0, "stolen": 0.0}
SLOWER = CALM | {"p99": 30.0}
TOO_MANY_LATE = CALM | {"p99": 900.0, "late": 0.02}
TAKEN_BY_THE_HOST = CALM | {"p99": 900.0, "stolen": 0.06}
FLAT = {"first_ms": 20.0, "last_ms": 20.0, "kept": True}


def soaked(*slots: dict[str, float]) -> dict[str, Any]:
    """Return the verdicts on a run whose slots, after the first, are *slots*."""
    looks = [{"memory": 100 << 20, "threads": 4, "files": 30} for _ in range(len(slots) + 1)]
    every = [CALM | {"p99": 500.0}, *slots]
    return verdicts(
        {"seconds": 600, "looks": looks, "lost": 0, "unacked": 0, "books": [], "acks": every, "well": every}
    )


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        pytest.param([CALM] * 12, FLAT, id="the same all the time"),
        pytest.param([*[CALM] * 8, *[SLOWER] * 4], {"first_ms": 20.0, "last_ms": 30.0, "kept": False}, id="grows"),
        pytest.param([*[CALM] * 4, *[SLOWER] * 4, *[CALM] * 4], FLAT, id="only its middle is slower"),
        pytest.param([*[CALM] * 10, TOO_MANY_LATE, TAKEN_BY_THE_HOST], FLAT, id="half of a third is void"),
        pytest.param([*[CALM] * 9, *[TOO_MANY_LATE] * 3], None, id="most of the last third is void"),
        pytest.param([*[TAKEN_BY_THE_HOST] * 3, *[CALM] * 9], None, id="most of the first third is void"),
        pytest.param([CALM], None, id="too short"),
    ],
)
def test_latencies_are_judged_by_the_slots_that_are_not_void(
    slots: list[dict[str, float]], expected: dict[str, Any] | None
) -> None:
    found = soaked(*slots)
    assert (found["acks_p99"], found["well_p99"]) == (expected, expected)


def test_a_void_verdict_says_why() -> None:
    figures = {"sent": 1000, "rate": 100, "minutes": 10, "twice": 0, "behind": 7, "drained_in": 1.5}
    found = {"acks_p50": soaked(CALM)["acks_p50"], "acks_p99": soaked(*[CALM] * 3)["acks_p99"], "aged_acks_p50": None}
    moody = "the moody one, asked 5 times, was 7 behind at the end and had all 1.5 s later"
    disturbed = "(sends late by 10 ms, or more than 5% of the time given to others)"
    unlike = "(sends late by 10 ms, or what was given to others 5% apart)"
    assert table({**figures, "moody_requests": 5, "verdicts": found}).splitlines() == [
        f"1,000 events at 100/s in 10 min, 0 arrived twice; {moody}",
        f"acks_p50       void: too short, or more than half of the first or last third was disturbed {disturbed}",
        "acks_p99       first_ms 20.0, last_ms 20.0                          kept",
        f"aged_acks_p50  void: too few pairs whose turns were alike {unlike}",
    ]
