"""A store that forgets: for tests, demonstrations, and engines whose clients send again."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence

import trio

from engine.errors import StoreError, StoreFull
from engine.messages import Attempt, Claim, Logged, Result, State, Trouble
from engine.results import WindowState
from engine.store import books
from engine.store.base import (
    TRIM,
    Accepted,
    Caps,
    Change,
    Cursor,
    Done,
    Ledger,
    Meta,
    Progress,
    Retention,
    Selection,
    Snapshot,
    Usage,
    Violations,
    Waiting,
)
from engine.store.contents import Contents
from engine.store.erasing import Eraser
from engine.store.forgetting import MemoryEraser
from engine.store.history import History
from engine.store.order import Moved, Remains
from engine.store.past import MemoryHistory
from engine.store.pins import old_ones, pins
from engine.store.room import Room
from engine.store.samples import MemoryViolations
from engine.store.watermark import Watermark, told


class MemoryLedger:
    """The ledger role."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def attempts(self, position: int) -> tuple[Attempt, ...]:
        """Return the attempts for a position."""
        await trio.lowlevel.checkpoint()
        found = [attempt for attempt in self._contents.attempts if position in attempt.positions]
        return tuple(sorted(found, key=lambda attempt: attempt.at))

    async def waiting(self) -> dict[str, Waiting]:
        """Count each sync's retrying rows."""
        await trio.lowlevel.checkpoint()
        return self._contents.waiting()

    async def retry(self, selection: Selection, now: float, known: Collection[str] | None = None) -> int:
        """Make matching rows due."""
        self._contents.open()
        many = self._contents.rewrite(selection, lambda trouble: books.retried(trouble, now, known))
        await trio.lowlevel.checkpoint()
        return many

    async def discard(self, selection: Selection, now: float) -> int:
        """End matching rows."""
        self._contents.open()
        many = self._contents.rewrite(selection, lambda trouble: books.discarded(trouble, now))
        await trio.lowlevel.checkpoint()
        return many

    async def get(self, id: str) -> Trouble | None:  # noqa: A002 - the ledger's own word
        """Return one row."""
        await trio.lowlevel.checkpoint()
        return self._contents.troubles.get(id)

    async def list(self, selection: Selection) -> list[Trouble]:
        """Return a page of matching rows."""
        await trio.lowlevel.checkpoint()
        found = [trouble for trouble in self._contents.troubles.values() if books.matches(selection, trouble)]
        found.sort(key=_place, reverse=True)
        if selection.after:
            last = self._contents.troubles.get(selection.after)
            if last is None:
                raise books.page_lost(selection)
            found = [trouble for trouble in found if _place(trouble) < _place(last)]
        return found[: selection.limit]


class MemoryMeta:
    """The meta role."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision)."""
        await trio.lowlevel.checkpoint()
        return self._contents.facts.get(key)

    async def put(self, key: str, value: bytes, revision: int) -> bool:
        """Compare and swap."""
        self._contents.open()
        _, current = self._contents.facts.get(key, (b"", 0))
        if current == revision:
            self._contents.facts[key] = (value, revision + 1)
        await trio.lowlevel.checkpoint()
        return current == revision

    async def cursors(self) -> list[Cursor]:
        """Return every cursor."""
        await trio.lowlevel.checkpoint()
        return sorted(self._contents.cursors.values(), key=lambda cursor: cursor.source)

    async def progress(self) -> list[Progress]:
        """Return every progress."""
        await trio.lowlevel.checkpoint()
        return [self._contents.progress[key] for key in sorted(self._contents.progress)]

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return every count."""
        await trio.lowlevel.checkpoint()
        return dict(self._contents.counts)

    async def windows(self) -> list[WindowState]:
        """Return every window's states."""
        await trio.lowlevel.checkpoint()
        return list(self._contents.windows.values())

    async def snapshot(self) -> Snapshot:
        """Return the books as of one moment."""
        await trio.lowlevel.checkpoint()
        contents = self._contents
        pages = {page.sync: page for page in contents.progress.values()}
        return Snapshot(counts=dict(contents.counts), progress=pages, waiting=contents.waiting())

    async def readdress(self, sync: str, source: str, destination: str) -> int:
        """Let rows be for another destination."""
        self._contents.open()
        selection = Selection(sync=sync, source=source)
        many = self._contents.rewrite(selection, lambda trouble: books.readdressed(trouble, destination))
        await trio.lowlevel.checkpoint()
        return many

    async def forget(self, progress: Sequence[Progress], reason: str, now: float) -> int:
        """Archive what waits for these syncs and delete their progress."""
        self._contents.open()
        many = 0
        for gone in progress:
            selection = Selection(sync=gone.sync, source=gone.source)
            many += self._contents.rewrite(selection, lambda trouble: books.orphaned(trouble, reason, now))
            stored = self._contents.progress.pop((gone.sync, gone.source), None)
            self._contents.write(books.abandoned(stored))
        await trio.lowlevel.checkpoint()
        return many

    async def rename(self, sync: str, source: str, name: str) -> None:
        """Let a sync be called *name*."""
        self._contents.open()
        self._contents.rename(sync, source, name)
        await trio.lowlevel.checkpoint()


