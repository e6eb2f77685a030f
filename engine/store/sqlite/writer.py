"""The one thread that writes: first in, first out, what waits together in one commit."""

from __future__ import annotations

import contextlib
import pathlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio

from engine.errors import StoreError, StoreFull
from engine.store.base import Done
from engine.store.room import Room
from engine.store.sqlite import connect, queries, writing
from engine.store.watermark import Watermark

T = TypeVar("T")

LOOK = 1000
"""Rows after which the room is looked at again."""


INSERTS = (writing.SOURCES, writing.LOG, writing.RESULTS)
"""What is inserted, in the order in which one commit does it."""

ROWS = 256
"""Rows in one commit of inserts, at most."""


LINGER = 0.002
"""Seconds that an insert waits for others under load.

About what an event takes from here to its request: a commit that runs beside it takes the GIL from it several times. At
1,000 events a second this saved a fifth of the CPU, and half of the latency, of every event.
"""
RECENT = 0.01
"""Seconds after a commit in which the next insert counts as load: a quiet engine commits at once."""
ENOUGH = 64
"""Calls that wait already; with so many, there is no need to wait for more."""


class Insert(msgspec.Struct, kw_only=True):
    """Rows that cannot fail alone; others that wait beside them share their commit.

    Attributes:
        head: one of `INSERTS`.
        last: the log's last position when it was handed over.
        patient: whether it may wait for the next `Work`, since nobody waits for it.
    """

    head: str
    rows: Sequence[tuple[object, ...]]
    last: int
    done: Done
    patient: bool = False


class Work(msgspec.Struct, kw_only=True):
    """A transaction of its own.

    Attributes:
        run: does the statements.
        done: called in the trio thread with what `run` returned, or with the error.
    """

    run: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, Exception | None], None]


