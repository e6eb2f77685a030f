"""The ledger role over the file."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from engine.messages import Attempt, Trouble
from engine.store import books
from engine.store.base import Selection, Waiting
from engine.store.sqlite import queries
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.rewriting import Rewriter
from engine.violated import Violated, Wanted


class SqliteViolations:
    """Events that broke a contract."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    async def list(self, wanted: Wanted) -> list[Violated]:
        """Return the newest entries that match."""
        return await self._readers.ask(partial(queries.violations, wanted=wanted))


class SqliteLedger:
    """Errors and archive."""

    def __init__(self, readers: Readers, rewriter: Rewriter) -> None:
        self._readers = readers
        self._rewriter = rewriter

    async def attempts(self, position: int) -> tuple[Attempt, ...]:
        """Return the attempts for a position."""
        return await self._readers.ask(partial(queries.attempts, position=position))

    async def waiting(self) -> dict[str, Waiting]:
        """Count each sync's retrying rows."""
        return await self._readers.ask(queries.waiting)

    async def retry(self, selection: Selection, now: float, known: Collection[str] | None = None) -> int:
        """Make matching rows due."""
        return await self._rewriter.rewrite(selection, partial(books.retried, now=now, known=known))

    async def discard(self, selection: Selection, now: float) -> int:
        """End matching rows."""
        return await self._rewriter.rewrite(selection, partial(books.discarded, now=now))

    async def get(self, id: str) -> Trouble | None:  # noqa: A002 - the ledger's own word
        """Return one row."""
        return (await self._readers.ask(partial(queries.troubles, ids=(id,)))).get(id)

    async def list(self, selection: Selection) -> list[Trouble]:
        """Return a page of matching rows."""
        return await self._readers.ask(partial(queries.page, selection=selection))
