"""Connections that read beside the writer, in threads."""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import trio

from engine.errors import StoreError
from engine.store.sqlite import connect

T = TypeVar("T")

READERS = 4
"""Reads at the same time; a person's search in a big ledger must not hold up the routers."""


class Readers:
    """Lends a connection to each read.

    Args:
        file: the database; must exist.
    """

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._limiter = trio.CapacityLimiter(READERS)
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """Return *question*'s answer, which may be as old as the call.

        Raises:
            StoreError: the file cannot be read, or the store is closed.
        """
        if self._closed:
            raise StoreError(f"{self._file}: the store is closed")
        return await trio.to_thread.run_sync(self._answer, question, limiter=self._limiter)

    async def aclose(self) -> None:
        """Close every connection once its read is over; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with trio.CancelScope(shield=True):
            for _ in range(READERS):
                await self._limiter.acquire_on_behalf_of(object())
        while self._idle:
            self._idle.pop().close()

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._idle.pop() if self._idle else connect.connect(self._file, "ro")
            try:
                return question(connection)
            finally:
                self._idle.append(connection)
        except sqlite3.Error as problem:
            raise connect.explain(self._file, problem) from problem