class MemoryStore:
    """All roles in the memory of one process.

    "Durable" here means only that the call has had its turn: a write is reported at the trio loop's next turn, as a
    store with a file reports it later, so that nobody comes to rely on a call made from inside `append`.
    """

    caps = Caps(durable=False)

    def __init__(self, room: Room) -> None:
        self._contents = Contents()
        self._room = room
        self._mark = Watermark(0)
        self._last = 0
        self._token = trio.lowlevel.current_trio_token()
        self.on_commit: Callable[[], None] | None = None
        self.ledger: Ledger = MemoryLedger(self._contents)
        self.meta: Meta = MemoryMeta(self._contents)
        self._violated = MemoryViolations()
        self.violations: Violations = self._violated
        self.history: History = MemoryHistory(self._contents)
        self.eraser: Eraser = MemoryEraser(self._contents, self._violated)
        room.look(0)

    @property
    def on_due(self) -> Callable[[str], None] | None:
        """Called with a destination whose next row may be due earlier."""
        return self._contents.on_due

    @on_due.setter
    def on_due(self, hook: Callable[[str], None] | None) -> None:
        self._contents.on_due = hook

    @property
    def on_moved(self) -> Callable[[Moved], None] | None:
        """Called with what was written that the order of deliveries depends on."""
        return self._contents.on_moved

    @on_moved.setter
    def on_moved(self, hook: Callable[[Moved], None] | None) -> None:
        self._contents.on_moved = hook

    @property
    def last(self) -> int:
        """The highest position given to `append`."""
        return self._last

    @property
    def durable(self) -> int:
        """The highest position reported durable."""
        return self._mark.position

    def append(self, events: Sequence[Logged], done: Done) -> None:
        """Take events."""
        self._contents.open()
        if why := self._room.full():
            raise StoreFull(why)
        books.check_positions(events, self._last)
        for event in events:
            self._contents.events[event.position] = event
            self._contents.positions.setdefault(event.source, []).append(event.position)
            self._contents.used += len(event.raw)
        self._last += len(events)
        self._room.look(self._contents.used)
        self._token.run_sync_soon(self._written, self._last, done)

    def keep(self, results: Sequence[Result], done: Done, *, soon: bool = True) -> None:  # noqa: ARG002 - all is soon
        """Take results."""
        self._contents.open()
        for result in results:
            self._contents.results.setdefault(result.position, result)
        self._token.run_sync_soon(self._written, self._last, done)

    async def read(self, source: str, after: int, upto: int, limit: int) -> list[Logged]:
        """Return events of one source."""
        await trio.lowlevel.checkpoint()
        await self._mark.reach(upto)
        positions = self._contents.positions.get(source, [])
        found = itertools.islice(positions, bisect.bisect_right(positions, after), bisect.bisect_right(positions, upto))
        events = (self._contents.events.get(position) for position in found)
        return list(itertools.islice((event for event in events if event is not None), limit))

    async def results(self, positions: Sequence[int]) -> dict[int, Result]:
        """Return stored results."""
        await trio.lowlevel.checkpoint()
        kept = self._contents.results
        return {position: kept[position] for position in positions if position in kept}

    async def accepted(self, since: float, limit: int) -> list[Accepted]:
        """Return the newest ids."""
        await trio.lowlevel.checkpoint()
        newest = (event for event in reversed(self._contents.events.values()) if event.envelope.received_at >= since)
        found = [
            Accepted(
                position=event.position,
                source=event.source,
                message_id=event.envelope.message_id,
                received_at=event.envelope.received_at,
            )
            for event in itertools.islice(newest, limit)
        ]
        return found[::-1]

    async def trim(self, retention: Retention, now: float, *, weigh: bool = True) -> int:
        """Delete what retention lets go."""
        self._contents.open()
        if weigh:
            self._room.archived = self._contents.archived()
            self._violated.trim(now - retention.archive_age if retention.archive_age else 0.0)
        gone = self._trim_log(retention, now)
        self._room.look(self._contents.used)
        self._room.trimmed(retention, gone)
        gone += self._trim_ledger(retention, now)
        self._room.look(self._contents.used)
        await trio.lowlevel.checkpoint()
        return gone

    async def claim(self, destination: str, now: float, limit: int) -> list[Claim]:
        """Claim due rows."""
        await trio.lowlevel.checkpoint()
        self._contents.open()
        holds = self._contents.due.take(destination, now, limit)
        return [Claim(trouble=self._contents.troubles[hold.id], token=hold.token) for hold in holds]

    async def claim_parked(self, turn: tuple[str, str], after: tuple[int, str], now: float, limit: int) -> list[Claim]:
        """Claim rows that wait for their turn."""
        await trio.lowlevel.checkpoint()
        self._contents.open()
        found = {trouble.id: trouble.destination for trouble in self._contents.parked(turn, after)}
        holds = self._contents.due.hold(found, now)
        self._contents.due.give_back(holds[limit:])
        return [Claim(trouble=self._contents.troubles[hold.id], token=hold.token) for hold in holds[:limit]]

    async def turns(self) -> list[Remains]:
        """Return what waits and has a turn."""
        await trio.lowlevel.checkpoint()
        return self._contents.turns()

    def next_due(self, destination: str) -> float | None:
        """Return when the next row is due."""
        return self._contents.due.next_due(destination)

    async def commit(self, change: Change) -> tuple[bool, ...]:
        """Write a change."""
        contents, known = self._contents, self._contents.troubles
        contents.open()
        books.check(change)
        good = tuple([contents.due.end(settle.id, settle.token) is not None for settle in change.settles])
        before = {row_id: books.standing(known[row_id]) for row_id in books.concerned(change) if row_id in known}
        buried = contents.buried((*change.troubles, *change.violated))
        effect = books.decide(change, good, before, buried)
        contents.cursors.update((cursor.source, cursor) for cursor in change.cursors)
        contents.progress.update(((progress.sync, progress.source), progress) for progress in change.progress)
        contents.attempts.extend(change.attempts)
        self._violated.add([one for one in change.violated if one.position not in buried])
        contents.windows.update(((one.window, one.key, one.start), one) for one in change.windows)
        contents.windows = {key: one for key, one in contents.windows.items() if not one.gone}
        contents.results.update((result.position, result) for result in change.results)
        contents.facts.update((key, (value, contents.revision(key) + 1)) for key, value in change.facts.items())
        contents.write(effect)
        self._room.look(contents.used)
        await told(self._token)
        return effect.held

    def usage(self) -> Usage:
        """Return how full it is."""
        return self._room.usage

    async def aclose(self) -> None:
        """Refuse everything from now on."""
        self._contents.closed = True
        self._mark.fail(StoreError("the store is closed"))
        await trio.lowlevel.checkpoint()

    def _written(self, position: int, done: Done) -> None:
        self._mark.advance(position)
        done(None)
        if self.on_commit is not None:
            self.on_commit()

    def _trim_log(self, retention: Retention, now: float) -> int:
        before = now - retention.age if retention.age else float("-inf")
        gone = list(itertools.islice(old_ones(self._unpinned(), before), TRIM))
        self._drop(gone)
        for position, _, _ in list(itertools.islice(self._unpinned(), TRIM - len(gone))):
            if not 0 < retention.size < self._contents.used - self._room.archived:
                break
            self._drop([position])
            gone.append(position)
        return len(gone)

    def _unpinned(self) -> Iterator[tuple[int, str, float]]:
        """Yield (position, source, received_at) of the events that nobody needs, the oldest first."""
        contents = self._contents
        needed = pins(contents.cursors.values(), contents.progress.values())
        waiting = {trouble.position for trouble in contents.troubles.values() if trouble.state is State.RETRYING}
        waiting |= needed.open
        waiting.add(self._last)
        for event in contents.events.values():
            if event.position <= needed.floors.get(event.source, 0) and event.position not in waiting:
                yield event.position, event.source, event.envelope.received_at

    def _drop(self, positions: Sequence[int]) -> None:
        contents = self._contents
        for position in positions:
            event = contents.events.pop(position)
            contents.used -= len(event.raw)
            contents.results.pop(position, None)
        for known in contents.positions.values():
            known[:] = itertools.dropwhile(lambda position: position not in contents.events, known)
        first = next(iter(contents.events), 0)
        contents.attempts[:] = [attempt for attempt in contents.attempts if max(attempt.positions, default=0) >= first]

    def _trim_ledger(self, retention: Retention, now: float) -> int:
        contents = self._contents
        kept = [trouble for trouble in contents.troubles.values() if trouble.state is not State.RETRYING]
        kept.sort(key=_place)
        size = sum(map(books.weight, kept))
        before = now - retention.archive_age if retention.archive_age else float("-inf")
        gone: list[str] = []
        for trouble in kept[:TRIM]:
            if trouble.last_at >= before and not 0 < retention.archive_size < size:
                break
            size -= books.weight(trouble)
            gone.append(trouble.id)
        for trouble_id in gone:
            contents.drop(trouble_id)
        return len(gone)


def _place(trouble: Trouble) -> tuple[float, str]:
    """Return what rows are listed by, backwards."""
    return trouble.last_at, trouble.id
