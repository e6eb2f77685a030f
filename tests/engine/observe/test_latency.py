from __future__ import annotations

import pytest

from engine.observe.latency import Histogram


def test_no_observation_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


@pytest.mark.parametrize(("part", "expected"), [(0.5, 0.050), (0.99, 0.099), (1.0, 0.100)])
def test_a_quantile_is_near_the_truth(part, expected) -> None:
    histogram = Histogram()
    for ms in range(1, 101):
        histogram.add(ms / 1000)

    assert histogram.quantile(part) == pytest.approx(expected, rel=0.045)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e9])
def test_what_is_out_of_range_is_counted_at_the_edge(seconds) -> None:
    histogram = Histogram()
    histogram.add(seconds)

    assert histogram.count == 1
    assert histogram.quantile(0.5) is not None


def test_merging_adds_up() -> None:
    one, other = Histogram(), Histogram()
    one.add(0.001)
    other.add(0.1)
    one.merge(other)

    assert (one.count, one.most) == (2, 0.1)


def test_how_many_did_not_exceed_a_bound_is_counted_up() -> None:
    histogram = Histogram()
    for ms in (0.001, 1, 4, 90, 5_000_000):
        histogram.add(ms / 1000)

    assert histogram.upto([1e-6, 0.0005, 0.005, 0.1, 10.0, 10_000.0]) == [0, 1, 3, 4, 4, 5]
    assert histogram.total == pytest.approx(5000.095001)
