"""Latencies as a histogram of fixed buckets: constant memory, one addition per observation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

_STEPS = 16
"""Buckets per doubling: a quantile is within 4.5 % of the truth."""
_FLOOR = 1e-5
"""Seconds of the lowest bucket."""
_BUCKETS = 27 * _STEPS
"""Up to 1,342 seconds."""


class Histogram:
    """Counts seconds in buckets that grow by a 16th of a doubling.

    Attributes:
        count: how many were added.
        total: their sum, in seconds.
        most: the longest.
    """

    __slots__ = ("_counts", "count", "most", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.most = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation; below 10 µs counts as 10 µs."""
        step = int(math.log2(seconds / _FLOOR) * _STEPS) if seconds > _FLOOR else 0
        self._counts[min(step, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += seconds
        self.most = max(self.most, seconds)

    def upto(self, bounds: Sequence[float]) -> list[int]:
        """Return for each of *bounds*, in seconds, how many did not exceed it, to within 4.5 % of the bound."""
        sums = list(accumulate(self._counts, initial=0))
        edges = (max(int(math.log2(bound / _FLOOR) * _STEPS), 0) for bound in bounds)
        return [sums[min(edge, _BUCKETS)] for edge in edges]

    def quantile(self, part: float) -> float | None:
        """Return the seconds that *part* (0 to 1) of all observations do not exceed; None if there are none."""
        if not self.count:
            return None
        rank = math.ceil(part * self.count)
        seen = 0
        for step, count in enumerate(self._counts):
            seen += count
            if seen >= rank:
                return min(float(_FLOOR * 2 ** ((step + 1) / _STEPS)), self.most)
        return self.most

    def merge(self, other: Histogram) -> None:
        """Add what *other* counted."""
        self._counts = [mine + its for mine, its in zip(self._counts, other._counts, strict=True)]
        self.count += other.count
        self.total += other.total
        self.most = max(self.most, other.most)
