"""Log and queue over the file, and the whole that has all roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import trio

from engine.errors import StoreFull
from engine.messages import Claim, Logged, Result, State
from engine.store import books
from engine.store.base import Accepted, Caps, Change, Done, Ledger, Meta, Retention, Usage, Violations
from engine.store.due import Due, Hold
from engine.store.erasing import Eraser
from engine.store.history import History
from engine.store.order import Moved, Remains
from engine.store.room import Room
from engine.store.sqlite import codec, queries, trim, writing
from engine.store.sqlite.erasing import SqliteEraser
from engine.store.sqlite.history import SqliteHistory
from engine.store.sqlite.ledger import SqliteLedger, SqliteViolations
from engine.store.sqlite.meta import SqliteMeta
from engine.store.sqlite.opened import Opened
from engine.store.sqlite.readers import Readers
from engine.store.sqlite.rewriting import Rewriter
from engine.store.sqlite.writer import Insert, Writer
from engine.store.watermark import Watermark


class SqliteStore:
    """All roles; made in the trio thread.

    Args:
        opened: the file, with what was in it.
        room: whether events may be accepted.
    """

    caps = Caps(durable=True)

    def __init__(self, opened: Opened, room: Room) -> None:
        self._lock = opened.lock
        self._gaps = opened.gaps
        self._room = room
        self._mark = Watermark(opened.last)
        self._last = opened.last
        self._sources = opened.sources
        self._due = Due()
        self._unwritten = 0  # results that were handed over and are not durable
        for destination, keys, more in opened.due:
            self._due.begin_fill(destination)
            self._due.fill(destination, keys, more=more)
            self._due.end_fill(destination)
        self._filling = trio.Lock()
        self._readers = Readers(opened.file)
        self._writer = Writer(opened.connection, opened.file, room, self._mark, self._committed)
        self.on_due: Callable[[str], None] | None = None
        self.on_moved: Callable[[Moved], None] | None = None
        self.on_commit: Callable[[], None] | None = None
        rewriter = Rewriter(self._readers, self._writer, self._follow)
        self.ledger: Ledger = SqliteLedger(self._readers, rewriter)
        self.meta: Meta = SqliteMeta(self._readers, self._writer, rewriter)
        self.violations: Violations = SqliteViolations(self._readers)
        self.history: History = SqliteHistory(self._readers, self._writer)
        self.eraser: Eraser = SqliteEraser(self._readers, self._writer, self._follow, room, self._gaps)
        self._closing = False

    def _committed(self) -> None:
        if self.on_commit is not None:
            self.on_commit()

    @property
    def last(self) -> int:
        """The highest position given to `append`."""
        return self._last

    @property
    def durable(self) -> int:
        """The highest position that would survive a crash now."""
        return self._mark.position

    def append(self, events: Sequence[Logged], done: Done) -> None:
        """Hand events to the writer."""
        self._writer.check()
        if why := self._room.full():
            raise StoreFull(why)
        books.check_positions(events, self._last)
        rows = [codec.log_values(event, self._source(event.source)) for event in events]
        self._last += len(events)
        self._writer.submit(Insert(head=writing.LOG, rows=rows, last=self._last, done=done))

    def keep(self, results: Sequence[Result], done: Done, *, soon: bool = True) -> None:
        """Hand results to the writer."""
        self._writer.check()

        def kept(error: BaseException | None) -> None:
            self._unwritten -= 1
            done(error)

        self._unwritten += 1
        rows = [codec.result_values(result) for result in results]
        insert = Insert(head=writing.RESULTS, rows=rows, last=self._last, done=kept, patient=not soon)
        self._writer.submit(insert)

    async def read(self, source: str, after: int, upto: int, limit: int) -> list[Logged]:
        """Return events of one source, once *upto* is durable."""
        await self._mark.reach(upto)
        if source not in self._sources:
            await trio.lowlevel.checkpoint()
            return []
        known = (source, self._sources[source])
        return await self._readers.ask(lambda connection: queries.log_page(connection, known, (after, upto), limit))

    async def results(self, positions: Sequence[int]) -> dict[int, Result]:
        """Return stored results."""
        if self._unwritten:
            await self._writer.perform(_nothing)  # behind all that was handed over, patient or not
        return await self._readers.ask(lambda connection: queries.results(connection, positions))

    async def accepted(self, since: float, limit: int) -> list[Accepted]:
        """Return the newest ids."""
        return await self._readers.ask(lambda connection: queries.accepted(connection, since, limit))

    async def trim(self, retention: Retention, now: float, *, weigh: bool = True) -> int:
        """Delete what retention lets go."""
        if weigh:
            await trim.weigh(self._readers, self._writer, self._room, retention, now)
        return await trim.trim(self._readers, self._writer, self._room, retention, now)

    async def claim(self, destination: str, now: float, limit: int) -> list[Claim]:
        """Claim due rows."""
        holds = self._due.take(destination, now, limit)
        kept: list[Claim] = []
        try:
            while len(holds) < limit and self._due.short(destination, now):
                await self._fill(destination)
                holds += self._due.take(destination, now, limit - len(holds))
            kept = await self._claims(holds)
        finally:
            if not kept:
                self._due.give_back(holds)
        return kept

    async def claim_parked(self, turn: tuple[str, str], after: tuple[int, str], now: float, limit: int) -> list[Claim]:
        """Claim rows that wait for their turn."""
        await self._writer.perform(_nothing)  # behind all that was handed over
        while found := await self._readers.ask(partial(queries.parked_ids, turn=turn, above=after, limit=limit)):
            destinations = {trouble_id: destination for _, trouble_id, destination in found}
            holds = self._due.hold(destinations, now)
            kept: list[Claim] = []
            try:
                kept = await self._claims(holds)
            finally:
                if not kept:
                    self._due.give_back(holds)
            if kept:
                return kept
            after = found[-1][:2]
        return []

    async def turns(self) -> list[Remains]:
        """Return what waits and has a turn."""
        return await self._readers.ask(queries.turns)

    def next_due(self, destination: str) -> float | None:
        """Return when the next row is due."""
        return self._due.next_due(destination)

    async def commit(self, change: Change) -> tuple[bool, ...]:
        """Write a change."""
        self._writer.check()
        books.check(change)
        ended = [self._due.end(settle.id, settle.token) for settle in change.settles]
        good = tuple([hold is not None for hold in ended])

        def after(effect: books.Effect | None) -> None:
            if effect is None:
                self._due.restore([hold for hold in ended if hold is not None])
            else:
                self._follow(effect)

        effect = await self._writer.perform(partial(writing.write_change, change=change, good=good), after)
        return effect.held

    def usage(self) -> Usage:
        """Return how full it was at the last look."""
        return self._room.usage

    async def aclose(self) -> None:
        """Write what was handed over, then let go of the file."""
        if self._closing:
            return
        self._closing = True
        await self._readers.aclose()
        await self._writer.aclose()
        self._gaps.close()
        self._lock.release()

    def _source(self, name: str) -> int:
        """Return a source's number; a new one is written before the events that have it."""
        if name not in self._sources:
            number = len(self._sources) + 1
            self._sources[name] = number
            self._writer.submit(Insert(head=writing.SOURCES, rows=[(number, name)], last=self._last, done=_ignore))
        return self._sources[name]

    def _follow(self, effect: books.Effect | None) -> None:
        """Learn what was written to the ledger, in the trio thread."""
        if effect is None:
            return
        for destination in self._due.follow(effect):
            if self.on_due is not None:
                self.on_due(destination)
        if self.on_moved is not None:
            self.on_moved(books.moved(effect))

    async def _fill(self, destination: str) -> None:
        """Read more of the rows that wait for *destination*."""
        async with self._filling:
            above = self._due.begin_fill(destination)
            many = self._due.limit // 2
            try:
                keys = await self._readers.ask(
                    lambda connection: queries.due_keys(connection, destination, above, many)
                )
                self._due.fill(destination, keys, more=len(keys) == many)
            finally:
                self._due.end_fill(destination)

    async def _claims(self, holds: Sequence[Hold]) -> list[Claim]:
        """Return the claimed rows; those that ended since are let go."""
        if not holds:
            await trio.lowlevel.checkpoint()
            return []
        troubles = await self._readers.ask(lambda connection: queries.troubles(connection, [one.id for one in holds]))
        claims: list[Claim] = []
        for hold in holds:
            trouble = troubles.get(hold.id)
            if trouble is not None and trouble.state is State.RETRYING:
                claims.append(Claim(trouble=trouble, token=hold.token))
            else:
                self._due.end(hold.id, hold.token)
        return claims


def _nothing(_connection: object) -> None:
    """Write nothing: a transaction to wait for."""


def _ignore(_error: BaseException | None) -> None:
    """Leave it to the rows behind, which share the fate."""
