"""Sleeps that can be cut short."""

from __future__ import annotations

import trio

from engine.runtime.clock import Clock


class Naps:
    """The sleeps of tasks that wait for a moment or for a change, whichever comes first.

    Args:
        clock: whose monotonic time the deadlines are in.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._scopes: set[trio.CancelScope] = set()

    def __len__(self) -> int:
        """Return how many tasks sleep."""
        return len(self._scopes)

    async def until(self, deadline: float) -> None:
        """Return at *deadline* (monotonic; ``math.inf`` for never) or at the next `cut`; a checkpoint."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await self._clock.sleep_until(deadline)
            finally:
                self._scopes.discard(scope)

    def cut(self) -> None:
        """Wake all who sleep now."""
        for scope in self._scopes:
            scope.cancel()
