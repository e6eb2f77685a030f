"""Everything that is read: plain functions of a connection, for the roles and for readers without an engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from engine.messages import NEVER, Attempt, Logged, Result, State, Trouble
from engine.results import WindowState
from engine.store import books
from engine.store.base import Accepted, Cursor, Progress, Selection, Snapshot, Waiting
from engine.store.books import Standing
from engine.store.due import Key
from engine.store.order import Remains
from engine.store.sqlite import codec
from engine.violated import Violated, Wanted

PAGE_OF_IDS = 1000
"""Log rows that are read at once when looking back for ids."""

READ = """SELECT position, envelope, raw FROM log INDEXED BY log_by_source
    WHERE source = ? AND position > ? AND position <= ? ORDER BY position LIMIT ?"""

# Every part is in every statement, so that SQLite keeps it prepared; a walk from the newest row finds a page early.
MATCHING = """last_at >= :since
    AND (:until = 0.0 OR last_at <= :until)
    AND (:sync = '' OR sync = :sync)
    AND (:source = '' OR source = :source)
    AND (:destination = '' OR destination = :destination)
    AND (:reason = '' OR reason = :reason)
    AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
    AND (:text = '' OR instr(text, :text))
    AND (:stage = '' OR stage_of(body) = :stage)"""

PAGE = f"""SELECT body FROM troubles INDEXED BY troubles_listed WHERE {MATCHING} AND (last_at, id) < (:at, :after)
    ORDER BY last_at DESC, id DESC LIMIT :limit"""  # noqa: S608 - made of constants

SWEEP = f"""SELECT seq, id FROM troubles NOT INDEXED WHERE {MATCHING} AND seq > :seq AND seq <= :top
    ORDER BY seq LIMIT :limit"""  # noqa: S608 - made of constants

TALLY = f"""SELECT state, reason, count(*) FROM troubles NOT INDEXED WHERE {MATCHING} AND seq > :seq AND seq <= :top
    GROUP BY state, reason"""  # noqa: S608 - made of constants


def last_position(connection: sqlite3.Connection) -> int:
    """Return the log's last position, 0 for an empty log; trimming always leaves the last row."""
    last: int = connection.execute("SELECT coalesce(max(position), 0) FROM log").fetchone()[0]
    return last


def first_position(connection: sqlite3.Connection) -> int:
    """Return the log's first position, 0 for an empty log."""
    first: int = connection.execute("SELECT coalesce(min(position), 0) FROM log").fetchone()[0]
    return first


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use."""
    used: int = connection.execute(
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()"
    ).fetchone()[0]
    return used


def sources(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of each source's name."""
    return dict(connection.execute("SELECT name, id FROM sources").fetchall())


def log_page(
    connection: sqlite3.Connection, source: tuple[str, int], span: tuple[int, int], limit: int
) -> list[Logged]:
    """Return events of one source (name, number) with span[0] < position <= span[1]."""
    name, number = source
    found = connection.execute(READ, (number, *span, limit)).fetchall()
    return [codec.logged(position, name, envelope, raw) for position, envelope, raw in found]


def recent(connection: sqlite3.Connection, source: str, since: float, limit: int) -> list[Logged]:
    """Return the newest events of one source that are not older than *since*, ascending."""
    number = sources(connection).get(source)
    found = connection.execute(
        "SELECT position, envelope, raw FROM log INDEXED BY log_by_source"
        " WHERE source = ? AND received_at >= ? AND length(raw) > 0 ORDER BY position DESC LIMIT ?",
        (number, since, limit),
    ).fetchall()
    return [codec.logged(position, source, envelope, raw) for position, envelope, raw in reversed(found)]


def results(connection: sqlite3.Connection, positions: Iterable[int]) -> dict[int, Result]:
    """Return the stored results of those positions that have one."""
    found = connection.execute(
        "SELECT position, body FROM results WHERE position IN (SELECT value FROM json_each(?))",
        (codec.json_list(positions),),
    ).fetchall()
    return {position: codec.result_of(body) for position, body in found}


def event(connection: sqlite3.Connection, position: int) -> Logged | None:
    """Return the event at a position, or None."""
    found = connection.execute(
        "SELECT name, envelope, raw FROM log JOIN sources ON sources.id = log.source WHERE position = ?", (position,)
    ).fetchone()
    return codec.logged(position, *found) if found else None


def raws(connection: sqlite3.Connection, positions: Iterable[int]) -> dict[int, bytes]:
    """Return the JSON of the events that the log still has."""
    return dict(
        connection.execute(
            "SELECT position, raw FROM log WHERE position IN (SELECT value FROM json_each(?))",
            (codec.json_list(positions),),
        ).fetchall()
    )


def present(connection: sqlite3.Connection, positions: Iterable[int]) -> set[int]:
    """Return which of these positions the log still has."""
    found = connection.execute(
        "SELECT position FROM log WHERE position IN (SELECT value FROM json_each(?))", (codec.json_list(positions),)
    )
    return {position for (position,) in found}


