"""A copy of the store while it is in use: whole, and of one moment."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Callable

import msgspec

from engine.errors import StoreError
from engine.store.room import free_bytes
from engine.store.sqlite import connect, migrations, queries

STEP = 1024
"""Pages that are copied between two words on how far it is: 8 MiB."""

Told = Callable[[int, int], None]
"""Called with the bytes that are copied, and all that there are."""


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    Attributes:
        file: where it is.
        size: of the file, in bytes.
        last: the log's last position in it.
    """

    file: str
    size: int
    last: int


def back_up(folder: pathlib.Path, file: pathlib.Path, told: Told) -> Copied:
    """Copy the store in *folder* to *file*, whether an engine writes to it or not; blocks, for a thread or a command.

    The copy is as of the moment it begins: one read transaction holds it, so that what is written meanwhile neither
    gets into it nor makes it begin again. It holds nobody up; SQLite's log beside the store grows until it is over.
    *file* appears when the copy is whole, checked and on disk, readable by its owner alone.

    Raises:
        StoreError: no store, not ours, damaged; or *file* exists, or has no room.
    """
    store = folder / connect.FILE
    if not store.exists():
        raise StoreError(f"{store}: there is no store yet; it is made when the engine first runs")
    if file.exists():
        raise StoreError(f"{file}: exists already; a backup goes to a new file")
    part = file.with_name(f"{file.name}.part")
    with contextlib.ExitStack() as undo:
        try:
            source = connect.connect(store, "ro")
            undo.callback(source.close)
            connect.check_kind(source, store)
            _make(part, _size(source))
            undo.callback(part.unlink, missing_ok=True)
            copied = _copy(source, part, told)
            part.replace(file)
            _sync(file.parent)
        except OSError as problem:
            raise StoreError(f"{file}: {problem.strerror}; nothing was copied") from problem
        except sqlite3.Error as problem:
            raise connect.explain(store, problem) from problem
    return msgspec.structs.replace(copied, file=str(file))


def _size(source: sqlite3.Connection) -> int:
    pages: int = source.execute(
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    ).fetchone()[0]
    return pages


def _make(part: pathlib.Path, size: int) -> None:
    """Make an empty file that only we may read, if there is room for *size* bytes."""
    free = free_bytes(part.parent)
    if free < size:
        raise StoreError(f"{part.parent}: the copy takes {size} bytes, and {free} are free; nothing was copied")
    with contextlib.suppress(FileNotFoundError):  # of a backup that was killed
        part.unlink()
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _copy(source: sqlite3.Connection, part: pathlib.Path, told: Told) -> Copied:
    page = connect.page_size(source)
    source.execute("BEGIN")  # without it SQLite begins anew at every write of the engine
    last = queries.last_position(source)
    into = connect.connect(part, "rw")
    try:
        source.backup(into, pages=STEP, progress=lambda _, left, all_: told((all_ - left) * page, all_ * page))
        # As of a backup nobody writes to it: without a log beside it, it is one file that can be carried about.
        into.execute("PRAGMA journal_mode = DELETE")
        connect.check_whole(into, part)
        assert migrations.schema(into) == migrations.schema(source)
    finally:
        into.close()
        source.execute("ROLLBACK")
    _sync(part)
    return Copied(file=str(part), size=part.stat().st_size, last=last)


def _sync(path: pathlib.Path) -> None:
    """Have a file, or what a folder says of its files, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
