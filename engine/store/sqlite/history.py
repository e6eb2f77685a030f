"""Looking back over the file: sweeps, sealed messageIds, and a user's events."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from engine.messages import Logged, State, Trouble
from engine.store import books, looking
from engine.store.hashes import hash_of, offsets_of, packed
from engine.store.history import SEALED, Facts
from engine.store.selection import Selection
from engine.store.sqlite import codec, queries
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.writer import Writer

AT_ONCE = 2000
"""Log rows read together."""
SEAL = "INSERT OR REPLACE INTO seals (low, high, body) VALUES (?, ?, ?)"


class SqliteHistory:
    """The role of that name."""

    def __init__(self, readers: Readers, writer: Writer) -> None:
        self._readers = readers
        self._writer = writer

    async def newest(self) -> int:
        """Return the number of the youngest row."""
        return await self._readers.ask(queries.top_seq)

    async def sweep(self, selection: Selection, span: tuple[int, int], limit: int) -> list[tuple[int, Trouble]]:
        """Return matching rows with their numbers."""
        return await self._readers.ask(partial(swept, selection=selection, span=span, limit=limit))

    async def tally(self, selection: Selection, span: tuple[int, int]) -> dict[tuple[State, str], int]:
        """Return how many rows match."""
        return await self._readers.ask(partial(tallied, selection=selection, span=span))

    async def events(self, positions: Sequence[int]) -> dict[int, Logged]:
        """Return the events that are there."""
        return await self._readers.ask(partial(events, positions=positions))

    async def troubles(self, positions: Sequence[int]) -> list[Trouble]:
        """Return the rows of positions."""
        return await self._readers.ask(partial(troubles_at, positions=positions))

    async def facts(self, position: int) -> Facts:
        """Return all that is known of a position."""
        return await self._readers.ask(partial(facts, position=position))

    async def located(self, message_id: str) -> list[int]:
        """Return where that messageId is."""
        return await self._readers.ask(partial(located, message_id=message_id))

    async def seal(self) -> int:
        """Seal the next stretch, if it is whole."""
        found = await self._readers.ask(unsealed)
        if found is None:
            return 0
        await self._writer.perform(lambda connection: connection.execute(SEAL, found) and None)
        return SEALED

    async def of_user(self, wanted: tuple[str, str], below: int, limit: int) -> tuple[list[Logged], int]:
        """Return a user's events."""
        return await self._readers.ask(partial(of_user, wanted=wanted, below=below, limit=limit))


def swept(
    connection: sqlite3.Connection, selection: Selection, span: tuple[int, int], limit: int
) -> list[tuple[int, Trouble]]:
    """Return matching rows with span[0] < number <= span[1]."""
    if selection.ids:
        return _chosen(connection, selection, span, limit)
    numbered = queries.sweep(connection, selection, span, limit)
    rows_by_id = queries.troubles(connection, [row_id for _, row_id in numbered])
    return [(seq, rows_by_id[row_id]) for seq, row_id in numbered if row_id in rows_by_id]


def _chosen(
    connection: sqlite3.Connection, selection: Selection, span: tuple[int, int], limit: int
) -> list[tuple[int, Trouble]]:
    """Return what `swept` does of rows that are named: not all of them at once, since there may be many long ones."""
    numbered = connection.execute(
        "SELECT seq, id FROM troubles WHERE id IN (SELECT value FROM json_each(?)) AND seq > ? AND seq <= ?"
        " ORDER BY seq",
        (codec.json_list(selection.ids), *span),
    ).fetchall()
    found: list[tuple[int, Trouble]] = []
    for start in range(0, len(numbered), limit):
        part = numbered[start : start + limit]
        rows = queries.troubles(connection, [row_id for _, row_id in part])
        there = ((seq, rows[row_id]) for seq, row_id in part if row_id in rows)
        found += [(seq, row) for seq, row in there if books.matches(selection, row)]
        if len(found) >= limit:
            break
    return found[:limit]


def tallied(
    connection: sqlite3.Connection, selection: Selection, span: tuple[int, int]
) -> dict[tuple[State, str], int]:
    """Return how many rows match with span[0] < number <= span[1], by state and reason."""
    if selection.ids:
        found = swept(connection, selection, span, len(selection.ids))
        return dict(Counter((row.state, row.reason) for _, row in found))
    return queries.tally(connection, selection, span)


def events(connection: sqlite3.Connection, positions: Sequence[int]) -> dict[int, Logged]:
    """Return the events at those positions that the log has."""
    found = connection.execute(
        "SELECT position, name, envelope, raw FROM log JOIN sources ON sources.id = log.source"
        " WHERE position IN (SELECT value FROM json_each(?))",
        (codec.json_list(positions),),
    ).fetchall()
    return {row[0]: codec.logged(*row) for row in found}


