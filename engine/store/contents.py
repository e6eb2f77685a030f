"""What a store in memory holds, and the transaction that changes its ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from engine.errors import StoreError
from engine.messages import NEVER, Attempt, Logged, Result, State, Trouble
from engine.results import WindowState
from engine.store import books
from engine.store.base import Cursor, Progress, Selection, Waiting
from engine.store.due import Due
from engine.store.order import Moved, Remains
from engine.violated import Violated


class Contents:
    """Shared by the roles of one store."""

    def __init__(self) -> None:
        self.events: dict[int, Logged] = {}
        self.positions: dict[str, list[int]] = {}
        self.results: dict[int, Result] = {}
        self.troubles: dict[str, Trouble] = {}
        self.numbers: dict[str, int] = {}
        self.newest = 0
        self.attempts: list[Attempt] = []
        self.counts: dict[tuple[str, str], int] = {}
        self.cursors: dict[str, Cursor] = {}
        self.progress: dict[tuple[str, str], Progress] = {}
        self.facts: dict[str, tuple[bytes, int]] = {}
        self.windows: dict[tuple[str, str, float], WindowState] = {}
        self.used = 0
        self.due = Due(limit=2**62)
        self.on_due: Callable[[str], None] | None = None
        self.on_moved: Callable[[Moved], None] | None = None
        self.closed = False

    def open(self) -> None:
        """Check that the store was not closed.

        Raises:
            StoreError: it was.
        """
        if self.closed:
            raise StoreError("the store is closed")

    def buried(self, told: Iterable[Trouble | Violated]) -> set[int]:
        """Return the positions of what is told whose events are erased."""
        positions = {one.position for one in told} & self.events.keys()
        return {position for position in positions if not self.events[position].raw}

    def revision(self, key: str) -> int:
        """Return a fact's revision, 0 if there is none."""
        return self.facts[key][1] if key in self.facts else 0

    def write(self, effect: books.Effect) -> None:
        """Make *effect* hold, and tell who is due earlier."""
        for trouble_id, trouble in effect.after.items():
            if trouble is None:
                self.drop(trouble_id)
                continue
            former = self.troubles.get(trouble_id)
            self.used -= books.weight(former) if former else 0
            kept = self._with_event(trouble, former)
            self.troubles[trouble_id] = kept
            if trouble_id not in self.numbers:
                self.newest += 1
                self.numbers[trouble_id] = self.newest
            self.used += books.weight(kept)
        for key, much in effect.counts.items():
            self.counts[key] = self.counts.get(key, 0) + much
        for destination in self.due.follow(effect):
            if self.on_due is not None:
                self.on_due(destination)
        if self.on_moved is not None:
            self.on_moved(books.moved(effect))

    def drop(self, trouble_id: str) -> None:
        """Forget one row, if there is such a one; another that is made of the same id has a number of its own."""
        former = self.troubles.pop(trouble_id, None)
        self.used -= books.weight(former) if former else 0
        self.numbers.pop(trouble_id, None)

    def parked(self, turn: tuple[str, str], after: tuple[int, str]) -> list[Trouble]:
        """Return the parked rows of one (sync, turn) above (position, id), ascending."""
        found = [
            trouble
            for trouble in self.troubles.values()
            if (trouble.sync, trouble.turn) == turn and trouble.state is State.RETRYING and trouble.due_at == NEVER
        ]
        found.sort(key=_place)
        return [trouble for trouble in found if _place(trouble) > after]

    def turns(self) -> list[Remains]:
        """Return what waits and has a turn: rows that are tried again, then how many are parked."""
        waits = [trouble for trouble in self.troubles.values() if trouble.turn and trouble.state is State.RETRYING]
        again = [
            Remains(sync=one.sync, turn=one.turn, id=one.id, position=one.position)
            for one in waits
            if one.due_at != NEVER
        ]
        turns = sorted({(one.sync, one.turn) for one in waits if one.due_at == NEVER})
        parked = [self.parked(turn, (0, "")) for turn in turns]
        return [
            *again,
            *(
                Remains(sync=own[-1].sync, turn=own[-1].turn, count=len(own), position=own[-1].position)
                for own in parked
            ),
        ]

    def rewrite(self, selection: Selection, change: Callable[[Trouble], Trouble | None]) -> int:
        """Replace every matching row for which *change* returns another; return how many."""
        found = (trouble for trouble in self.troubles.values() if books.matches(selection, trouble))
        effect = books.rewritten(found, change)
        self.write(effect)
        return len(effect.after)

    def rename(self, sync: str, source: str, name: str) -> None:
        """Let a sync, its rows and its counts be called *name*."""
        self.rewrite(Selection(sync=sync, source=source), lambda trouble: books.renamed(trouble, name))
        if (page := self.progress.pop((sync, source), None)) is not None:
            self.progress[name, source] = msgspec.structs.replace(page, sync=name)
        for scope, count in [key for key in self.counts if key[0] == f"sync:{sync}"]:
            much = self.counts.pop((scope, count))
            self.counts[f"sync:{name}", count] = self.counts.get((f"sync:{name}", count), 0) + much

    def archived(self) -> int:
        """Return the bytes of all rows that do not wait to be retried."""
        return sum(books.weight(one) for one in self.troubles.values() if one.state is not State.RETRYING)

    def waiting(self) -> dict[str, Waiting]:
        """Count each sync's retrying rows."""
        since: dict[str, list[float]] = {}
        for trouble in self.troubles.values():
            if trouble.state is State.RETRYING:
                since.setdefault(trouble.sync, []).append(trouble.received_at)
        return {sync: Waiting(count=len(moments), since=min(moments)) for sync, moments in since.items()}

    def _with_event(self, trouble: Trouble, former: Trouble | None) -> Trouble:
        logged = self.events.get(trouble.position)
        if logged is None and former is not None and not trouble.event:
            return msgspec.structs.replace(trouble, event=former.event)
        return msgspec.structs.replace(trouble, event=logged.raw) if logged and books.lacks_event(trouble) else trouble


def _place(trouble: Trouble) -> tuple[int, str]:
    """Return where a row stands in the order of deliveries."""
    return trouble.position, trouble.id
