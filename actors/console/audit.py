"""What was changed by hand: who, what and when, in the log and, the last of them, in the store."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog
import trio

from engine.observe.audited import Changed
from engine.store.base import Meta

KEY: Final = "audit"
"""The Meta key of the list."""
KEPT: Final = 200
"""Changes that are kept."""

log = structlog.get_logger()


class Audit:
    """The list of changes, newest first.

    Args:
        meta: where it is kept.
    """

    def __init__(self, meta: Meta) -> None:
        self._meta = meta
        self._lock = trio.Lock()

    async def add(self, change: Changed) -> None:
        """Note one change; it is in the log and in the store when this returns."""
        log.info("console.changed", who=change.who, what=change.what, told=change.told, failed=change.failed)
        async with self._lock:
            kept, revision = await self._read()
            kept = (change, *kept)[:KEPT]
            await self._meta.put(KEY, msgspec.json.encode(kept), revision)

    async def changes(self) -> tuple[Changed, ...]:
        """Return the changes that are kept, newest first."""
        return (await self._read())[0]

    async def _read(self) -> tuple[tuple[Changed, ...], int]:
        stored = await self._meta.get(KEY)
        return (msgspec.json.decode(stored[0], type=tuple[Changed, ...]), stored[1]) if stored else ((), 0)
