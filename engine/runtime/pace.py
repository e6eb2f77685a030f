"""How fast something goes: looked at now and then, for people who ask how long it will take."""

from __future__ import annotations

from collections import deque

PERIOD = 60.0
"""Seconds that count as recent."""
STEP = 1.0
"""Seconds between two looks that are kept."""


class Pace:
    """The recent rate of a count that only grows."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()
        self._last = (0.0, 0)

    def note(self, now: float, total: int) -> None:
        """Take a look: the count is *total* at *now* (monotonic seconds)."""
        self._last = (now, total)
        if not self._looks or now - self._looks[-1][0] >= STEP:
            self._looks.append(self._last)
            self._forget(now)

    def rate(self, now: float) -> float:
        """Return how much it grew per second, of late; 0.0 if it stands, or nobody can tell."""
        self._forget(now)
        since, before = self._looks[0] if self._looks else self._last
        return (self._last[1] - before) / max(now - since, STEP)

    def _forget(self, now: float) -> None:
        """Let go of looks from before the period, but for one that lies at its beginning."""
        while len(self._looks) > 1 and self._looks[1][0] <= now - PERIOD:
            self._looks.popleft()
        if self._looks and self._last[0] <= now - PERIOD:
            self._looks.clear()  # nobody has looked for a whole period: nothing was written


class Paces:
    """How fast one reader with a backlog gets on.

    Attributes:
        read: positions.
        done: deliveries that arrived.
    """

    def __init__(self) -> None:
        self.read = Pace()
        self.done = Pace()

    def drain(self, now: float, lag: int, pending: int) -> float | None:
        """Return the seconds until all is done, if nothing new comes; 0.0 if nothing is left, None if it stands.

        Args:
            now: monotonic seconds.
            lag: positions that are not read yet.
            pending: deliveries without a fate.
        """
        seconds = 0.0
        for left, pace in ((lag, self.read), (pending, self.done)):
            if left:
                rate = pace.rate(now)
                if rate <= 0:
                    return None
                seconds += left / rate
        return seconds
