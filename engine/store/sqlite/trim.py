"""Retention: finds what may go beside the writer, and deletes it in small transactions."""

from __future__ import annotations

import itertools
import math
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from engine.store.base import Retention
from engine.store.pins import old_ones, pins
from engine.store.room import Room
from engine.store.sqlite import codec, queries
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.writer import Writer

T = TypeVar("T")

TRIM = 1000
"""Rows that one `trim` takes at most, of the log and of the ledger."""

CHUNK = 200
"""Rows deleted in one transaction: 1 to 2 ms, so that acknowledgements go between two of them."""

NOTED = 10
"""Entries of broken contracts take at most this part of the archive's size, beside it: a tenth."""

ENTRY = 200
"""Bytes of such an entry beside its body: its other columns, and its places in two indexes."""

KEPT = "FROM troubles INDEXED BY troubles_kept WHERE state <> 'retrying'"

UNPINNED = """SELECT position, ?, received_at FROM log INDEXED BY log_by_source
    WHERE source = ? AND position <= ? AND position < (SELECT max(position) FROM log)
    AND NOT EXISTS (
        SELECT 1 FROM troubles INDEXED BY troubles_pinning
        WHERE troubles.state = 'retrying' AND troubles.position = log.position
    )
    ORDER BY position LIMIT ?"""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What may go, the oldest first.

    Attributes:
        old: positions that are too old.
        spare: positions that may go if the store is too big.
        kept: ids of ledger rows.
        archived: bytes of all ledger rows that do not wait.
        noted: bytes of all entries of broken contracts, about; ``beyond`` of them are more than there is room for.
    """

    old: tuple[int, ...]
    spare: tuple[int, ...]
    kept: tuple[str, ...]
    archived: int
    noted: int
    beyond: int


async def trim(readers: Readers, writer: Writer, room: Room, retention: Retention, now: float) -> int:
    """Delete what *retention* lets go, at most `TRIM` rows each of log and ledger; return how many."""
    writer.check()
    found = await readers.ask(partial(find, retention=retention, now=now))
    room.archived = found.archived + found.noted
    gone = 0
    for some in _chunks(found.old):
        gone += await writer.perform(partial(delete_log, positions=some))
    for some in _chunks(found.spare):
        if not room.over(retention):
            break
        gone += await writer.perform(partial(delete_log, positions=some))
    # All that may go, however much: more may come in the time to the next trim than one chunk.
    for delete in (delete_attempts, partial(delete_violations, retention=retention, now=now)):
        while await writer.perform(delete) >= CHUNK:
            pass
    for first in range(0, found.beyond, CHUNK):
        await writer.perform(partial(delete_oldest_violations, many=min(CHUNK, found.beyond - first)))
    await writer.perform(delete_seals)
    room.trimmed(retention, gone)
    for ids in _chunks(found.kept):
        gone += await writer.perform(partial(delete_kept, ids=ids))
    return gone


def find(connection: sqlite3.Connection, retention: Retention, now: float) -> Found:
    """Return what may go; nothing of it can come to be needed before it is deleted.

    A retrying row arises at a position that is pinned as open, or from an archived row, which has its own copy of the
    event.
    """
    before = now - retention.age if retention.age else float("-inf")
    rows = unpinned(connection)
    old = tuple(itertools.islice(old_ones(rows, before), TRIM))
    taken = set(old)
    spare = tuple(position for position, _, _ in rows if position not in taken)[: TRIM - len(old)]
    archived = connection.execute(f"SELECT coalesce(sum(size), 0) {KEPT}").fetchone()[0]
    kept = tuple(too_much(connection, retention, now, archived))
    many, each = violations(connection)
    room = retention.archive_size // NOTED
    beyond = math.ceil(many - room / each) if 0 < room < many * each else 0
    return Found(old=old, spare=spare, kept=kept, archived=archived, noted=int(many * each), beyond=beyond)


def unpinned(connection: sqlite3.Connection) -> list[tuple[int, str, float]]:
    """Return (position, source, received_at) of log rows that nobody needs, the oldest first and enough of them."""
    needed = pins(queries.cursors(connection), queries.progress(connection))
    many = TRIM + len(needed.open)
    rows: list[tuple[int, str, float]] = []
    for name, number in queries.sources(connection).items():
        floor = needed.floors.get(name, 0)
        rows += connection.execute(UNPINNED, (name, number, floor, many)).fetchall() if floor else ()
    return sorted(row for row in rows if row[0] not in needed.open)


def violations(connection: sqlite3.Connection) -> tuple[int, float]:
    """Return about how many entries of broken contracts there are, and about how many bytes one has."""
    low, high, each = connection.execute(
        "SELECT (SELECT min(rowid) FROM violations), (SELECT max(rowid) FROM violations),"
        " (SELECT avg(length(body)) FROM (SELECT body FROM violations ORDER BY rowid DESC LIMIT 100))"
    ).fetchone()
    return (0, 0.0) if low is None else (high - low + 1, each + ENTRY)


def too_much(connection: sqlite3.Connection, retention: Retention, now: float, size: int) -> Iterator[str]:
    """Yield ids of ledger rows that the archive's age or size lets go, of *size* bytes in all."""
    before = now - retention.archive_age if retention.archive_age else float("-inf")
    oldest = connection.execute(f"SELECT id, last_at, size {KEPT} ORDER BY last_at, id LIMIT ?", (TRIM,)).fetchall()
    for row_id, last_at, weight in oldest:
        if last_at >= before and not 0 < retention.archive_size < size:
            return
        size -= weight
        yield row_id


