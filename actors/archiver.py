"""The archiver: keeps the books, and writes them down every 250 ms or 2,000 outcomes. Never waits for a sender."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
import structlog

from engine.errors import StoreFull
from engine.messages import Report
from engine.runtime.actor import Actor, slots
from engine.runtime.bell import Bell
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.pace import Paces
from engine.runtime.room import Room
from engine.store.base import Change, Queue
from engine.store.pages import Books
from engine.store.watermark import Watermark

TICK = 0.25
"""Seconds between maintenance transactions, at most."""
OUTCOMES = 2000
"""Outcomes after which one is due at once."""
PLACES = 2048
"""Outcomes that may wait to be written; a sender reserves its places before it sends."""

NAP = 0.02
"""Seconds between looks into a busy inbox: nobody waits for a report, and waking for each would cost more than it."""
FULL = 1.0
"""Seconds between tries while the disk is full."""

log = structlog.get_logger()


class Looks(msgspec.Struct, frozen=True, kw_only=True):
    """How far the archiver has come, for who must know.

    Attributes:
        written: how many of the reports that were folded are durable.
        paces: by sync, how fast it gets on.
    """

    written: Watermark
    paces: dict[str, Paces]


class Archiver(Actor[Report]):
    """Folds every report into the books; a second hand writes them, so that folding never waits for the disk.

    Args:
        books: belong to the tree and outlive this actor.
        places: given back when an outcome is durable.
        looks: for who must know how far it has come.
    """

    def __init__(
        self,
        inbox: Inbox[Report],
        books: Books,
        queue: Queue,
        places: Room,
        clock: Clock,
        looks: Looks,
    ) -> None:
        super().__init__(inbox)
        self.clock = clock
        self.books = books
        self.queue = queue
        self.places = places
        self.written, self.paces = looks.written, looks.paces
        self._news = Bell()
        self._bell = Bell()
        self._over = False
        if books.changed:  # in an earlier life
            self._news.ring()

    async def run(self) -> None:
        """Fold and write until the inbox is closed and empty, then write the rest."""
        hands: list[Callable[[], Awaitable[None]]] = [self._fold_all, self._write_all]
        await slots(len(hands), lambda number: hands[number]())

    async def receive(self, message: Report, /) -> None:
        """Fold *message*, and all that waits behind it; then rest, so that more come together."""
        more: Report | None = message
        while more is not None:
            self.books.fold(more)
            more = self.inbox.take_nowait()
        self._news.ring()
        if self.books.outcomes >= OUTCOMES:
            self._bell.ring()
        self.inbox.done()
        if not self.inbox.closed:
            await self.clock.sleep(NAP)

    async def _fold_all(self) -> None:
        await super().run()
        self._over = True
        self._news.ring()
        self._bell.ring()

    async def _write_all(self) -> None:
        while not self._over:
            await self._news.wait()  # an idle engine sleeps
            await self._bell.wait(TICK)
            await self._write()
        await self._write()

    async def _write(self) -> None:
        """Write what changed since the last time; while the disk is full, wait for it."""
        folded = self.books.folded
        if not self.books.changed:
            self.written.advance(folded)
            return
        places = self.books.places
        change = self.books.change()
        while not await self._committed(change):
            await self.clock.sleep(FULL)
        self.places.give(places)
        self._look()
        self.written.advance(folded)

    def _look(self) -> None:
        """Note how far each sync has come, for people who ask how long it will take."""
        now = self.clock.monotonic()
        for name, page in self.books.syncs.items():
            paces = self.paces.setdefault(name, Paces())
            paces.read.note(now, page.high)
            paces.done.note(now, self.books.arrived[name])

    async def _committed(self, change: Change) -> bool:
        try:
            await self.queue.commit(change)
        except StoreFull as error:
            log.warning("store.full", error=str(error), consequence="sending stops when 2,048 outcomes wait")
            return False
        return True