class Writer:
    """Owns the connection that writes; its methods are called in the trio thread.

    Args:
        connection: nobody else uses it from now on.
        file: for error texts.
        room: looked at after every transaction.
        mark: advanced when log rows are durable.
        committed: called in the trio thread after every `Done` of one commit.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        file: pathlib.Path,
        room: Room,
        mark: Watermark,
        committed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._file = file
        self._room = room
        self._mark = mark
        self._committed = committed
        self._token = trio.lowlevel.current_trio_token()
        self._inbox: queue.SimpleQueue[Insert | Work | None] = queue.SimpleQueue()
        self._put_off: list[Insert | Work | None] = []
        self._patient: list[Insert] = []
        self._failure: StoreError | None = None
        self._closed = False
        self._rows = 0
        self._ended = 0.0
        # A daemon, so that a process whose trio loop was torn down ends; every commit is whole without it.
        self._thread = threading.Thread(target=self._run, name="store writer", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Check that something can be handed over.

        Raises:
            StoreError: the store has failed or is closed.
        """
        if self._closed:
            raise StoreError(f"{self._file}: the store is closed")
        if self._failure is not None:
            raise StoreError(str(self._failure))

    def submit(self, item: Insert | Work) -> None:
        """Hand over something to write, behind all that was handed over before."""
        self._inbox.put(item)

    async def perform(
        self, run: Callable[[sqlite3.Connection], T], after: Callable[[T | None], None] = lambda _: None
    ) -> T:
        """Write a transaction and wait for it.

        Args:
            run: does the statements in the writer's thread.
            after: called in the trio thread with what *run* returned, or None if nothing was written; it is called also
                if the caller was cancelled and nobody waits.

        Raises:
            StoreFull: not even the reserve is left; nothing was written.
            StoreError: the store has failed or is closed.
        """
        self.check()
        ready = trio.Event()
        outcome: list[tuple[Any, Exception | None]] = []

        def done(result: Any, error: Exception | None) -> None:
            outcome.append((result, error))
            after(result)
            ready.set()

        self.submit(Work(run=run, done=done))
        await ready.wait()
        result, error = outcome[0]
        if error is not None:
            raise error
        written: T = result
        return written

    async def aclose(self) -> None:
        """Write what was handed over, then close the file; a second call waits for the first."""
        if not self._closed:
            self._closed = True
            self._inbox.put(None)
        with trio.CancelScope(shield=True):  # as long as the writes that wait take, and no longer
            await trio.to_thread.run_sync(self._thread.join)
        self._mark.fail(StoreError(f"{self._file}: the store is closed"))

    def _run(self) -> None:
        while (item := self._put_off.pop() if self._put_off else self._inbox.get()) is not None:
            if isinstance(item, Work):
                self._work(item)
            elif item.patient:
                self._wait(item)
            else:
                self._linger()
                self._insert(self._gather(item))
                self._ended = time.monotonic()
            if self._failure is not None:
                self._insert(self._patient)  # it only tells them
        self._insert(self._patient)
        try:
            if self._failure is None:
                with contextlib.suppress(sqlite3.OperationalError):  # no room: the next start reads it from the WAL
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()

    def _linger(self) -> None:
        """Let more come together if the last commit has only just ended: under load, that is."""
        if time.monotonic() - self._ended < RECENT and self._inbox.qsize() < ENOUGH:
            time.sleep(LINGER)

    def _wait(self, item: Insert) -> None:
        """Let *item* wait for the next transaction; not beyond one commit's worth of rows."""
        self._patient.append(item)
        if sum(len(one.rows) for one in self._patient) >= ROWS:
            self._insert(self._patient)

    def _gather(self, first: Insert) -> list[Insert]:
        """Return *first* and what waits behind it and may share its commit."""
        group = [first]
        rows = len(first.rows)
        while rows < ROWS:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, Insert) and item.patient:
                self._patient.append(item)
                continue
            if not isinstance(item, Insert) or rows + len(item.rows) > ROWS:
                self._put_off.append(item)
                break
            group.append(item)
            rows += len(item.rows)
        return group

    def _insert(self, group: Sequence[Insert]) -> None:
        if group is self._patient:
            self._patient = []
        if not group:
            return
        error = self._failure
        if error is None:
            try:
                self._write(group)
            except Exception as problem:  # noqa: BLE001 - whatever it was, these rows may not be durable
                error = self._fail(problem)
        self._tell(self._inserted, group, error)

    def _write(self, group: Sequence[Insert]) -> None:
        parts = _parts(group)
        if len(parts) > 1:
            self._connection.execute("BEGIN IMMEDIATE")
        for head, part in parts:
            writing.put(self._connection, head, part)
        if len(parts) > 1:
            self._connection.execute("COMMIT")
        self._rows += sum(len(part) for _, part in parts)
        if self._rows >= LOOK:
            self._look()

    def _inserted(self, group: Sequence[Insert], error: StoreError | None) -> None:
        """Tell a whole group; in the trio thread."""
        if error is not None:
            self._mark.fail(error)
        for item in group:
            if error is None and item.head == writing.LOG:
                self._mark.advance(item.last)
            item.done(error)
        self._committed()

    def _work(self, work: Work) -> None:
        result: Any = None
        error: Exception | None = self._failure
        if error is None:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for head, part in _parts(self._patient):
                    writing.put(self._connection, head, part)
                result = work.run(self._connection)
                self._connection.execute("COMMIT")
                self._tell(self._inserted, self._patient, None)
                self._patient = []
                self._look()
            except Exception as problem:  # noqa: BLE001 - it is told to the one who waits for it
                result, error = None, self._undo(problem)
        self._tell(work.done, result, error)

    def _undo(self, problem: Exception) -> Exception:
        """Roll back; return what to tell the caller. Only trouble with the file itself is final."""
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as worse:
                return self._fail(worse)
        if not isinstance(problem, sqlite3.Error) or isinstance(
            problem, sqlite3.IntegrityError | sqlite3.ProgrammingError
        ):
            return problem
        told = connect.explain(self._file, problem)
        return told if isinstance(told, StoreFull) else self._fail(problem)

    def _fail(self, problem: Exception) -> StoreError:
        """Refuse everything from now on: what was not reported durable may or may not be."""
        told = connect.explain(self._file, problem) if isinstance(problem, sqlite3.Error) else StoreError(repr(problem))
        self._failure = StoreError(str(told))
        return StoreError(str(told))

    def _look(self) -> None:
        self._rows = 0
        self._room.look(queries.used_bytes(self._connection))

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._token.run_sync_soon(call, *args)
        except trio.RunFinishedError:
            return  # nobody is left to hear it


def _parts(group: Sequence[Insert]) -> list[tuple[str, writing.Rows]]:
    """Return (head, rows) of the statements that write *group*."""
    return [
        (head, part)
        for head in INSERTS
        for part in writing.parts([row for item in group if item.head == head for row in item.rows])
    ]
