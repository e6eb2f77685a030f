"""The meta role over the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

from engine.messages import State
from engine.results import WindowState
from engine.store import books
from engine.store.base import Cursor, Progress, Selection, Snapshot
from engine.store.books import Effect
from engine.store.sqlite import queries, writing
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.rewriting import Rewriter
from engine.store.sqlite.writer import Writer

_COUNTS = "SELECT name, value FROM counts WHERE scope = ?"


class SqliteMeta:
    """Small facts, and how far everything has come."""

    def __init__(self, readers: Readers, writer: Writer, rewriter: Rewriter) -> None:
        self._readers = readers
        self._writer = writer
        self._rewriter = rewriter

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision)."""
        return await self._readers.ask(partial(queries.fact, key=key))

    async def put(self, key: str, value: bytes, revision: int) -> bool:
        """Compare and swap."""
        return await self._writer.perform(partial(writing.put_fact, key=key, value=value, revision=revision))

    async def cursors(self) -> list[Cursor]:
        """Return every cursor."""
        return await self._readers.ask(queries.cursors)

    async def progress(self) -> list[Progress]:
        """Return every progress."""
        return await self._readers.ask(queries.progress)

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return every count."""
        return await self._readers.ask(queries.counts)

    async def windows(self) -> list[WindowState]:
        """Return every window's states."""
        return await self._readers.ask(queries.windows)

    async def snapshot(self) -> Snapshot:
        """Return the books as of one moment."""
        return await self._readers.ask(queries.snapshot)

    async def readdress(self, sync: str, source: str, destination: str) -> int:
        """Let rows be for another destination."""
        selection = Selection(sync=sync, source=source)
        return await self._rewriter.rewrite(selection, partial(books.readdressed, destination=destination))

    async def rename(self, sync: str, source: str, name: str) -> None:
        """Let a sync be called *name*."""
        await self._rewriter.rewrite(Selection(sync=sync, source=source), partial(books.renamed, name=name))
        await self._writer.perform(partial(_rename, sync=sync, source=source, name=name))

    async def forget(self, progress: Sequence[Progress], reason: str, now: float) -> int:
        """Archive what waits for these syncs and delete their progress."""
        many = 0
        for gone in progress:
            selection = Selection(sync=gone.sync, source=gone.source, states=(State.RETRYING,))
            many += await self._rewriter.rewrite(selection, partial(books.orphaned, reason=reason, now=now))
            await self._rewriter.write(partial(_abandon, sync=gone.sync, source=gone.source))
        return many


def _rename(connection: sqlite3.Connection, sync: str, source: str, name: str) -> None:
    """Move progress and counts to another name."""
    connection.execute("UPDATE progress SET sync = ? WHERE sync = ? AND source = ?", (name, sync, source))
    counts = [(f"sync:{name}", *row) for row in connection.execute(_COUNTS, (f"sync:{sync}",)).fetchall()]
    writing.insert(connection, writing.COUNTS, counts, writing.COUNTS_AGAIN)
    connection.execute("DELETE FROM counts WHERE scope = ?", (f"sync:{sync}",))


def _abandon(connection: sqlite3.Connection, sync: str, source: str) -> Effect:
    """Delete one progress and return what that does to the counts."""
    stored = next((one for one in queries.progress(connection) if (one.sync, one.source) == (sync, source)), None)
    connection.execute("DELETE FROM progress WHERE sync = ? AND source = ?", (sync, source))
    return books.abandoned(stored)