def troubles_at(connection: sqlite3.Connection, positions: Sequence[int]) -> list[Trouble]:
    """Return the ledger rows of these positions, by position: their ids begin with it."""
    sql = "SELECT body FROM troubles WHERE id >= ? AND id < ? ORDER BY seq"
    found = (connection.execute(sql, (f"{at}-", f"{at}.")).fetchall() for at in sorted(positions))
    return [codec.trouble_of(body) for rows in found for (body,) in rows]


def facts(connection: sqlite3.Connection, position: int) -> Facts:
    """Return all that is known of a position, as one transaction left it."""
    connection.execute("BEGIN")
    try:
        logged = events(connection, [position]).get(position)
        cursors = {cursor.source: cursor.position for cursor in queries.cursors(connection)}
        return Facts(
            logged=logged,
            result=queries.results(connection, [position]).get(position),
            troubles=tuple(troubles_at(connection, [position])),
            attempts=queries.attempts(connection, position),
            cursor=cursors.get(logged.source, 0) if logged else 0,
            progress=tuple(queries.progress(connection)),
        )
    finally:
        connection.execute("ROLLBACK")


def located(connection: sqlite3.Connection, message_id: str) -> list[int]:
    """Return the positions of that messageId: what sealed arrays point at, if it is there, and what is not sealed."""
    wanted = hash_of(message_id)
    likely: set[int] = set()
    sealed = 0
    for low, high, body in connection.execute("SELECT low, high, body FROM seals ORDER BY low"):
        likely.update(low + offset for offset in offsets_of(body, wanted))
        sealed = max(sealed, high)
    likely.update(_unsealed_places(connection, sealed, message_id))
    known = events(connection, sorted(likely))
    results = queries.results(connection, list(known))
    return [at for at in sorted(known) if looking.has_id(known[at], results.get(at), message_id)]


def _unsealed_places(connection: sqlite3.Connection, sealed: int, message_id: str) -> Iterator[int]:
    """Yield positions after *sealed* whose bytes hold that id; SQLite searches them, at 1 µs each."""
    text = codec.json_text(message_id)
    for table, column in (("log", "envelope"), ("results", "body")):
        part = text if table == "log" else text[1:-1]  # within a result the events are bytes of JSON
        found = connection.execute(
            f"SELECT position FROM {table} WHERE position > ? AND instr({column}, ?)",  # noqa: S608 - constants
            (sealed, part),
        )
        yield from (position for (position,) in found)


def unsealed(connection: sqlite3.Connection) -> tuple[int, int, bytes] | None:
    """Return the next array to seal as (low, high, bytes), or None if its positions are not all read yet."""
    last: int = connection.execute("SELECT coalesce(max(high), 0) FROM seals").fetchone()[0]
    low, high = last + 1, last + SEALED
    first: int = connection.execute("SELECT coalesce(min(position), 0) FROM log").fetchone()[0]
    if first > high:  # all of it was let go before it was ever sealed
        low = first - (first - 1) % SEALED
        high = low + SEALED - 1
    if high > _judged(connection):
        return None
    return low, high, packed(_entries(connection, low, high))


def _judged(connection: sqlite3.Connection) -> int:
    """Return the position up to which every event was judged; a source without new ones holds nothing back."""
    cursors = {cursor.source: cursor.position for cursor in queries.cursors(connection)}
    upto = queries.last_position(connection)
    for name, number in queries.sources(connection).items():
        waits = queries.log_page(connection, (name, number), (cursors.get(name, 0), upto), 1)
        upto = min([upto, *(one.position - 1 for one in waits)])
    return upto


def _entries(connection: sqlite3.Connection, low: int, high: int) -> Iterator[tuple[int, int]]:
    rows = connection.execute("SELECT position, envelope FROM log WHERE position BETWEEN ? AND ?", (low, high))
    for position, envelope in rows:
        yield hash_of(codec.envelope_of(envelope).message_id), position - low
    for position, body in connection.execute(
        "SELECT position, body FROM results WHERE position BETWEEN ? AND ?", (low, high)
    ):
        for name in looking.made_ids(codec.result_of(body)):
            yield hash_of(name), position - low


def of_user(
    connection: sqlite3.Connection, wanted: tuple[str, str], below: int, limit: int
) -> tuple[list[Logged], int]:
    """Return a user's events of the *limit* positions before *below*, the newest first, and the lowest looked at."""
    low = max(1, below - limit)
    rows = connection.execute(
        "SELECT position, raw FROM log WHERE position >= ? AND position < ? ORDER BY position DESC", (low, below)
    )
    mine = [position for position, raw in rows if looking.is_of(raw, wanted)]
    known = events(connection, mine)
    return [known[at] for at in mine if at in known], low
