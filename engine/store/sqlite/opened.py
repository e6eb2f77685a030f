"""Opening the file: everything that happens before the first call, in a thread of its own."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3

import msgspec

from engine.errors import StoreError
from engine.store.due import Key
from engine.store.sqlite import connect, erasing, queries
from engine.store.sqlite.gaps import Gaps

WAITING = 5000
"""Retrying rows per destination that are in memory at first; the rest is read when it is due."""


class Opened(msgspec.Struct, kw_only=True):
    """An open file, and what was in it.

    Attributes:
        connection: the one that writes.
        last: the log's last position.
        sources: numbers by name.
        due: destination, the first of its retrying rows, and whether there are more.
        used: bytes.
        gaps: closed after every connection.
    """

    lock: connect.Lock
    connection: sqlite3.Connection
    file: pathlib.Path
    last: int
    sources: dict[str, int]
    due: list[tuple[str, list[Key], bool]]
    used: int
    gaps: Gaps


def open_file(folder: pathlib.Path) -> Opened:
    """Lock the folder, make the file if there is none, and bring it up to date.

    Raises:
        StoreError: says which file, what is wrong and what to do.
    """
    file = folder / connect.FILE
    with contextlib.ExitStack() as undo:
        try:
            folder.mkdir(0o700, parents=True, exist_ok=True)  # events are personal data
            lock = connect.Lock(folder)
            undo.callback(lock.release)
            connection = connect.connect(file, "rwc")
            undo.callback(connection.close)
            connect.prepare(connection, file)
            erasing.drop_zeros(connection)  # of an engine that was killed while it erased
            opened = _look_around(connection, file, lock)
        except OSError as problem:
            raise StoreError(f"{folder}: {problem.strerror}; the data folder must be writable") from problem
        except sqlite3.Error as problem:
            raise connect.explain(file, problem) from problem
        undo.pop_all()
    return opened


def _look_around(connection: sqlite3.Connection, file: pathlib.Path, lock: connect.Lock) -> Opened:
    due: list[tuple[str, list[Key], bool]] = []
    for destination in queries.due_destinations(connection):
        keys = queries.due_keys(connection, destination, (float("-inf"), ""), WAITING)
        due.append((destination, keys, len(keys) == WAITING))
    return Opened(
        lock=lock,
        connection=connection,
        file=file,
        last=queries.last_position(connection),
        sources=queries.sources(connection),
        due=due,
        used=queries.used_bytes(connection),
        gaps=Gaps(file, connect.page_size(connection)),  # last: undone, it would be closed before the connection
    )
