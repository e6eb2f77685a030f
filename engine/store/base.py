"""The store's roles; each call says what holds after a crash.

Four roles, after the contract that a distributed engine must keep as well: `Log` (what was accepted), `Queue` (what is
tried again), `Ledger` (errors and archive), `Meta` (revisions and small facts). `Store` is all four, opened once by one
process. Calls without ``async`` never reach a checkpoint: they hand work to the writer in the order in which they are
made, and a later call's effect is never durable before an earlier one's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.messages import Attempt, Claim, Logged, Result, Settle, Trouble
from engine.results import WindowState
from engine.store.order import Moved, Remains
from engine.store.selection import Selection as Selection  # noqa: PLC0414 - part of the agreement
from engine.violated import Violated, Wanted

if TYPE_CHECKING:
    from engine.store.erasing import Eraser
    from engine.store.history import History

Done = Callable[[BaseException | None], None]
"""Called once, in the trio thread, when the write is durable (None) or has failed (the error). Must not raise."""

LEASE = 30 * 86400.0
"""Seconds a claim is exclusive. One process owns every claim, and its end releases all.

Far above any `max_age`: what is claimed waits in its sender's lane for as long as the destination is down or paused,
and what is claimed twice is sent twice.
"""

TRIM = 400
"""Rows that one `Log.trim` takes at most of the log, and as many of the ledger.

