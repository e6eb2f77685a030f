"""Looking back in a store in memory."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

import trio

from engine.messages import Logged, State, Trouble
from engine.store import books, looking
from engine.store.contents import Contents
from engine.store.history import Facts
from engine.store.selection import Selection


class MemoryHistory:
    """The role `History`; there is nothing to seal where everything is at hand."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def newest(self) -> int:
        """Return the number of the youngest row."""
        await trio.lowlevel.checkpoint()
        return self._contents.newest

    async def sweep(self, selection: Selection, span: tuple[int, int], limit: int) -> list[tuple[int, Trouble]]:
        """Return matching rows with their numbers."""
        await trio.lowlevel.checkpoint()
        found = sorted(
            (number, row_id) for row_id, number in self._contents.numbers.items() if span[0] < number <= span[1]
        )
        rows = ((number, self._contents.troubles[row_id]) for number, row_id in found)
        return [(number, row) for number, row in rows if books.matches(selection, row)][:limit]

    async def tally(self, selection: Selection, span: tuple[int, int]) -> dict[tuple[State, str], int]:
        """Return how many rows match."""
        found = await self.sweep(selection, span, sys.maxsize)
        return dict(Counter((row.state, row.reason) for _, row in found))

    async def events(self, positions: Sequence[int]) -> dict[int, Logged]:
        """Return the events that are there."""
        await trio.lowlevel.checkpoint()
        known = self._contents.events
        return {position: known[position] for position in positions if position in known}

    async def troubles(self, positions: Sequence[int]) -> list[Trouble]:
        """Return the rows of positions."""
        await trio.lowlevel.checkpoint()
        wanted = set(positions)
        found = [trouble for trouble in self._contents.troubles.values() if trouble.position in wanted]
        return sorted(found, key=lambda trouble: trouble.position)

    async def facts(self, position: int) -> Facts:
        """Return all that is known of a position."""
        await trio.lowlevel.checkpoint()
        contents = self._contents
        logged = contents.events.get(position)
        cursor = contents.cursors.get(logged.source) if logged else None
        return Facts(
            logged=logged,
            result=contents.results.get(position),
            troubles=tuple(row for row in contents.troubles.values() if row.position == position),
            attempts=tuple(
                sorted((one for one in contents.attempts if position in one.positions), key=lambda one: one.at)
            ),
            cursor=cursor.position if cursor else 0,
            progress=tuple(contents.progress.values()),
        )

    async def located(self, message_id: str) -> list[int]:
        """Return where that messageId is."""
        await trio.lowlevel.checkpoint()
        results = self._contents.results
        return [
            position
            for position, event in self._contents.events.items()
            if looking.has_id(event, results.get(position), message_id)
        ]

    async def seal(self) -> int:
        """Return 0."""
        await trio.lowlevel.checkpoint()
        return 0

    async def of_user(self, wanted: tuple[str, str], below: int, limit: int) -> tuple[list[Logged], int]:
        """Return a user's events."""
        await trio.lowlevel.checkpoint()
        low = max(1, below - limit)
        events = self._contents.events
        mine = [events[at] for at in range(below - 1, low - 1, -1) if at in events]
        return [event for event in mine if looking.is_of(event.raw, wanted)], low
