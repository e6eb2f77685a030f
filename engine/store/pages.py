"""The books: what every actor reports, folded into what one maintenance transaction writes. Pure.

Each count is written in the same transaction as the progress that it belongs to, so that after a crash the sums hold:
sync: passed = filtered + matched; delivery: created = delivered + archived + discarded + erased + pending.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from engine.messages import Attempt, Judged, Report, Routed, Settle, Settled, Trouble
from engine.results import WindowState
from engine.store.base import Change, Cursor, Progress
from engine.violated import Violated


class Page:
    """One sync's page: how far it was read, and what is open.

    Attributes:
        open: (position, key) of deliveries whose fate is not known.
    """

    __slots__ = ("changed", "high", "open", "source")

    def __init__(self, progress: Progress) -> None:
        self.source = progress.source
        self.high = progress.high
        self.open: set[tuple[int, str]] = set(progress.open)
        self.changed = False


class Books:
    """What was reported since the last `change`, and the pages it belongs to.

    Attributes:
        folded: how many reports were taken in.
        arrived: sync to deliveries that arrived, since start, as of the last `change`.
        responses: (destination, status) to requests that ended so, since start.
        troubled: (sync, state, reason) to ledger rows written so, since start.

    Args:
        cursors: as read at start.
        progress: as read at start, one for each sync of the plan.
    """

    def __init__(self, cursors: Iterable[Cursor], progress: Iterable[Progress]) -> None:
        self.cursors = {cursor.source: cursor.position for cursor in cursors}
        self.syncs = {page.sync: Page(page) for page in progress}
        self.outcomes = 0
        self.places = 0
        self.folded = 0
        self.arrived: Counter[str] = Counter()
        self.responses: Counter[tuple[str, int]] = Counter()
        self.troubled: Counter[tuple[str, str, str]] = Counter()
        self._moved: set[str] = set()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._troubles: dict[str, Trouble] = {}
        self._settles: list[Settle] = []
        self._attempts: list[Attempt] = []
        self._violated: list[Violated] = []
        self._windows: dict[tuple[str, str, float], WindowState] = {}

    def fold(self, message: Report) -> None:
        """Take one report in; a router's or validator's word on what was reported before changes nothing.

        What is said of a sync that has no page any more changes nothing, either: its deliveries were given their fate.
        """
        self.folded += 1
        if not isinstance(message, Settled):  # whose places are not all for outcomes
            self.outcomes += message.places
        self.places += message.places
        if isinstance(message, Settled):
            self._settled(message)
        elif isinstance(message, Routed):
            self._routed(message)
        elif isinstance(message, Judged):
            self._judged(message)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self._moved
            or self._counts
            or self._troubles
            or self._settles
            or self._attempts
            or self.places
            or any(page.changed for page in self.syncs.values())
        )

    def change(self) -> Change:
        """Return all that was reported since the last call, and begin anew."""
        for name in self.syncs:
            self.arrived[name] += self._counts.get((f"sync:{name}", "delivered"), 0)
        made = Change(
            cursors=tuple(Cursor(source=name, position=self.cursors[name]) for name in sorted(self._moved)),
            progress=tuple(self.progress(name) for name, page in self.syncs.items() if page.changed),
            troubles=tuple(self._troubles.values()),
            settles=tuple(self._settles),
            counts=dict(self._counts),
            attempts=tuple(self._attempts),
            violated=tuple(self._violated),
            windows=tuple(self._windows.values()),
        )
        self._moved.clear()
        self._counts.clear()
        self._troubles.clear()
        self._settles.clear()
        self._attempts.clear()
        self._violated.clear()
        self._windows.clear()
        self.outcomes = self.places = 0
        for page in self.syncs.values():
            page.changed = False
        return made

    def open_page(self, progress: Progress) -> None:
        """Keep a page for one more sync."""
        self.syncs[progress.sync] = Page(progress)

    def close_page(self, sync: str) -> None:
        """Keep a sync's page no longer; what was said of it until now was written."""
        self.syncs.pop(sync, None)

    def progress(self, sync: str) -> Progress:
        """Return a sync's progress as it is now."""
        page = self.syncs[sync]
        return Progress(sync=sync, source=page.source, high=page.high, open=tuple(sorted(page.open)))

    def _judged(self, message: Judged) -> None:
        if message.upto <= self.cursors.get(message.source, 0):
            return
        self.cursors[message.source] = message.upto
        self._moved.add(message.source)
        scope = f"source:{message.source}"
        for name in ("passed", "derived", "blocked", "dropped", "failed"):
            self._count(scope, name, getattr(message, name))
        self._counts.update(message.counts)
        self._violated.extend(message.violated)
        self._windows.update(((one.window, one.key, one.start), one) for one in message.windows)
        self._keep(message.troubles)

    def _routed(self, message: Routed) -> None:
        page = self.syncs.get(message.sync)
        if page is None:
            return
        scope = f"sync:{message.sync}"
        page.changed = True
        if message.upto > page.high:
            page.high = message.upto
            self._count(scope, "matched", message.matched)
            for reason, count in message.filtered.items():
                self._count(scope, f"filtered.{reason}", count)
            self._count(scope, "created", len(message.troubles))
            self._keep(message.troubles)
        fresh = [entry for entry in message.opened if entry not in page.open]
        page.open.update(fresh)
        self._count(scope, "created", len(fresh))
        page.open.difference_update(message.voided)
        self._count(scope, "discarded", len(message.voided))

    def _settled(self, message: Settled) -> None:
        for sync, position, key in message.closed:
            if (page := self.syncs.get(sync)) is not None:
                page.open.discard((position, key))
                page.changed = True
        for sync, count in message.delivered.items():
            if sync in self.syncs:
                self._count(f"sync:{sync}", "delivered", count)
        self.arrived.update(message.again)
        if message.attempt:
            self._attempts.append(message.attempt)
            self.responses[message.attempt.destination, message.attempt.status] += 1
        self._settles.extend(message.settles)
        for settle in message.settles:
            if settle.trouble is not None:
                self._note(settle.trouble)
        self._keep(message.troubles)
        self.outcomes += len(message.closed) + len(message.settles)

    def _keep(self, troubles: Iterable[Trouble]) -> None:
        # Archived ones are counted by the store, which alone knows whether the row was there before: see Queue.commit.
        for trouble in troubles:
            self._troubles[trouble.id] = trouble
            self._note(trouble)

    def _note(self, trouble: Trouble) -> None:
        self.troubled[trouble.sync, trouble.state.value, trouble.reason] += 1

    def _count(self, scope: str, name: str, count: int) -> None:
        if count:
            self._counts[scope, name] += count
