from __future__ import annotations

import pytest

from engine.observe.latency import Histogram
from engine.observe.sampling import BOUNDS, Reading, Sample, sample


def reading(at: float, *latencies: float, **counts: int) -> Reading:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    return Reading(at=at, wall=1000 + at, within=histogram.upto(BOUNDS), arrived=histogram.count, **counts)


@pytest.mark.parametrize(
    ("before", "after", "made"),
    [
        (reading(0, read=10), reading(1, read=30), Sample(at=1001, read=20.0)),
        (reading(0, read=10), reading(2, read=30), Sample(at=1002, read=10.0)),
        (reading(0, delivered=3, archived=1, refused=2), reading(0.5, delivered=4, archived=3, refused=3),
         Sample(at=1000.5, delivered=2.0, archived=4.0, refused=2.0)),
        (reading(0, read=10), reading(1, read=4), Sample(at=1001)),
    ],
    ids=["a second", "two seconds", "half a second", "less than before"],
)  # fmt: skip
def test_a_sample_is_what_grew_per_second(before, after, made):
    assert sample(before, after) == made


def test_latencies_are_those_between_the_readings_within_ten_percent():
    early = [5.0] * 100
    made = sample(reading(0, *early), reading(1, *early, *[0.002] * 98, 0.5, 0.5))

    assert made.p50 == pytest.approx(0.002, rel=0.15)
    assert made.p99 == pytest.approx(0.5, rel=0.15)


def test_what_takes_longer_than_the_last_bound_is_told_as_that():
    assert sample(reading(0), reading(1, 1000.0)).p50 == BOUNDS[-1]
