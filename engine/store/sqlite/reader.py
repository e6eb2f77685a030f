"""A look into the file without owning it: for commands beside a running engine, or without one."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Self, TypeVar

import msgspec

from engine.errors import StoreError
from engine.messages import Attempt, Logged, Trouble
from engine.store.base import Cursor, Progress, Selection, Usage, Waiting
from engine.store.history import Facts
from engine.store.order import Remains
from engine.store.room import free_bytes
from engine.store.sqlite import connect, history, migrations, queries
from engine.violated import Violated, Wanted

T = TypeVar("T")


class Reader:
    """Reads what is committed; each call by itself, so it never holds the engine up. A context manager.

    Args:
        folder: the data folder.

    Raises:
        StoreError: there is no store yet, or it cannot be read; every method may raise it too.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._file = folder / connect.FILE
        if not self._file.exists():
            raise StoreError(f"{self._file}: there is no store yet; it is made when the engine first runs")
        with contextlib.ExitStack() as undo:
            try:
                self._connection = connect.connect(self._file, "ro")
                undo.callback(self._connection.close)
                self._check()
            except sqlite3.Error as problem:
                raise connect.explain(self._file, problem) from problem
            undo.pop_all()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def list(self, selection: Selection) -> list[Trouble]:
        """Return a page of matching ledger rows, as `Ledger.list`."""
        return self._ask(partial(queries.page, selection=selection))

    def get(self, id: str) -> Trouble | None:  # noqa: A002 - the ledger's own word
        """Return one ledger row, or None."""
        return self._ask(partial(queries.troubles, ids=(id,))).get(id)

    def ids(self, selection: Selection, limit: int) -> Iterator[str]:
        """Yield the ids of all ledger rows that match, in the order in which they were made, read *limit* at a time."""
        if selection.ids:
            yield from (one.id for one in self.list(msgspec.structs.replace(selection, limit=len(selection.ids))))
            return
        seq, top = 0, self._ask(queries.top_seq)
        while found := self._ask(partial(queries.sweep, selection=selection, span=(seq, top), limit=limit)):
            yield from (row_id for _, row_id in found)
            seq = found[-1][0]

    def event(self, position: int) -> Logged | None:
        """Return the event at a position, or None if the log let it go."""
        return self._ask(partial(queries.event, position=position))

    def located(self, message_id: str) -> Sequence[int]:
        """Return the positions of that messageId, as `History.located`."""
        return self._ask(partial(history.located, message_id=message_id))

    def facts(self, position: int) -> Facts:
        """Return all that is known of a position, as `History.facts`."""
        return self._ask(partial(history.facts, position=position))

    def of_user(self, wanted: tuple[str, str], below: int, limit: int) -> tuple[Sequence[Logged], int]:
        """Return a user's events, as `History.of_user`."""
        return self._ask(partial(history.of_user, wanted=wanted, below=below, limit=limit))

    def first(self) -> int:
        """Return the position of the oldest event that the log still has, 0 if there is none."""
        return self._ask(queries.first_position)

    def violations(self, wanted: Wanted) -> tuple[Violated, ...]:
        """Return the newest events that broke a contract and match, as `Violations.list`."""
        return tuple(self._ask(partial(queries.violations, wanted=wanted)))

    def attempts(self, position: int) -> tuple[Attempt, ...]:
        """Return the attempts for a position, the oldest first."""
        return self._ask(partial(queries.attempts, position=position))

    def waiting(self) -> dict[str, Waiting]:
        """Count each sync's retrying rows, as `Ledger.waiting`."""
        return self._ask(queries.waiting)

    def turns(self) -> Sequence[Remains]:
        """Return what waits in the ledger and has a turn, as `Queue.turns`."""
        return self._ask(queries.turns)

    def cursors(self) -> tuple[Cursor, ...]:
        """Return every source's cursor."""
        return tuple(self._ask(queries.cursors))

    def progress(self) -> tuple[Progress, ...]:
        """Return every sync's progress."""
        return tuple(self._ask(queries.progress))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return every count by (scope, name)."""
        return self._ask(queries.counts)

    def fact(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision) of a key, or None, as `Meta.get`."""
        return self._ask(partial(queries.fact, key=key))

    def last(self) -> int:
        """Return the log's last position."""
        return self._ask(queries.last_position)

    def recent(self, source: str, since: float, limit: int) -> Sequence[Logged]:
        """Return the newest events of a source that are not older than *since* (epoch seconds), ascending."""
        return self._ask(partial(queries.recent, source=source, since=since, limit=limit))

    def usage(self) -> Usage:
        """Return how full the store is; whether it refuses events only the engine knows, so ``full`` is ""."""
        return Usage(used=self._ask(queries.used_bytes), free=free_bytes(self._folder))

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _check(self) -> None:
        connect.check_kind(self._connection, self._file)
        if migrations.schema(self._connection) < len(migrations.MIGRATIONS):
            raise StoreError(
                f"{self._file}: an older Headrace wrote this store; start the engine once to bring it up to date"
            )

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._connection)
        except sqlite3.Error as problem:
            raise connect.explain(self._file, problem) from problem