def buried(connection: sqlite3.Connection, positions: Iterable[int]) -> set[int]:
    """Return which of these positions are of erased events."""
    found = connection.execute(
        "SELECT position FROM log WHERE position IN (SELECT value FROM json_each(?)) AND length(raw) = 0",
        (codec.json_list(positions),),
    )
    return {position for (position,) in found}


def accepted(connection: sqlite3.Connection, since: float, limit: int) -> list[Accepted]:
    """Return the newest ids, ascending; looks back until a whole page of the log is too old."""
    found: list[Accepted] = []
    below = last_position(connection) + 1
    while len(found) < limit:
        page = connection.execute(
            "SELECT position, name, received_at, envelope FROM log CROSS JOIN sources ON sources.id = log.source"
            " WHERE position < ? ORDER BY position DESC LIMIT ?",
            (below, PAGE_OF_IDS),
        ).fetchall()
        fresh = [
            Accepted(
                position=position,
                source=source,
                message_id=codec.envelope_of(envelope).message_id,
                received_at=received_at,
            )
            for position, source, received_at, envelope in page
            if received_at >= since
        ]
        found += fresh
        if not fresh:
            break
        below = page[-1][0]
    return found[:limit][::-1]


def standings(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Standing]:
    """Return what a decision needs to know of the ledger rows that exist."""
    found = connection.execute(
        "SELECT id, state, sync, destination, due_at FROM troubles WHERE id IN (SELECT value FROM json_each(?))",
        (codec.json_list(ids),),
    ).fetchall()
    return {
        row_id: Standing(state=State(state), sync=sync, destination=destination, due_at=due_at)
        for row_id, state, sync, destination, due_at in found
    }


def troubles(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, Trouble]:
    """Return the ledger rows that exist."""
    found = connection.execute(
        "SELECT id, body FROM troubles WHERE id IN (SELECT value FROM json_each(?))", (codec.json_list(ids),)
    ).fetchall()
    return {row_id: codec.trouble_of(body) for row_id, body in found}


def page(connection: sqlite3.Connection, selection: Selection) -> list[Trouble]:
    """Return a page of matching ledger rows, the newest trouble first.

    Raises:
        StoreError: the row that the page follows is gone.
    """
    at = float("inf")
    if selection.after:
        last = connection.execute("SELECT last_at FROM troubles WHERE id = ?", (selection.after,)).fetchone()
        if last is None:
            raise books.page_lost(selection)
        at = last[0]
    if selection.ids:
        chosen = troubles(connection, selection.ids).values()
        found = [
            one for one in chosen if books.matches(selection, one) and (one.last_at, one.id) < (at, selection.after)
        ]
        return sorted(found, key=lambda one: (one.last_at, one.id), reverse=True)[: selection.limit]
    wanted = {**_wanted(selection), "at": at, "after": selection.after, "limit": selection.limit}
    return [codec.trouble_of(body) for (body,) in connection.execute(PAGE, wanted).fetchall()]


def top_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the ledger's youngest row, 0 if it is empty."""
    top: int = connection.execute("SELECT coalesce(max(seq), 0) FROM troubles").fetchone()[0]
    return top


def sweep(
    connection: sqlite3.Connection, selection: Selection, span: tuple[int, int], limit: int
) -> list[tuple[int, str]]:
    """Return (seq, id) of rows with span[0] < seq <= span[1] that match but for ``ids``, ``after`` and ``limit``."""
    seq, top = span
    return connection.execute(SWEEP, {**_wanted(selection), "seq": seq, "top": top, "limit": limit}).fetchall()


def tally(connection: sqlite3.Connection, selection: Selection, span: tuple[int, int]) -> dict[tuple[State, str], int]:
    """Return how many rows match with span[0] < seq <= span[1], but for ``ids``, by state and reason."""
    seq, top = span
    found = connection.execute(TALLY, {**_wanted(selection), "seq": seq, "top": top}).fetchall()
    return {(State(state), reason): count for state, reason, count in found}


def due_keys(connection: sqlite3.Connection, destination: str, above: Key, limit: int) -> list[Key]:
    """Return (due_at, id) of a destination's retrying rows above a key, ascending."""
    return connection.execute(
        "SELECT due_at, id FROM troubles INDEXED BY troubles_due WHERE state = 'retrying' AND destination = ?"
        " AND (due_at, id) > (?, ?) AND due_at < ? ORDER BY due_at, id LIMIT ?",
        (destination, *above, NEVER, limit),
    ).fetchall()


