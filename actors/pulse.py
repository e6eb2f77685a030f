"""The pulse: how late the loop wakes who sleeps. A late one means that something holds it up."""

from __future__ import annotations

from engine.observe.latency import Histogram
from engine.runtime.bell import Bell
from engine.runtime.clock import Clock

EVERY = 0.5
"""Seconds between two beats."""
WATCHED = 120.0
"""Seconds after somebody looked in which it beats: longer than any usual pause between two scrapes."""


class Pulse:
    """Sleeps, and counts by how much it overslept, as long as somebody looks now and then.

    Attributes:
        lag: seconds overslept.

    Args:
        clock: only its monotonic time counts.
    """

    def __init__(self, clock: Clock) -> None:
        self.lag = Histogram()
        self.clock = clock
        self._until = 0.0
        self._bell = Bell()
        self._stopping = False

    async def run(self) -> None:
        """Beat until told to stop; an engine that nobody looks at sleeps."""
        while not self._stopping:
            if self.clock.monotonic() >= self._until:
                await self._bell.wait()
                continue
            due = self.clock.monotonic() + EVERY
            await self.clock.sleep_until(due)
            self.lag.add(self.clock.monotonic() - due)

    def look(self) -> None:
        """Let it beat for a while."""
        self._until = self.clock.monotonic() + WATCHED
        self._bell.ring()

    def stop(self) -> None:
        """Beat no more."""
        self._stopping = True
        self._bell.ring()
