"""Forgetting in a store in memory."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from engine.messages import Trouble
from engine.store import books, looking
from engine.store.contents import Contents
from engine.store.erasing import Tomb
from engine.store.looking import Who
from engine.store.samples import MemoryViolations


class MemoryEraser:
    """The role `Eraser`."""

    def __init__(self, contents: Contents, violated: MemoryViolations) -> None:
        self._contents = contents
        self._violated = violated

    async def bury(self, tombs: Sequence[Tomb]) -> int:
        """Replace events and results."""
        await trio.lowlevel.checkpoint()
        contents, many = self._contents, 0
        for tomb in tombs:
            before = contents.events.get(tomb.position)
            if before is not None and before.raw:
                contents.events[tomb.position] = tomb.logged()
                contents.used -= len(before.raw)
                many += 1
            if (left := tomb.left()) is not None and tomb.position in contents.results:
                contents.results[tomb.position] = left
        return many

    async def erase_rows(self, ids: Sequence[str]) -> list[Trouble]:
        """Delete rows."""
        await trio.lowlevel.checkpoint()
        found = [self._contents.troubles[one] for one in ids if one in self._contents.troubles]
        self._contents.write(books.erased(found))
        return found

    async def erase_rest(self, who: Who | None, positions: Sequence[int]) -> dict[str, int]:
        """Delete what broke contracts, and windows."""
        await trio.lowlevel.checkpoint()
        wanted = set(positions)
        violations = self._violated.drop(
            lambda one: one.position in wanted or (who is not None and looking.is_of(one.event, who))
        )
        windows = [key for key in self._contents.windows if who is not None and key[1] == who[1]]
        self._contents.windows = {key: one for key, one in self._contents.windows.items() if key not in windows}
        return {"violations": violations, "windows": len(windows)}

    async def scrub(self) -> bool:
        """Return True: what is gone from memory has no copy."""
        await trio.lowlevel.checkpoint()
        return True
