"""A wake-up that may be rung from anywhere and loses nothing: ringing before the wait counts."""

from __future__ import annotations

import math

import trio


class Bell:
    """One waiter, any number of ringers; rings while nobody waits are one ring."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """Wake the waiter, now or at its next wait."""
        self._event.set()

    async def wait(self, seconds: float = math.inf) -> None:
        """Return when rung since the last wait, or after *seconds*, whichever is first."""
        if seconds == math.inf:  # a cancel scope costs as much as the wake-up itself
            await self._event.wait()
        else:
            with trio.move_on_after(max(seconds, 0.0)):
                await self._event.wait()
        self._event = trio.Event()
