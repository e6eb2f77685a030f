"""Maintenance: lets go of what retention says, in small steps, beside everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from engine.runtime.bell import Bell
from engine.runtime.clock import Clock
from engine.store.base import TRIM, Retention, Store

EVERY = 30.0
"""Seconds between looks at a store that has nothing to let go."""
AGAIN = 5.0
"""Seconds to the next look after one that found much: work that is always there is better done evenly."""
REST = 3.0
"""Rests, in times of how long the step before it took: three quarters of the time are the acknowledgements' alone."""
RELIEF = 0.5
"""Seconds for what expired to be written, before the log is trimmed of it."""

log = structlog.get_logger()


class Maintenance:
    """Trims the log and the archive, and seals the messageIds of what was read, for who traces an event.

    Args:
        expire: archives some of what waits longest and returns how many; asked again while it takes more than
            retention's size. None: events are refused then.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        clock: Clock,
        expire: Callable[[], Awaitable[int]] | None = None,
    ) -> None:
        self.store = store
        self.retention = retention
        self.clock = clock
        self._expire = expire
        self._bell = Bell()
        self._stopping = False

    async def run(self) -> None:
        """Trim every 30 seconds, or more often while there is much to let go, until told to stop."""
        gone = 0
        while not self._stopping:
            await self._bell.wait(AGAIN if gone >= TRIM else EVERY)
            gone = await self._trim()
            await self._relieve()
            while not self._stopping and await self.store.history.seal():
                pass  # a stretch at a time: each is one transaction of 5 ms

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping = True
        self._bell.ring()

    async def _trim(self) -> int:
        """Let go what may go, in steps; rest between them, unless the store takes more than its size."""
        gone = 0
        step = TRIM
        while step >= TRIM and not self._stopping:
            began = self.clock.monotonic()
            step = await self.store.trim(self.retention, self.clock.wall(), weigh=not gone)
            gone += step
            if not self.store.usage().over:
                await self._bell.wait(REST * (self.clock.monotonic() - began))
        if gone:
            log.info("store.trimmed", rows=gone)
        return gone

    async def _relieve(self) -> None:
        """Let what waits longest expire until the rest fits; what cannot expire stays, and events are refused."""
        expired = 0
        while self._expire is not None and self.store.usage().pinned and not self._stopping:
            some = await self._expire()
            if not some:
                break
            expired += some
            await self._bell.wait(RELIEF)
            await self._trim()
        if expired:
            log.warning("deliveries.expired", deliveries=expired, consequence="they are in the archive")