def parked_ids(
    connection: sqlite3.Connection, turn: tuple[str, str], above: tuple[int, str], limit: int
) -> list[tuple[int, str, str]]:
    """Return (position, id, destination) of the parked rows of one (sync, turn) above a place, ascending."""
    return connection.execute(
        "SELECT position, id, destination FROM troubles INDEXED BY troubles_turns"
        " WHERE state = 'retrying' AND turn <> '' AND sync = ? AND turn = ? AND (position, id) > (?, ?) AND due_at = ?"
        " ORDER BY position, id LIMIT ?",
        (*turn, *above, NEVER, limit),
    ).fetchall()


def turns(connection: sqlite3.Connection) -> list[Remains]:
    """Return what waits and has a turn: rows that are tried again, then how many are parked."""
    where = "FROM troubles INDEXED BY troubles_turns WHERE state = 'retrying' AND turn <> '' AND due_at"
    again = connection.execute(f"SELECT sync, turn, id, 1, position {where} < ?", (NEVER,)).fetchall()
    parked = connection.execute(
        f"SELECT sync, turn, '', count(*), max(position) {where} = ? GROUP BY sync, turn",
        (NEVER,),
    ).fetchall()
    return [
        Remains(sync=sync, turn=turn, id=row_id, count=count, position=position)
        for sync, turn, row_id, count, position in (*again, *parked)
    ]


def due_destinations(connection: sqlite3.Connection) -> list[str]:
    """Return the destinations that have retrying rows."""
    found = connection.execute(
        "SELECT DISTINCT destination FROM troubles INDEXED BY troubles_due WHERE state = 'retrying'"
    ).fetchall()
    return [destination for (destination,) in found]


def waiting(connection: sqlite3.Connection) -> dict[str, Waiting]:
    """Return for each sync with retrying rows how many they are, and since when the oldest waits."""
    found = connection.execute(
        "SELECT sync, count(*), min(received_at) FROM troubles INDEXED BY troubles_waiting"
        " WHERE state = 'retrying' GROUP BY sync"
    ).fetchall()
    return {sync: Waiting(count=count, since=since) for sync, count, since in found}


def attempts(connection: sqlite3.Connection, position: int) -> tuple[Attempt, ...]:
    """Return the attempts with a delivery of that position in them, the oldest first."""
    found = connection.execute(
        "SELECT destination, body FROM attempts WHERE high >= ? AND low <= ?", (position, position)
    ).fetchall()
    unpacked = (attempt for destination, body in found for attempt in codec.attempts_of(destination, body))
    return tuple(sorted((one for one in unpacked if position in one.positions), key=lambda one: one.at))


def violations(connection: sqlite3.Connection, wanted: Wanted) -> list[Violated]:
    """Return the events that broke a contract and match, the newest first."""
    found = connection.execute(
        "SELECT body FROM violations WHERE at >= :since AND (:position = 0 OR position = :position)"
        " AND (:contract = '' OR contract = :contract) AND (:source = '' OR source = :source)"
        " AND (:event = '' OR name = :event OR type = :event) ORDER BY at DESC, position DESC, contract LIMIT :limit",
        msgspec.structs.asdict(wanted),
    ).fetchall()
    return [codec.violated_of(body) for (body,) in found]


def windows(connection: sqlite3.Connection) -> list[WindowState]:
    """Return every window's states."""
    return [codec.window_of(body) for (body,) in connection.execute("SELECT body FROM windows").fetchall()]


def cursors(connection: sqlite3.Connection) -> list[Cursor]:
    """Return every source's cursor."""
    found = connection.execute("SELECT source, position FROM cursors ORDER BY source").fetchall()
    return [Cursor(source=source, position=position) for source, position in found]


def progress(connection: sqlite3.Connection) -> list[Progress]:
    """Return every sync's progress."""
    found = connection.execute("SELECT sync, source, high, open FROM progress ORDER BY sync, source").fetchall()
    return [
        Progress(sync=sync, source=source, high=high, open=codec.open_of(opened))
        for sync, source, high, opened in found
    ]


def counts(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    """Return every count."""
    found = connection.execute("SELECT scope, name, value FROM counts").fetchall()
    return {(scope, name): value for scope, name, value in found}


def snapshot(connection: sqlite3.Connection) -> Snapshot:
    """Return the books as of one moment."""
    connection.execute("BEGIN")
    try:
        return Snapshot(
            counts=counts(connection),
            progress={page.sync: page for page in progress(connection)},
            waiting=waiting(connection),
        )
    finally:
        connection.execute("ROLLBACK")


def fact(connection: sqlite3.Connection, key: str) -> tuple[bytes, int] | None:
    """Return (value, revision) of a key, or None."""
    found: tuple[bytes, int] | None = connection.execute(
        "SELECT value, revision FROM facts WHERE key = ?", (key,)
    ).fetchone()
    return found


def _wanted(selection: Selection) -> Mapping[str, object]:
    return {
        "since": selection.since,
        "until": selection.until,
        "stage": selection.stage,
        "sync": selection.sync,
        "source": selection.source,
        "destination": selection.destination,
        "reason": selection.reason,
        "states": codec.json_list(selection.states),
        "text": selection.text.casefold(),
    }
