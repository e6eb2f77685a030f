"""Maintenance: lets go of what retention says, in small steps, beside everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from engine.runtime.bell import Bell
from engine.runtime.clock import Clock
from engine.store.base import Retention, Store

EVERY = 30.0
"""Seconds between looks; a step that found a full chunk is followed by another at once."""
CHUNK = 1000
"""Rows that one step takes at most: what the writer is held for stays below 10 ms."""
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
        """Trim every 30 seconds until told to stop."""
        while not self._stopping:
            await self._bell.wait(EVERY)
            await self._trim()
            await self._relieve()
            while not self._stopping and await self.store.history.seal():
                pass  # a stretch at a time: each is one transaction of 5 ms

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping = True
        self._bell.ring()

    async def _trim(self) -> None:
        gone = 0
        step = CHUNK
        while step >= CHUNK and not self._stopping:
            step = await self.store.trim(self.retention, self.clock.wall())
            gone += step
        if gone:
            log.info("store.trimmed", rows=gone)

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
