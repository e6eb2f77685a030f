"""Time as an argument: what a clock answers, the machine's own, and one that a test can drive."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """What the runtime asks of time; never a module's ``time`` behind its back."""

    def wall(self) -> float:
        """Return seconds since 1970 UTC; may jump forward when the machine's clock is set, and never goes back."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now; a checkpoint even for 0."""

    async def sleep_until(self, deadline: float) -> None:
        """Return when `monotonic` has reached *deadline*; a checkpoint even if it is past."""


CATCHING_UP = 0.5
"""How fast our wall time goes while the machine's is behind it, as a part of its speed."""
BELIEVED = 86400.0
"""Seconds that a time given out before a restart may lie ahead; one further ahead was wrong."""


class SystemClock:
    """The machine's wall clock, and the running trio loop's own for everything relative.

    Wall time follows the machine's, but never back: what is due at a moment would wait for it twice, a window would
    open again, an interval would end before it began. When the machine's clock is set back, ours goes on at half its
    speed until both agree: a wait by it then takes twice as long, not an hour longer.

    `monotonic` works only inside ``trio.run``, and follows whatever clock that run was given.
    """

    def __init__(self) -> None:
        self._wall = 0.0
        self._tick = time.monotonic()

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        now, tick = time.time(), time.monotonic()
        if now < self._wall:
            now = self._wall + (tick - self._tick) * CATCHING_UP
        self._wall, self._tick = now, tick
        return now

    def resume(self, moment: float) -> None:
        """Go on from *moment* (epoch seconds), given out before a restart, unless it lies more than a day ahead."""
        now = self.wall()
        if now < moment <= now + BELIEVED:
            self._wall = moment

    def monotonic(self) -> float:
        """Return ``trio.current_time()``."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now."""
        await trio.sleep(seconds)

    async def sleep_until(self, deadline: float) -> None:
        """Return when `monotonic` has reached *deadline*; ``math.inf`` sleeps until cancelled."""
        await trio.sleep_until(deadline)


class TrioClock(SystemClock):
    """A clock whose wall time moves with trio's, so that a jump in a test moves both.

    Make it inside ``trio.run``: the moment it is made is *start_wall*.

    Args:
        start_wall: seconds since 1970 UTC at that moment.
    """

    def __init__(self, start_wall: float) -> None:
        super().__init__()
        self._offset = start_wall - trio.current_time()

    def wall(self) -> float:
        """Return *start_wall* plus what trio's clock has advanced since."""
        return trio.current_time() + self._offset
