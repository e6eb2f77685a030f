"""The tables, and how an older file comes to have them: one transaction a step, counted in ``user_version``."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

APPLICATION_ID = 0x48445243
"""Marks a SQLite file as ours: the letters HDRC."""

FIRST = (
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    )""",
    """CREATE TABLE log (
        position INTEGER PRIMARY KEY,
        source INTEGER NOT NULL,
        received_at REAL NOT NULL,
        envelope BLOB NOT NULL,
        raw BLOB NOT NULL
    )""",
    # Not unique, and its entries end in the position: a quiet source is read without reading the others' events.
    "CREATE INDEX log_by_source ON log (source)",
    """CREATE TABLE results (
        position INTEGER PRIMARY KEY,
        body BLOB NOT NULL
    )""",
    """CREATE TABLE troubles (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        source TEXT NOT NULL,
        sync TEXT NOT NULL,
        destination TEXT NOT NULL,
        position INTEGER NOT NULL,
        received_at REAL NOT NULL,
        last_at REAL NOT NULL,
        due_at REAL NOT NULL,
        text TEXT NOT NULL,
        size INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE INDEX troubles_due ON troubles (destination, due_at, id) WHERE state = 'retrying'",
    "CREATE INDEX troubles_pinning ON troubles (position) WHERE state = 'retrying'",
    "CREATE INDEX troubles_waiting ON troubles (sync, received_at) WHERE state = 'retrying'",
    "CREATE INDEX troubles_listed ON troubles (last_at, id)",
    "CREATE INDEX troubles_kept ON troubles (last_at, id, size) WHERE state <> 'retrying'",
    """CREATE TABLE attempts (
        seq INTEGER PRIMARY KEY,
        destination TEXT NOT NULL,
        low INTEGER NOT NULL,
        high INTEGER NOT NULL,
        at REAL NOT NULL,
        body BLOB NOT NULL
    )""",
    "CREATE INDEX attempts_by_high ON attempts (high)",
    """CREATE TABLE cursors (
        source TEXT PRIMARY KEY,
        position INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE progress (
        sync TEXT NOT NULL,
        source TEXT NOT NULL,
        high INTEGER NOT NULL,
        open BLOB NOT NULL,
        PRIMARY KEY (sync, source)
    )""",
    """CREATE TABLE counts (
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        value INTEGER NOT NULL,
        PRIMARY KEY (scope, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE facts (
        key TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        revision INTEGER NOT NULL
    )""",
)

SECOND = (
    """CREATE TABLE violations (
        position INTEGER NOT NULL,
        contract TEXT NOT NULL,
        at REAL NOT NULL,
        source TEXT NOT NULL,
        type TEXT NOT NULL,
        name TEXT NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (position, contract)
    )""",
    "CREATE INDEX violations_listed ON violations (at, position)",
)

THIRD = (
    """CREATE TABLE windows (
        window TEXT NOT NULL,
        key TEXT NOT NULL,
        start REAL NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (window, key, start)
    ) WITHOUT ROWID""",
)

FOURTH = (
    "ALTER TABLE troubles ADD COLUMN turn TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX troubles_turns ON troubles (sync, turn, position, id) WHERE state = 'retrying' AND turn <> ''",
)

FIFTH = (
    # Sorted hashes of the messageIds of a stretch of positions, see `engine.store.hashes`.
    """CREATE TABLE seals (
        low INTEGER PRIMARY KEY,
        high INTEGER NOT NULL,
        body BLOB NOT NULL
    )""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (FIRST, SECOND, THIRD, FOURTH, FIFTH)
"""Step n brings a file from schema n to n + 1. One that was released is never changed."""


def migrate(connection: sqlite3.Connection, steps: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring the file to the newest schema; a step that fails leaves the schema before it."""
    while (version := schema(connection)) < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in steps[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def schema(connection: sqlite3.Connection) -> int:
    """Return the file's schema: 0 for an empty one."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
