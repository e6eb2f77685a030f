from __future__ import annotations

import pytest

from engine.runtime.downtime import Downtime


@pytest.mark.parametrize(
    ("intervals", "asked", "seconds"),
    [
        ([], (0, 10), 0),
        ([(2, 5)], (0, 10), 3),
        ([(2, 5)], (3, 4), 1),
        ([(2, 5)], (6, 10), 0),
        ([(2, 5), (4, 8)], (0, 10), 6),
        ([(2, 8), (3, 4)], (0, 10), 6),
        ([(7, 9), (1, 2)], (0, 8), 2),
    ],
)
def test_overlapping_waits_are_counted_once(intervals, asked, seconds) -> None:
    downtime = Downtime()
    for start, end in intervals:
        downtime.add(start, end)

    assert downtime.within(*asked) == seconds


def test_what_goes_on_now_counts_up_to_now() -> None:
    downtime = Downtime()
    downtime.begin(10)
    downtime.begin(12)

    assert downtime.within(0, 15) == 5
    downtime.end(20)
    assert downtime.within(0, 100) == 10


def test_what_was_before_anybody_knew_is_covered() -> None:
    downtime = Downtime(known_from=100)
    downtime.add(110, 120)

    assert downtime.within(40, 130) == 70
