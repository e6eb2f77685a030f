"""Changes of many ledger rows at once, in transactions short enough for the events between them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from engine.messages import Trouble
from engine.store import books
from engine.store.base import Selection
from engine.store.books import Effect
from engine.store.sqlite import queries, writing
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.writer import Writer

CHUNK = 100
"""Rows in one transaction: about 5 ms, so that no acknowledgement waits long behind it."""

Rule = Callable[[Trouble], Trouble | None]
"""Returns the row as it shall be, or None to leave it."""


class Rewriter:
    """Finds rows beside the writer, and changes those that still match when their turn comes.

    Args:
        readers: where to look.
        writer: where to write.
        follow: told in the trio thread what was written.
    """

    def __init__(self, readers: Readers, writer: Writer, follow: Callable[[Effect | None], None]) -> None:
        self._readers = readers
        self._writer = writer
        self._follow = follow

    async def rewrite(self, selection: Selection, rule: Rule) -> int:
        """Apply *rule* to every row that matches; return how many were changed."""
        self._writer.check()
        many = 0
        if selection.ids:
            ids = iter(dict.fromkeys(selection.ids))
            while some := list(itertools.islice(ids, CHUNK)):
                many += await self._change(some, selection, rule)
            return many
        seq, top = 0, await self._readers.ask(queries.top_seq)
        while found := await self._readers.ask(
            lambda connection: queries.sweep(connection, selection, (seq, top), CHUNK)  # noqa: B023 - asked at once
        ):
            many += await self._change([row_id for _, row_id in found], selection, rule)
            seq = found[-1][0]
        return many

    async def write(self, decide: Callable[[sqlite3.Connection], Effect]) -> Effect:
        """Write what *decide* returns, in the transaction in which it looks."""

        def run(connection: sqlite3.Connection) -> Effect:
            effect = decide(connection)
            writing.write_effect(connection, effect)
            return effect

        return await self._writer.perform(run, self._follow)

    async def _change(self, ids: Sequence[str], selection: Selection, rule: Rule) -> int:
        def decide(connection: sqlite3.Connection) -> Effect:
            found: Iterable[Trouble] = queries.troubles(connection, ids).values()
            return books.rewritten((trouble for trouble in found if books.matches(selection, trouble)), rule)

        return len((await self.write(decide)).after)
