"""How far the log is durable, and who waits for it."""

from __future__ import annotations

import trio

from engine.errors import StoreError


class Watermark:
    """The highest durable position; all calls are made in the trio thread.

    Args:
        position: where it stands at open.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.failure: StoreError | None = None
        self._lot = trio.lowlevel.ParkingLot()

    async def reach(self, position: int) -> None:
        """Wait until *position* is durable.

        Raises:
            StoreError: it never will be.
        """
        while self.position < position:
            if self.failure is not None:
                raise StoreError(str(self.failure))
            await self._lot.park()

    def advance(self, position: int) -> None:
        """Everything up to *position* is durable now."""
        self.position = max(self.position, position)
        self._lot.unpark_all()

    def fail(self, failure: StoreError) -> None:
        """Nothing will be durable any more; the first failure is the one that is told."""
        self.failure = self.failure or failure
        self._lot.unpark_all()


async def told(token: trio.lowlevel.TrioToken) -> None:
    """Wait until the loop has made every call that was handed to it by *token* before this one."""
    reached = trio.Event()
    token.run_sync_soon(reached.set)
    await reached.wait()