def delete_log(connection: sqlite3.Connection, positions: Sequence[int]) -> int:
    """Delete log rows with their results."""
    chosen = (codec.json_list(positions),)
    connection.execute("DELETE FROM results WHERE position IN (SELECT value FROM json_each(?))", chosen)
    return connection.execute("DELETE FROM log WHERE position IN (SELECT value FROM json_each(?))", chosen).rowcount


def delete_seals(connection: sqlite3.Connection) -> None:
    """Delete the sealed messageIds whose log rows are all gone."""
    connection.execute("DELETE FROM seals WHERE high < (SELECT min(position) FROM log)")


def delete_attempts(connection: sqlite3.Connection) -> int:
    """Delete some of the attempts whose log rows are gone; return how many rows these are."""
    return connection.execute(
        "DELETE FROM attempts WHERE seq IN ("
        " SELECT seq FROM attempts WHERE high < (SELECT min(position) FROM log) ORDER BY high LIMIT ?)",
        (CHUNK,),
    ).rowcount


def delete_violations(connection: sqlite3.Connection, retention: Retention, now: float) -> int:
    """Delete some of the entries of broken contracts that are older than the archive's age; return how many."""
    if not retention.archive_age:
        return 0
    return connection.execute(
        "DELETE FROM violations WHERE rowid IN ( SELECT rowid FROM violations WHERE at < ? ORDER BY at LIMIT ?)",
        (now - retention.archive_age, CHUNK),
    ).rowcount


def delete_oldest_violations(connection: sqlite3.Connection, many: int) -> None:
    """Delete the oldest entries of broken contracts."""
    connection.execute(
        "DELETE FROM violations WHERE rowid IN (SELECT rowid FROM violations ORDER BY at LIMIT ?)", (many,)
    )


def delete_kept(connection: sqlite3.Connection, ids: Sequence[str]) -> int:
    """Delete ledger rows, unless they wait to be retried by now."""
    return connection.execute(
        "DELETE FROM troubles WHERE state <> 'retrying' AND id IN (SELECT value FROM json_each(?))",
        (codec.json_list(ids),),
    ).rowcount


def _chunks(things: Sequence[T]) -> Iterator[Sequence[T]]:
    return (things[start : start + CHUNK] for start in range(0, len(things), CHUNK))
