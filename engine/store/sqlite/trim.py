"""Retention: finds what may go beside the writer, and deletes it in small transactions."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from functools import partial

import msgspec

from engine.store.base import TRIM, Retention
from engine.store.pins import pins
from engine.store.room import Room
from engine.store.sqlite import codec, queries
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.writer import Writer

MANY = 1000
"""Attempts, or entries of broken contracts, deleted in one transaction: they have little but themselves to delete."""

NOTED = 10
"""Entries of broken contracts take at most this part of the archive's size, beside it: a tenth."""

ENTRY = 200
"""Bytes of such an entry beside its body: its other columns, and its places in two indexes."""

KEPT = "FROM troubles INDEXED BY troubles_kept WHERE state <> 'retrying'"

# What may go is told as one JSON list. A thread that reads gives the interpreter away at each row and may have to wait
# for it: 1,000 rows took 15 to 140 ms in a busy process, and as much from the thread that acknowledges.
UNPINNED = """WITH oldest AS MATERIALIZED (
        SELECT position, received_at FROM log INDEXED BY log_by_source
        WHERE source = :source AND position <= :floor AND position < (SELECT max(position) FROM log)
        AND position NOT IN (SELECT value FROM json_each(:open))
        AND NOT EXISTS (
            SELECT 1 FROM troubles INDEXED BY troubles_pinning
            WHERE troubles.state = 'retrying' AND troubles.position = log.position
        )
        ORDER BY position LIMIT :limit
    )
    SELECT json_group_array(position), min(position) FILTER (WHERE received_at >= :before) FROM oldest"""

TOO_MUCH = f"""SELECT json_group_array(id), coalesce(sum(size), 0) FROM (
        SELECT id, last_at, size, :archived + size - sum(size) OVER (ORDER BY last_at, id) AS remains
        FROM (SELECT id, last_at, size {KEPT} ORDER BY last_at, id LIMIT :limit)
    )
    WHERE last_at < :before OR remains > :most"""  # noqa: S608 - made of constants


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What may go, the oldest first.

    Attributes:
        old: positions that are too old.
        spare: positions that may go if the store is too big.
        kept: ids of ledger rows, which have ``size`` bytes in all.
    """

    old: Sequence[int]
    spare: Sequence[int]
    kept: Sequence[str]
    size: int


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """What there is beside the log, and what of it may go.

    Attributes:
        archived: bytes of all ledger rows that do not wait.
        noted: bytes of all entries of broken contracts, about.
        beyond: how many of these entries there is no room for.
        outdated: whether one of them is too old.
    """

    archived: int
    noted: int
    beyond: int
    outdated: bool


async def trim(readers: Readers, writer: Writer, room: Room, retention: Retention, now: float) -> int:
    """Delete what *retention* lets go, at most `TRIM` rows each of log and ledger; return how many."""
    writer.check()
    archived = room.archived - room.noted
    found = await readers.ask(partial(find, retention=retention, now=now, archived=archived))
    gone = await _trim_log(writer, found.old) if found.old else 0
    if found.spare and room.over(retention):
        gone += await _trim_log(writer, found.spare)
    room.trimmed(retention, gone)
    if found.kept:
        gone += await writer.perform(partial(delete_kept, ids=found.kept))
        room.archived -= found.size
    return gone


async def weigh(readers: Readers, writer: Writer, room: Room, retention: Retention, now: float) -> None:
    """Learn how much room the archive takes, and delete what broke contracts and is too old or too much."""
    found = await readers.ask(partial(weight, retention=retention, now=now))
    room.archived, room.noted = found.archived + found.noted, found.noted
    while found.outdated and await writer.perform(partial(delete_outdated, before=_before(now, retention))) >= MANY:
        pass  # all of them, however many: more may come in the time to the next look than one transaction takes
    for first in range(0, found.beyond, MANY):
        await writer.perform(partial(delete_oldest_violations, many=min(MANY, found.beyond - first)))


async def _trim_log(writer: Writer, positions: Sequence[int]) -> int:
    gone, attempts = await writer.perform(partial(delete_log, positions=positions))
    while attempts >= MANY:
        attempts = await writer.perform(delete_attempts)
    return gone


def find(connection: sqlite3.Connection, retention: Retention, now: float, archived: int) -> Found:
    """Return what may go, of an archive of *archived* bytes; nothing of it can come to be needed before it is deleted.

    A retrying row arises at a position that is pinned as open, or from an archived row, which has its own copy of the
    event.
    """
    old, spare = unpinned(connection, now - retention.age if retention.age else float("-inf"))
    kept, size = too_much(connection, retention, now, archived)
    return Found(old=old[:TRIM], spare=spare[: max(TRIM - len(old), 0)], kept=kept, size=size)


def unpinned(connection: sqlite3.Connection, before: float) -> tuple[list[int], list[int]]:
    """Return positions of log rows that nobody needs, the oldest first: those older than *before*, and the others.

    The old ones are, per source, those up to the first that is not old: see `engine.store.pins.old_ones`.
    """
    needed = pins(queries.cursors(connection), queries.progress(connection))
    wanted = {"open": codec.json_list(sorted(needed.open)), "before": before, "limit": TRIM}
    old: list[int] = []
    spare: list[int] = []
    for name, number in queries.sources(connection).items():
        if floor := needed.floors.get(name, 0):
            listed, young = connection.execute(UNPINNED, {**wanted, "source": number, "floor": floor}).fetchone()
            for position in json.loads(listed):
                (old if young is None or position < young else spare).append(position)
    return sorted(old), sorted(spare)


def too_much(connection: sqlite3.Connection, retention: Retention, now: float, archived: int) -> tuple[list[str], int]:
    """Return ids and bytes of ledger rows that the archive's age or size lets go, of *archived* bytes in all."""
    most = retention.archive_size or float("inf")
    wanted = {"archived": archived, "before": _before(now, retention), "most": most, "limit": TRIM}
    listed, size = connection.execute(TOO_MUCH, wanted).fetchone()
    return json.loads(listed), size


