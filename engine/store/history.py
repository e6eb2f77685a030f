"""Looking back: what replay, trace and erasure ask of a store. Each call says what holds after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from engine.messages import Attempt, Logged, Result, State, Trouble
from engine.store.base import Progress
from engine.store.selection import Selection

SEALED = 65_536
"""Positions whose messageIds are sealed together: one sorted array of hashes, 12 bytes a position."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a store knows of one position, as of one moment.

    Attributes:
        logged: the event, or None if the log let it go.
        result: what functions or windows made of it, if that is kept.
        troubles: its ledger rows, the oldest first.
        attempts: with a delivery of this position in them, the oldest first.
        cursor: how far the source's validator has come.
        progress: of every sync.
    """

    logged: Logged | None
    result: Result | None = None
    troubles: tuple[Trouble, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    cursor: int = 0
    progress: tuple[Progress, ...] = ()


class History(Protocol):
    """The past: reads that nobody on an event's way needs. None of them waits for the writer."""

    async def newest(self) -> int:
        """Return the number of the ledger row that was made last; 0 if there is none."""

    async def sweep(self, selection: Selection, span: tuple[int, int], limit: int) -> list[tuple[int, Trouble]]:
        """Return the first *limit* rows that match with span[0] < number <= span[1], each with its number, ascending.

        Rows are numbered in the order in which they were made. A row that is replaced keeps its number; so whoever
        goes on from the last number meets no row twice, and none that was made meanwhile.
        """

    async def tally(self, selection: Selection, span: tuple[int, int]) -> dict[tuple[State, str], int]:
        """Return how many rows match with span[0] < number <= span[1], by state and reason."""

    async def events(self, positions: Sequence[int]) -> dict[int, Logged]:
        """Return the events at those positions that the log still has, of whatever source."""

    async def troubles(self, positions: Sequence[int]) -> list[Trouble]:
        """Return the ledger rows of those positions, by position, the oldest first."""

    async def facts(self, position: int) -> Facts:
        """Return all that is known of one position."""

    async def located(self, message_id: str) -> list[int]:
        """Return the positions of all events with that messageId, or that a function or window made with it, ascending.

        Looks through sealed arrays and what came after them, in the log as it is now.
        """

    async def seal(self) -> int:
        """Seal the messageIds of the next `SEALED` positions, if so many are durable and read by their validators.

        Returns how many positions were sealed, 0 or `SEALED`. All or nothing: after a crash it is done again.
        """

    async def of_user(self, wanted: tuple[str, str], below: int, limit: int) -> tuple[list[Logged], int]:
        """Return events of one user from *below* (a position) downwards, and the position down to which was looked.

        Args:
            wanted: ``userId`` or ``anonymousId``, and its value.
            below: only events before this position.
            limit: positions that are looked at, at most.
        """
