"""The way in: a store for the engine that owns it, and a reader for everyone else."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from functools import partial

import trio

from engine.errors import StoreError, one_of
from engine.store.base import Store
from engine.store.memory import MemoryStore
from engine.store.room import Room, free_bytes
from engine.store.sqlite.backup import back_up
from engine.store.sqlite.examined import examine
from engine.store.sqlite.opened import open_file
from engine.store.sqlite.reader import Reader
from engine.store.sqlite.store import SqliteStore

__all__ = ["back_up", "examine", "open_reader", "open_store"]

RESERVE = 64 * 1024 * 1024
"""Bytes of the disk that are kept for outcomes and cursors, unless the configuration says otherwise."""


MUCH = 2**62
"""Bytes that a store in memory finds free."""


async def open_store(
    kind: str,
    folder: pathlib.Path,
    *,
    reserve: int = RESERVE,
    size: int = 0,
    free: Callable[[], int] | None = None,
) -> Store:
    """Open the store in *folder*, which is made if it is not there, for this process alone.

    Args:
        kind: ``sqlite``, or ``memory``, which leaves the folder alone.
        folder: the data folder.
        reserve: bytes of the disk that no event may use.
        size: bytes the store may use before `trim` said otherwise; 0 for no limit.
        free: what the disk has left, in bytes; the file system's own answer if None.

    Raises:
        StoreError: says which file, what is wrong and what to do: used by another process, damaged, written by a newer
            version, no place to write.
    """
    if kind == "memory":
        return MemoryStore(Room(reserve, size, free or (lambda: MUCH)))
    if kind == "sqlite":
        opened = await trio.to_thread.run_sync(open_file, folder)
        room = Room(reserve, size, free or partial(free_bytes, folder))
        room.look(opened.used)
        return SqliteStore(opened, room)
    raise StoreError(f"there is no store of kind {kind!r}; {one_of(('memory', 'sqlite'))}")


def open_reader(folder: pathlib.Path) -> Reader:
    """Open the store in *folder* for reading, whether an engine runs on it or not; every call is synchronous.

    Raises:
        StoreError: says which file, what is wrong and what to do: no store yet, locked, damaged, another version's.
    """
    return Reader(folder)