def weight(connection: sqlite3.Connection, retention: Retention, now: float) -> Weight:
    """Return what there is beside the log; reads an index of the archive whole: 70 ms for a million rows."""
    archived = connection.execute(f"SELECT coalesce(sum(size), 0) {KEPT}").fetchone()[0]
    many, each = violations(connection)
    room = retention.archive_size // NOTED
    beyond = math.ceil(many - room / each) if 0 < room < many * each else 0
    oldest = connection.execute("SELECT min(at) FROM violations").fetchone()[0]
    outdated = oldest is not None and oldest < _before(now, retention)
    return Weight(archived=archived, noted=int(many * each), beyond=beyond, outdated=outdated)


def violations(connection: sqlite3.Connection) -> tuple[int, float]:
    """Return about how many entries of broken contracts there are, and about how many bytes one has."""
    low, high, each = connection.execute(
        "SELECT (SELECT min(rowid) FROM violations), (SELECT max(rowid) FROM violations),"
        " (SELECT avg(length(body)) FROM (SELECT body FROM violations ORDER BY rowid DESC LIMIT 100))"
    ).fetchone()
    return (0, 0.0) if low is None else (high - low + 1, each + ENTRY)


def delete_log(connection: sqlite3.Connection, positions: Sequence[int]) -> tuple[int, int]:
    """Delete log rows with all that goes with them; return how many these are, and how many of attempts."""
    chosen = (codec.json_list(positions),)
    connection.execute("DELETE FROM results WHERE position IN (SELECT value FROM json_each(?))", chosen)
    gone = connection.execute("DELETE FROM log WHERE position IN (SELECT value FROM json_each(?))", chosen).rowcount
    connection.execute(
        "DELETE FROM seals WHERE low < (SELECT min(position) FROM log) AND high < (SELECT min(position) FROM log)"
    )
    return gone, delete_attempts(connection)


def delete_attempts(connection: sqlite3.Connection) -> int:
    """Delete some of the attempts whose log rows are gone; return how many rows these are."""
    return connection.execute(
        "DELETE FROM attempts WHERE seq IN ("
        " SELECT seq FROM attempts WHERE high < (SELECT min(position) FROM log) ORDER BY high LIMIT ?)",
        (MANY,),
    ).rowcount


def delete_outdated(connection: sqlite3.Connection, before: float) -> int:
    """Delete some of the entries of broken contracts that are older than *before*; return how many."""
    return connection.execute(
        "DELETE FROM violations WHERE rowid IN (SELECT rowid FROM violations WHERE at < ? ORDER BY at LIMIT ?)",
        (before, MANY),
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


def _before(now: float, retention: Retention) -> float:
    """Return when what is too old for the archive had its last trouble."""
    return now - retention.archive_age if retention.archive_age else float("-inf")
