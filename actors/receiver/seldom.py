"""What strangers can cause as often as they like is said once a minute."""

from __future__ import annotations

import math

from engine.runtime.clock import Clock

EVERY = 60.0
"""Seconds between two words about the same thing."""


class Seldom:
    """Says when it is time to say it again.

    Args:
        clock: whose monotonic time counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._again = -math.inf
        self._times = 0

    def now(self) -> int:
        """Count one more; return how many there were since it was said, or 0 if it is too early to say it."""
        self._times += 1
        now = self._clock.monotonic()
        if now < self._again:
            return 0
        self._again = now + EVERY
        times, self._times = self._times, 0
        return times
