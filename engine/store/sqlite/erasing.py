"""Forgetting in the file: rows are overwritten, and then every page and log that still had a copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from engine.messages import Trouble
from engine.store import books, looking
from engine.store.erasing import Tomb
from engine.store.looking import Who
from engine.store.room import Room
from engine.store.sqlite import codec, connect, queries, writing
from engine.store.sqlite.gaps import Gaps
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.writer import Writer

T = TypeVar("T")

LOOKED = 2000
"""Broken contracts that are looked at together."""
PAGES = 128
"""Pages that one transaction overwrites, of free ones 1 MiB."""
TRIES = 100
"""Times that the write-ahead log is tried to be emptied; a long read may hold it."""
NAP = 0.05
"""Seconds between two."""


class SqliteEraser:
    """The role of that name."""

    def __init__(
        self,
        readers: Readers,
        writer: Writer,
        follow: Callable[[books.Effect | None], None],
        room: Room,
        gaps: Gaps,
    ) -> None:
        self._readers = readers
        self._writer = writer
        self._room = room
        self._gaps = gaps
        self._follow = follow
        self._scrubbing = trio.Lock()

    async def bury(self, tombs: Sequence[Tomb]) -> int:
        """Replace log rows and results."""
        return await self._writer.perform(_thoroughly(partial(bury, tombs=tombs)))

    async def erase_rows(self, ids: Sequence[str]) -> list[Trouble]:
        """Delete ledger rows."""
        gone: list[Trouble] = []

        def run(connection: sqlite3.Connection) -> books.Effect:
            found = queries.troubles(connection, ids)
            gone[:] = found.values()
            effect = books.erased(found.values())
            writing.write_effect(connection, effect)
            return effect

        await self._writer.perform(_thoroughly(run), self._follow)
        return gone

    async def erase_rest(self, who: Who | None, positions: Sequence[int]) -> dict[str, int]:
        """Delete what broke contracts, and windows."""
        sql = "DELETE FROM violations WHERE position IN (SELECT value FROM json_each(?))"
        many = await self._delete(sql, codec.json_list(positions)) if positions else 0
        if who is None:
            return {"violations": many, "windows": 0}
        last = 0
        while (page := await self._readers.ask(partial(violations_of, who=who, after=last)))[1]:
            gone, last = page
            if gone:
                sql = "DELETE FROM violations WHERE rowid IN (SELECT value FROM json_each(?))"
                many += await self._delete(sql, codec.json_list(gone))
        return {"violations": many, "windows": await self._delete("DELETE FROM windows WHERE key = ?", who[1])}

    async def _delete(self, sql: str, value: str) -> int:
        """Delete rows; return how many."""
        return await self._writer.perform(_thoroughly(lambda connection: connection.execute(sql, (value,)).rowcount))

    async def scrub(self) -> bool:
        """Overwrite gaps and free pages, and empty the write-ahead log.

        Gaps go first: a page that becomes free meanwhile is then overwritten as a whole.
        """
        async with self._scrubbing:
            if not await self._overwrite_gaps():
                return False
            await self._writer.perform(_begin)
            try:
                while await self._writer.perform(partial(_overwrite, room=self._room)):
                    pass
                await self._writer.perform(partial(_end, room=self._room))
            finally:
                self._room.zeros = 0
            return await self._when_emptied()

    async def _overwrite_gaps(self) -> bool:
        """Overwrite all; what comes to be in one from now on is of rows that are not erased."""
        if not await self._when_emptied():
            return False
        found = await self._readers.ask(lambda _: self._gaps.find())
        if found is None:
            return False
        for start in range(0, len(found), PAGES):
            if not await self._when_emptied(partial(_fill, gaps=self._gaps, numbers=found[start : start + PAGES])):
                return False
        return True

    async def _when_emptied(self, then: Callable[[sqlite3.Connection], None] = lambda _: None) -> bool:
        """Empty the write-ahead log and do *then* before anybody writes; return whether it came to that."""
        for _ in range(TRIES):
            if await self._writer.perform(partial(_emptied, then=then)):
                return True
            await trio.sleep(NAP)
        return False


def _thoroughly(run: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    """Return *run* with all that it deletes overwritten in the same transaction."""

    def thorough(connection: sqlite3.Connection) -> T:
        connection.execute("PRAGMA secure_delete = ON")
        try:
            return run(connection)
        finally:
            connection.execute(connect.SECURE_DELETE)

    return thorough


def bury(connection: sqlite3.Connection, tombs: Sequence[Tomb]) -> int:
    """Replace log rows that are not replaced yet, and their results."""
    many = 0
    for tomb in tombs:
        _, _, _, envelope, raw = codec.log_values(tomb.logged(), 0)
        sql = "UPDATE log SET envelope = ?, raw = ? WHERE position = ? AND length(raw) > 0"
        many += connection.execute(sql, (envelope, raw, tomb.position)).rowcount
        if (left := tomb.left()) is not None:
            connection.execute("UPDATE results SET body = ? WHERE position = ?", codec.result_values(left)[::-1])
    return many


def violations_of(connection: sqlite3.Connection, who: Who, after: int) -> tuple[list[int], int]:
    """Return which of the next broken contracts are of that user, and the last that was looked at; 0 at the end."""
    sql = "SELECT rowid, body FROM violations WHERE rowid > ? ORDER BY rowid LIMIT ?"
    last, gone = 0, list[int]()
    for rowid, body in connection.execute(sql, (after, LOOKED)):
        last = rowid
        if looking.is_of(codec.violated_of(body).event, who):
            gone.append(rowid)
    return gone, last


def _begin(connection: sqlite3.Connection) -> None:
    """Make the table that free pages are filled by; one may be left of a scrub that was cut off."""
    drop_zeros(connection)
    connection.execute("CREATE TABLE scrub (zeros BLOB)")


def drop_zeros(connection: sqlite3.Connection) -> None:
    """Let go of what free pages were filled with."""
    connection.execute("DROP TABLE IF EXISTS scrub")


def _end(connection: sqlite3.Connection, room: Room) -> None:
    drop_zeros(connection)
    room.zeros = 0


def _overwrite(connection: sqlite3.Connection, room: Room) -> bool:
    """Fill some free pages with zeros, which take no room from anybody; return whether there were any."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    size = connect.page_size(connection)
    if not free:
        return False
    connection.execute("INSERT INTO scrub VALUES (zeroblob(?))", (min(free, PAGES) * (size - 4),))
    room.zeros += min(free, PAGES) * size
    return True


def _fill(connection: sqlite3.Connection, gaps: Gaps, numbers: Sequence[int]) -> None:
    """Overwrite these gaps, and forget the pages as they were: they would be written again with their next change."""
    gaps.overwrite(numbers)
    connection.execute("PRAGMA shrink_memory")


def _emptied(connection: sqlite3.Connection, then: Callable[[sqlite3.Connection], None]) -> bool:
    """Move the write-ahead log into the file and cut it off; return whether nobody was in the way, and *then* done.

    A checkpoint cannot be a part of a transaction, so the writer's is ended before and another begun.
    """
    connection.execute("COMMIT")
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(connect.WAIT * 1000)}")
        connection.execute("BEGIN IMMEDIATE")
    if not busy:
        then(connection)
    return not busy