In SQLite they are 1 ms of its own work, but each statement waits for the interpreter if the process is busy: 5 to 10 ms
for one transaction, in which nothing is acknowledged.
"""


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source's validator has come: every position <= ``position`` has its source-stage fate."""

    source: str
    position: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sync has come, in one row.

    Attributes:
        sync: the sync's name.
        source: a sync is (name, source); the same name on another source is another sync.
        high: every position <= high was read by the router.
        open: (position, key) of deliveries at positions <= high whose fate is not known, ascending.
    """

    sync: str
    source: str
    high: int
    open: tuple[tuple[int, str], ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one maintenance transaction writes: all of it holds after a crash, or none.

    Attributes:
        cursors: absolute.
        progress: absolute.
        troubles: new ledger rows; a row of the same id is replaced.
        settles: ends of claims; one with an old token has no effect.
        counts: (scope, name) to what is added to it; scopes are ``source:NAME`` and ``sync:NAME``.
        attempts: packed into one row per destination.
        windows: absolute; those that are gone are deleted.
        violated: added; one with the position and contract of another, or of an erased event, is left out.
        again: ledger rows that a replay makes: one that waits to be tried again stays as it is, another is replaced,
            and a new one counts as ``created``.
        ended: ids of rows of the source's stages that go, since their event went on.
        results: what replaces stored results.
        facts: Meta keys with their values, whatever was there; the revision grows by one.
    """

    cursors: tuple[Cursor, ...] = ()
    progress: tuple[Progress, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    settles: tuple[Settle, ...] = ()
    counts: Mapping[tuple[str, str], int] = {}
    attempts: tuple[Attempt, ...] = ()
    violated: tuple[Violated, ...] = ()
    windows: tuple[WindowState, ...] = ()
    again: tuple[Trouble, ...] = ()
    ended: tuple[str, ...] = ()
    results: tuple[Result, ...] = ()
    facts: Mapping[str, bytes] = {}


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """What may go, and when: ages in seconds, sizes in bytes; 0 means no limit. ``size`` is without the archive."""

    age: float = 0.0
    size: int = 0
    archive_age: float = 0.0
    archive_size: int = 0


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A sync's retrying rows.

    Attributes:
        count: how many there are.
        since: epoch seconds at which the oldest of their events was received.
    """

    count: int
    since: float


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How full the store is, in bytes.

    Attributes:
        used: pages in use (not the file's length, which does not shrink).
        free: what the disk has left.
        full: why appends are refused, or "".
        pinned: whether they are because what waits for a destination takes more than retention's size.
        over: whether all that is in the log takes more than that.
    """

    used: int
    free: int
    full: str = ""
    pinned: bool = False
    over: bool = False


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log's id column, for the door's memory of what it has seen."""

    position: int
    source: str
    message_id: str
    received_at: float


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the books say, all as of the same moment: read one by one they would not balance while somebody writes.

    Attributes:
        counts: by (scope, name).
        progress: by sync.
        waiting: by sync, of those with retrying rows.
    """

    counts: dict[tuple[str, str], int]
    progress: dict[str, Progress]
    waiting: dict[str, Waiting]


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What an implementation can do; the conformance suite asks before it tests.

    Attributes:
        durable: survives ``kill -9`` and power loss once a write is reported durable.
        retention: can trim by age and size.
    """

    durable: bool
    retention: bool = True


class Log(Protocol):
    """What was accepted, in order; one position over all sources."""

    on_commit: Callable[[], None] | None
    """Called in the trio thread after every `Done` of one commit: what they have in common is done once, here. Must not
    raise."""

    @property
    def last(self) -> int:
        """The highest position given to `append`, durable or not; 0 for an empty log."""

    @property
    def durable(self) -> int:
        """The highest position that would survive a crash now."""

    def append(self, events: Sequence[Logged], done: Done) -> None:
        """Hand *events* to the writer; their positions must follow ``last`` without a gap.

        All or nothing: after a crash either all of one call are there or none. Groups of calls share one commit.

        Raises:
            StoreFull: before anything was handed over or numbered; nothing changed.
            StoreError: the store has failed or is closed. A failed commit is final: the store refuses everything after
                it, so that no position is ever given twice.
            ValueError: the positions do not follow ``last``; nothing changed.
        """

    def keep(self, results: Sequence[Result], done: Done, *, soon: bool = True) -> None:
        """Queue what a user function made of events; the first result for a position is the one that stays.

        Args:
            results: of one source.
            done: as for `append`.
            soon: whether somebody waits for *done*. If not, they are written with the next maintenance transaction, and
                so before or with any cursor that covers them; `results` sees them at once.

        Raises:
            StoreError: the store has failed or is closed.
        """

    async def read(self, source: str, after: int, upto: int, limit: int) -> list[Logged]:
        """Return the first *limit* events of *source* with after < position <= upto, ascending.

        Waits until *upto* is durable, so a reader never sees less than a live batch would have shown it. Fewer than
        *limit* means there are no more.

        Raises:
            StoreError: the store failed or was closed before *upto* was durable.
        """

    async def results(self, positions: Sequence[int]) -> dict[int, Result]:
        """Return the results of those positions that have one, of all that were kept before this call."""

    async def accepted(self, since: float, limit: int) -> list[Accepted]:
        """Return the newest *limit* accepted events not older than *since* (epoch seconds), ascending."""

    async def trim(self, retention: Retention, now: float, *, weigh: bool = True) -> int:
        """Delete at most `TRIM` log rows, and as many ledger rows, that *retention* lets go; return how many.

        Oldest first. Never takes a log row above its source's cursor or the progress of a sync on that source, in an
        open set, or named by a ledger row that waits to be retried; nor the newest row, which keeps the position. A
        source without a cursor holds all its rows; what is gone holds nothing back once its syncs are forgotten and its
        cursor was set to ``last``. Stored results and attempts go with their log rows. Ledger rows go by the archive's
        age (since their last trouble) and size, never while they wait to be retried.

        Args:
            retention: what may go.
            now: epoch seconds.
            weigh: count anew what the archive takes, and let go what broke contracts; False: as of the last time. It
                takes longer the more there is, and is enough once for many steps.
        """


class Queue(Protocol):
    """What is tried again: claims on ledger rows, and the maintenance transaction that settles them."""

    on_due: Callable[[str], None] | None
    """Called in the trio thread with a destination whose `next_due` may have become earlier. Must not raise."""
    on_moved: Callable[[Moved], None] | None
    """Called in the trio thread when rows were written that were or are retrying. Must not raise."""

    async def claim(self, destination: str, now: float, limit: int) -> list[Claim]:
        """Return at most *limit* retrying rows due at or before *now* (epoch seconds), the longest due first.

        A claimed row is not claimed again before it is settled, released, or its lease has ended (`LEASE` after *now*);
        claims are in memory, and a crash releases all. Reads what is committed, never waits for the writer. Cancelled,
        it claims nothing.
        """

    async def claim_parked(self, turn: tuple[str, str], after: tuple[int, str], now: float, limit: int) -> list[Claim]:
        """Return at most *limit* parked rows of one (sync, turn) above (position, id), ascending; [] if there is none.

        As `claim`, but sees all that was handed over before the call.
        """

    async def turns(self) -> list[Remains]:
        """Return what waits in the ledger and has a turn, those that are tried again first."""

    def next_due(self, destination: str) -> float | None:
        """Return epoch seconds before which `claim` would return nothing, or None if no row waits; costs microseconds.

        A claimed row counts from the end of its lease.
        """

    async def commit(self, change: Change) -> tuple[bool, ...]:
        """Write *change* in one transaction; return for each settle whether its claim still held.

        Counts of the sync follow by themselves for what changes a ledger row: ``archived`` grows when a row becomes
        archived and shrinks when it is retried; ``delivered`` grows when a claim is done; ``discarded`` likewise.
        Rows of the source's stages (sync "") are not counted. Each of ``troubles`` is a delivery's first row: an
        entry of its id, of a sync that was removed and came back, counts as discarded. A row that leaves retrying
        without an event of its own gets a copy of the log's.

        The writer has the change when the call first waits: cancelled after that, it is written all the same.

        Raises:
            StoreFull: not even the reserve is left; nothing changed, may be tried again.
            StoreError: the store has failed or is closed; what was not reported written may or may not be.
            ValueError: a settle to retry or archive has no fitting trouble; nothing changed.
        """


class Ledger(Protocol):
    """Errors and archive, listed and changed by a person."""

    async def list(self, selection: Selection) -> list[Trouble]:
        """Return the rows that match, the newest trouble first, payloads and replies included.

        Raises:
            StoreError: the row named by ``after`` is gone, so nobody knows where the next page begins.
        """

    async def get(self, id: str) -> Trouble | None:  # noqa: A002 - the ledger's own word
        """Return one row, or None."""

    async def waiting(self) -> dict[str, Waiting]:
        """Return for each sync with retrying rows how many they are, and since when the oldest waits.

        Counted, not kept: with the open deliveries it is what the books' ``pending`` must be.
        """

    async def retry(self, selection: Selection, now: float, known: Collection[str] | None = None) -> int:
        """Make archived rows that have a payload due at once, with attempts at 0 and the same id; return how many.

        Only those for one of the destinations in *known*, if it is given: another would never be sent.

        Their first trouble is *now* again, so that the whole retry schedule applies. A row that is retrying becomes due
        at once; its attempts stay. Big selections take several transactions: after a crash a part may be done.
        """

    async def discard(self, selection: Selection, now: float) -> int:
        """End retrying and archived rows for good; return how many. In several transactions, as `retry`.

        A delivery in flight cannot be called back, but its settlement has no effect.
        """

    async def attempts(self, position: int) -> tuple[Attempt, ...]:
        """Return every stored attempt that had a delivery of that position in it, the oldest first."""


class Violations(Protocol):
    """Events that broke a contract: samples; the counts are in `Meta.counts`, by scope ``contract:NAME``."""

    async def list(self, wanted: Wanted) -> list[Violated]:
        """Return the entries that match, the newest first. `Log.trim` lets them go by the archive's age."""


class Meta(Protocol):
    """Small facts, each with a revision that a writer must name (compare and swap)."""

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision), or None."""

    async def put(self, key: str, value: bytes, revision: int) -> bool:
        """Write if the key's revision is *revision* (0: it must not exist); return whether it was."""

    async def cursors(self) -> list[Cursor]:
        """Return every source's cursor."""

    async def progress(self) -> list[Progress]:
        """Return every sync's progress."""

    async def windows(self) -> list[WindowState]:
        """Return every window's states, as of the cursors."""

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return every count by (scope, name)."""

    async def snapshot(self) -> Snapshot:
        """Return counts, progress and what waits, as one transaction left them."""

    async def forget(self, progress: Sequence[Progress], reason: str, now: float) -> int:
        """Delete the progress of syncs that are gone and archive their retrying rows; return how many rows.

        Of each Progress only ``sync`` and ``source`` matter. What was open in it is counted as discarded: those
        deliveries have no row to archive. The progress goes last, so that after a crash it can be done again.
        """

    async def readdress(self, sync: str, source: str, destination: str) -> int:
        """Let every ledger row of a sync be for *destination* from now on; return how many were for another one.

        Nobody has claimed them: no tree runs yet. After a crash a part may be done, and it can be done again.
        """

    async def rename(self, sync: str, source: str, name: str) -> None:
        """Let a sync be called *name*: its progress, its counts, and every ledger row with the key it has.

        Nobody may have a delivery of it in hand. The progress goes last, with the counts: after a crash in the middle
        it can be done again.
        """


class Store(Log, Queue, Protocol):
    """All roles, owned by one process."""

    caps: Caps
    ledger: Ledger
    meta: Meta
    violations: Violations
    history: History
    eraser: Eraser

    def usage(self) -> Usage:
        """Return how full the store was when it last looked: at open, after each `commit`, each ~1,000 log rows."""

    async def aclose(self) -> None:
        """Write what was handed over, then let go of the file; a second call does nothing."""
