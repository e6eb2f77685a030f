"""Everything that is written, as statements of many rows.

A thread that writes gives the interpreter away at every statement and may have to wait for it: few long statements, not
many short ones, keep a transaction short while the process is busy.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import sqlite3
from collections.abc import Container, Iterable, Sequence

import msgspec

from engine.messages import Attempt, Trouble
from engine.store import books
from engine.store.base import Change, Cursor, Progress
from engine.store.sqlite import codec, queries
from engine.violated import Violated

SIZES = (*range(1, 33), 48, 64, 96, 128, 192, 256)
"""How many rows a statement may have; half of an even one is one, too.

A prepared statement is kept, and with it what was bound to it last. One for every size up to 256 came to 40 MiB of
memory after some hours with events of 1 KB, and would come to more than a GiB with the longest.
"""
KEPT = 256 * 1024
"""Bytes in one statement of several rows, at most."""

Rows = Sequence[tuple[object, ...]]

SOURCES = "INSERT INTO sources (id, name)"
LOG = "INSERT INTO log (position, source, received_at, envelope, raw)"
RESULTS = "INSERT OR IGNORE INTO results (position, body)"
RESULTS_ANEW = "INSERT OR REPLACE INTO results (position, body)"
TROUBLES = (
    "INSERT INTO troubles (id, state, reason, source, sync, destination, position, received_at, last_at, due_at,"
    " text, size, turn, body)"
)
TROUBLES_AGAIN = (
    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, source = excluded.source,"
    " sync = excluded.sync, destination = excluded.destination, position = excluded.position,"
    " received_at = excluded.received_at, last_at = excluded.last_at, due_at = excluded.due_at,"
    " text = excluded.text, size = excluded.size, turn = excluded.turn, body = excluded.body"
)
ATTEMPTS = "INSERT INTO attempts (destination, low, high, at, body)"
CURSORS = "INSERT INTO cursors (source, position)"
CURSORS_AGAIN = "ON CONFLICT (source) DO UPDATE SET position = excluded.position"
PROGRESS = "INSERT INTO progress (sync, source, high, open)"
PROGRESS_AGAIN = "ON CONFLICT (sync, source) DO UPDATE SET high = excluded.high, open = excluded.open"
VIOLATIONS = "INSERT OR IGNORE INTO violations (position, contract, at, source, type, name, body)"
WINDOWS = "INSERT OR REPLACE INTO windows (window, key, start, body)"
COUNTS = "INSERT INTO counts (scope, name, value)"
COUNTS_AGAIN = "ON CONFLICT (scope, name) DO UPDATE SET value = value + excluded.value"


@functools.lru_cache(maxsize=512)
def statement(head: str, width: int, many: int, tail: str) -> str:
    """Return an INSERT of *many* rows with *width* columns; the same text finds the same prepared statement."""
    row = f"({','.join('?' * width)})"
    return f"{head} VALUES {','.join([row] * many)} {tail}"


def insert(connection: sqlite3.Connection, head: str, rows: Rows, tail: str = "") -> None:
    """Write rows, in one statement for each of their `parts`."""
    for part in parts(rows):
        put(connection, head, part, tail)


def put(connection: sqlite3.Connection, head: str, part: Rows, tail: str = "") -> None:
    """Write one of the `parts` of rows."""
    sql = statement(head, len(part[0]), len(part), tail)
    connection.execute(sql, list(itertools.chain.from_iterable(part)))


def parts(rows: Rows) -> list[Rows]:
    """Return *rows* cut into those of one statement each: of one of `SIZES`, and of `KEPT` bytes if not alone."""
    found: list[Rows] = []
    start = 0
    while start < len(rows):
        many = SIZES[bisect.bisect(SIZES, len(rows) - start) - 1]
        while many > 1 and _size(rows[start : start + many]) > KEPT:
            many //= 2
        found.append(rows[start : start + many])
        start += many
    return found


def _size(rows: Rows) -> int:
    """Return the bytes of the last column, where long things are."""
    return sum([len(row[-1]) for row in rows if isinstance(row[-1], bytes)])


def write_change(connection: sqlite3.Connection, change: Change, good: tuple[bool, ...]) -> books.Effect:
    """Write a maintenance change; return what it did to the ledger. *good*: see `books.decide`."""
    ids = books.concerned(change)
    told: tuple[Trouble | Violated, ...] = (*change.troubles, *change.violated)
    positions = [one.position for one in told]
    buried = queries.buried(connection, positions) if positions else ()
    effect = books.decide(change, good, queries.standings(connection, ids) if ids else {}, buried)
    write_cursors(connection, change.cursors)
    write_progress(connection, change.progress)
    write_attempts(connection, change.attempts)
    write_effect(connection, effect)
    insert(connection, RESULTS_ANEW, [codec.result_values(result) for result in change.results])
    for key, value in change.facts.items():
        put_fact(connection, key, value, (queries.fact(connection, key) or (b"", 0))[1])
    insert(
        connection, VIOLATIONS, [codec.violated_values(one) for one in change.violated if one.position not in buried]
    )
    insert(connection, WINDOWS, [codec.window_values(one) for one in change.windows if not one.gone])
    for one in change.windows:
        if one.gone:
            where = "window = ? AND key = ? AND start = ?"
            connection.execute(f"DELETE FROM windows WHERE {where}", (one.window, one.key, one.start))  # noqa: S608 - constant
    return effect


def write_effect(connection: sqlite3.Connection, effect: books.Effect) -> None:
    """Write what a decision did to ledger rows and counts."""
    gone = [row_id for row_id, trouble in effect.after.items() if trouble is None and row_id in effect.before]
    if gone:
        delete_troubles(connection, gone)
    written = [trouble for trouble in effect.after.values() if trouble is not None]
    written = with_copies(connection, with_events(connection, written), effect.before)
    insert(connection, TROUBLES, [codec.trouble_values(trouble) for trouble in written], TROUBLES_AGAIN)
    insert(connection, COUNTS, [(*key, much) for key, much in effect.counts.items()], COUNTS_AGAIN)


def with_events(connection: sqlite3.Connection, troubles: Sequence[Trouble]) -> list[Trouble]:
    """Return the rows, those that nothing will hold the log for with a copy of their event."""
    lacking = [trouble.position for trouble in troubles if books.lacks_event(trouble)]
    raws = queries.raws(connection, lacking) if lacking else {}
    return [
        msgspec.structs.replace(trouble, event=raws.get(trouble.position, b""))
        if books.lacks_event(trouble)
        else trouble
        for trouble in troubles
    ]


def with_copies(connection: sqlite3.Connection, troubles: list[Trouble], before: Container[str]) -> list[Trouble]:
    """Return the rows, those whose event the log let go with the copy that they had: nobody else has it."""
    bare = {trouble.id: trouble.position for trouble in troubles if not trouble.event and trouble.id in before}
    gone = set(bare.values()) - queries.present(connection, bare.values()) if bare else set()
    if not gone:
        return troubles
    had = queries.troubles(connection, [row_id for row_id, position in bare.items() if position in gone])
    return [
        msgspec.structs.replace(trouble, event=had[trouble.id].event) if trouble.id in had else trouble
        for trouble in troubles
    ]


def write_cursors(connection: sqlite3.Connection, cursors: Iterable[Cursor]) -> None:
    """Set cursors."""
    last = {cursor.source: (cursor.source, cursor.position) for cursor in cursors}
    insert(connection, CURSORS, list(last.values()), CURSORS_AGAIN)


def write_progress(connection: sqlite3.Connection, progress: Iterable[Progress]) -> None:
    """Set the progress of syncs."""
    rows = [(one.sync, one.source, one.high, codec.open_blob(one.open)) for one in progress]
    insert(connection, PROGRESS, rows, PROGRESS_AGAIN)


def write_attempts(connection: sqlite3.Connection, attempts: Iterable[Attempt]) -> None:
    """Add attempts, packed."""
    insert(connection, ATTEMPTS, codec.attempt_values(attempts))


def delete_troubles(connection: sqlite3.Connection, ids: Iterable[str]) -> int:
    """Delete ledger rows; return how many there were."""
    return connection.execute(
        "DELETE FROM troubles WHERE id IN (SELECT value FROM json_each(?))", (codec.json_list(ids),)
    ).rowcount


def put_fact(connection: sqlite3.Connection, key: str, value: bytes, revision: int) -> bool:
    """Compare and swap one fact."""
    _, current = queries.fact(connection, key) or (b"", 0)
    if current != revision:
        return False
    connection.execute(
        "INSERT INTO facts (key, value, revision) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision",
        (key, value, revision + 1),
    )
    return True
