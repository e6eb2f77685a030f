"""What a doctor looks at in a store: its pages, its schema, its books; nothing is changed."""

from __future__ import annotations

import os
import pathlib
import sqlite3

import msgspec

from engine.errors import StoreError
from engine.store.room import free_bytes
from engine.store.sqlite import connect, migrations, queries

QUICK = 1 << 30
"""Bytes up to which every page is looked at unasked: a few seconds; a bigger store is read whole only by `deep`."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        file: the store.
        size: of the file, in bytes; ``log`` of SQLite's log beside it.
        used: of the pages in use.
        free: what the disk has left.
        schema, known: the file's, and the newest that this version knows.
        damage: what is wrong with its pages; None if they were not looked at.
        last: the log's last position.
        newest: epoch seconds at which the newest event was received; 0.0 without one.
        owner: the process that holds it, 0 if none does.
    """

    file: str
    size: int
    log: int
    used: int
    free: int
    schema: int
    known: int
    damage: tuple[str, ...] | None
    last: int
    newest: float
    owner: int


def examine(folder: pathlib.Path, *, deep: bool) -> Examined:
    """Look at the store in *folder*, whether an engine uses it or not.

    Args:
        folder: the data folder.
        deep: whether to read all of it, with the indexes held against their tables; else only pages of a smaller one.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    file = folder / connect.FILE
    if not file.exists():
        raise StoreError(f"{file}: there is no store yet; it is made when the engine first runs")
    try:
        connection = connect.connect(file, "ro")
        try:
            connect.check_kind(connection, file)
            return _look(connection, file, deep=deep)
        finally:
            connection.close()
    except sqlite3.Error as problem:
        raise connect.explain(file, problem) from problem


def _look(connection: sqlite3.Connection, file: pathlib.Path, *, deep: bool) -> Examined:
    size = file.stat().st_size
    check = "integrity_check" if deep else "quick_check" if size <= QUICK else ""
    verdict = [text for (text,) in connection.execute(f"PRAGMA {check}(10)")] if check else None
    log = file.with_name(f"{file.name}-wal")
    newest = connection.execute("SELECT received_at FROM log ORDER BY position DESC LIMIT 1").fetchone()
    return Examined(
        file=str(file),
        size=size,
        log=log.stat().st_size if log.exists() else 0,
        used=queries.used_bytes(connection),
        free=free_bytes(file.parent),
        schema=migrations.schema(connection),
        known=len(migrations.MIGRATIONS),
        damage=None if verdict is None else tuple(text for text in verdict if text != "ok"),
        last=queries.last_position(connection),
        newest=newest[0] if newest else 0.0,
        owner=_owner(file.with_name("lock")),
    )


def _owner(lock: pathlib.Path) -> int:
    """Return the process in *lock*, if it lives."""
    try:
        number = int(lock.read_text())
        os.kill(number, 0)
    except PermissionError:
        return number  # somebody else's process
    except (OSError, ValueError):
        return 0
    return number
