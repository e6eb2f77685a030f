"""Time as an argument: what a clock answers, the machine's own, and one that a test can drive."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """What the runtime asks of time; never a module's ``time`` behind its back."""

    def wall(self) -> float:
        """Return seconds since 1970 UTC; may jump when the machine's clock is set."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return *seconds* from now; a checkpoint even for 0."""

    async def sleep_until(self, deadline: float) -> None:
        """Return when `monotonic` has reached *deadline*; a checkpoint even if it is past."""


class SystemClock:
    """The machine's wall clock, and the running trio loop's own for everything relative.

    `monotonic` works only inside ``trio.run``, and follows whatever clock that run was given.
    """

    def wall(self) -> float:
        """Return seconds since 1970 UTC."""
        return time.time()

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
        self._offset = start_wall - trio.current_time()

    def wall(self) -> float:
        """Return *start_wall* plus what trio's clock has advanced since."""
        return trio.current_time() + self._offset
