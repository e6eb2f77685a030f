"""How many events a second one write key may bring: refused fairly, or slowed down."""

from __future__ import annotations

import math

from engine.runtime.clock import Clock


class Quota:
    """A bucket that may go into debt, so that a large batch is never too large; whoever is in debt waits.

    Each key has its own: a flood with one key takes nothing from those who show another.

    Args:
        rate: events a second; as many may come at once after a quiet second.
        clock: whose monotonic time counts.
    """

    __slots__ = ("_clock", "_free_at", "rate")

    def __init__(self, rate: float, clock: Clock) -> None:
        self.rate = rate
        self._clock = clock
        self._free_at = -math.inf

    def take(self, events: int) -> float:
        """Take *events* and return 0.0, or take nothing and return after how many seconds to come again."""
        now = self._clock.monotonic()
        if self._free_at > now:
            return self._free_at - now
        # What is unused is kept for one second: then a key that was quiet may bring a second's worth at once.
        self._free_at = max(self._free_at, now - 1.0) + events / self.rate
        return 0.0
