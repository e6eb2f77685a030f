"""The file: its lock, its connections, and what is wrong with it in words."""

from __future__ import annotations

import fcntl
import os
import pathlib
import sqlite3

from engine.errors import StoreError, StoreFull
from engine.store.sqlite import codec, migrations

FILE = "headrace.db"
"""The database, in the data folder; SQLite keeps two more files beside it while it is open."""

CHECKED = 64 * 1024 * 1024
"""Bytes up to which a file is checked whole at open (about 0.1 s); damage in a bigger one shows when it is read."""

PAGE = 8192
"""Bytes of a page: events of 1 KB are written 10 to 25 % faster than with 4,096."""

SECURE_DELETE = "PRAGMA secure_delete = FAST"
"""Debian's default ON writes every page of what is trimmed again."""

WAIT = 5.0
"""Seconds to wait for a lock that another program holds on the file."""


class Lock:
    """Keeps other processes from opening the same folder as their own; let go by the system if the process dies.

    Args:
        folder: the data folder; must exist.

    Raises:
        StoreError: another process has it.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        file = folder / "lock"
        self._handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise StoreError(f"{file}: the store is used by process {owner}; stop it, or use another folder") from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have the folder. The file stays: removing it would let two processes lock two files."""
        os.close(self._handle)


def connect(file: pathlib.Path, mode: str) -> sqlite3.Connection:
    """Return a connection in autocommit, usable in any one thread at a time.

    Args:
        file: the database.
        mode: SQLite's own: ``ro``, ``rw``, or ``rwc``, which makes the file.
    """
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=WAIT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=400,  # one for each of `writing.SIZES`
    )
    connection.create_function("stage_of", 1, codec.stage_of, deterministic=True)
    if mode == "ro":
        connection.execute("PRAGMA query_only = ON")
    return connection


def prepare(connection: sqlite3.Connection, file: pathlib.Path) -> None:
    """Make *connection* the one that writes, and the file one that it can write.

    Raises:
        StoreError: the file is not ours, newer, or damaged.
        sqlite3.Error: for `explain`.
    """
    connection.execute(f"PRAGMA page_size = {PAGE}")
    check_kind(connection, file)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # NORMAL does not fsync at a commit: an ack would be a lie
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute(SECURE_DELETE)
    if file.stat().st_size <= CHECKED:
        check_whole(connection, file)
    migrations.migrate(connection)


def page_size(connection: sqlite3.Connection) -> int:
    """Return the bytes of a page."""
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return size


def check_kind(connection: sqlite3.Connection, file: pathlib.Path) -> None:
    """Refuse a file that is not a store, or one that a newer version wrote.

    Raises:
        StoreError: says which.
    """
    known = len(migrations.MIGRATIONS)
    version = migrations.schema(connection)
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if mark != migrations.APPLICATION_ID and not empty:
        raise StoreError(f"{file}: this database is not a Headrace store; use another folder")
    if version > known:
        raise StoreError(
            f"{file}: a newer Headrace wrote this store (schema {version}, this version knows {known}); "
            "start that version, or use another folder"
        )


def check_whole(connection: sqlite3.Connection, file: pathlib.Path) -> None:
    """Read every page.

    Raises:
        StoreError: one of them is damaged.
    """
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damaged(file, verdict.splitlines()[-1])


def damaged(file: pathlib.Path, what: str) -> StoreError:
    """Return the error for a file that cannot be trusted."""
    return StoreError(
        f"{file}: the store is damaged ({what}); keep a copy of the folder, then restore it from a backup "
        "or start with an empty one"
    )


def explain(file: pathlib.Path, error: sqlite3.Error) -> StoreError:
    """Return what a SQLite error means for the owner of *file*, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest are details of the same error
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return damaged(file, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"{file}: another program has locked the store ({error}); close it and try again")
    if code == sqlite3.SQLITE_FULL:
        return StoreFull(f"{file}: there is no room left on the disk; make room, then start again")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StoreError(f"{file}: cannot be opened ({error}); check that the folder may be read and written")
    return StoreError(f"{file}: {error}; check the disk, then start again")
