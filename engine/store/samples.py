"""Events that broke a contract, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from engine.store import books
from engine.violated import Violated, Wanted


class MemoryViolations:
    """The role of that name, for the store that forgets."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], Violated] = {}

    async def list(self, wanted: Wanted) -> list[Violated]:
        """Return the newest entries that match."""
        await trio.lowlevel.checkpoint()
        found = [one for one in self._kept.values() if books.wanted(one, wanted)]
        return sorted(found, key=lambda one: (-one.at, -one.position, one.contract))[: wanted.limit]

    def add(self, some: Iterable[Violated]) -> None:
        """Keep entries that are not kept yet."""
        for one in some:
            self._kept.setdefault((one.position, one.contract), one)

    def drop(self, which: Callable[[Violated], bool]) -> int:
        """Let go of the entries for which *which* is true; return how many."""
        gone = [key for key, one in self._kept.items() if which(one)]
        for key in gone:
            del self._kept[key]
        return len(gone)

    def trim(self, before: float) -> None:
        """Let go of what is older than *before*."""
        self._kept = {key: one for key, one in self._kept.items() if one.at >= before}
