"""When a destination was not to be had: time that is not held against what waits for it."""

from __future__ import annotations

import math
from collections import deque

KEPT = 1000
"""Intervals remembered; older ones were settled into each delivery's own `excused` long before."""


class Downtime:
    """Intervals of wall time, which may overlap; asked how much of a stretch they cover.

    Args:
        known_from: what was before is covered: how the destination was in an engine's earlier life nobody knows any
            more, and while none ran nobody could try.
    """

    def __init__(self, known_from: float = -math.inf) -> None:
        self._known_from = known_from
        self._intervals: deque[tuple[float, float]] = deque(maxlen=KEPT)
        self._since = math.inf

    def begin(self, now: float) -> None:
        """It is down from *now* on; nothing changes if it was."""
        self._since = min(self._since, now)

    def end(self, now: float) -> None:
        """It is up from *now* on."""
        if self._since < now:
            self._intervals.append((self._since, now))
        self._since = math.inf

    def add(self, start: float, end: float) -> None:
        """It told us to wait from *start* until *end*."""
        self._intervals.append((start, end))

    def within(self, start: float, end: float) -> float:
        """Return the seconds between *start* and *end* in which it was down, each counted once."""
        covered = 0.0
        reached = start
        for first, last in sorted([(-math.inf, self._known_from), *self._intervals, (self._since, math.inf)]):
            first, last = max(first, reached), min(last, end)  # noqa: PLW2901 - cut to what is asked
            if last > first:
                covered += last - first
                reached = last
        return covered
