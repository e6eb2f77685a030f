"""What a change does to ledger rows and counts: pure, and decided once for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from engine.errors import StoreError
from engine.messages import NEVER, Logged, Settle, Settlement, State, Trouble
from engine.store.base import Change, Progress, Selection
from engine.store.order import Moved
from engine.violated import Violated, Wanted

SETTLED_STATE = {Settlement.RETRY: State.RETRYING, Settlement.ARCHIVE: State.ARCHIVED}
"""The state that a settle's trouble must have; the other settlements have no trouble."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision needs to know of a ledger row, as it lies in the store."""

    state: State
    sync: str
    destination: str
    due_at: float


def standing(trouble: Trouble) -> Standing:
    """Return what *trouble* is once it is stored."""
    return Standing(state=trouble.state, sync=trouble.sync, destination=trouble.destination, due_at=trouble.due_at)


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, and what was there before.

    Attributes:
        before: the ledger rows concerned that exist.
        after: id to the whole new row, or None where the row goes.
        released: ids whose row stays as it is and may be claimed again.
        counts: (scope, name) to what is added to it; nothing that adds 0.
        held: for each settle, whether its claim still held.
        lost: ids of settles whose claim did not, and that have no row that waits.
    """

    before: Mapping[str, Standing]
    after: dict[str, Trouble | None]
    released: tuple[str, ...] = ()
    counts: dict[tuple[str, str], int]
    held: tuple[bool, ...] = ()
    lost: tuple[str, ...] = ()


class Fold:
    """Takes changes of ledger rows one by one and keeps the sum.

    Args:
        before: the rows concerned that exist, by id.
    """

    def __init__(self, before: Mapping[str, Standing]) -> None:
        self._before = before
        self._after: dict[str, Trouble | None] = {}
        self._released: list[str] = []
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, scope: str, name: str, much: int) -> None:
        """Add *much* to a count."""
        self._counts[scope, name] = self._counts.get((scope, name), 0) + much

    def write(self, trouble: Trouble) -> None:
        """Let *trouble* be its row from now on, whether there was one or not."""
        now = self._now(trouble.id)
        self._count(trouble.sync, State.ARCHIVED, (trouble.state, now.state if now else None))
        self._count(trouble.sync, State.DISCARDED, (trouble.state, now.state if now else None))
        self._after[trouble.id] = trouble

    def begin(self, trouble: Trouble) -> None:
        """Let a delivery that had no row have *trouble*; an entry of that id, of a sync that was removed, is discarded.

        The sync came back and made the same delivery once more: both were created, and one row can stand for one only.
        """
        now = self._now(trouble.id)
        for state in (State.ARCHIVED, State.DISCARDED):
            if now is not None:
                self._count(now.sync, state, (State.DISCARDED, now.state))
            self._count(trouble.sync, state, (trouble.state, None))
        self._after[trouble.id] = trouble

    def again(self, trouble: Trouble) -> None:
        """Let *trouble* be its row, unless that is on its way; a new one was created."""
        now = self._now(trouble.id)
        if now is None and trouble.sync:
            self.add(f"sync:{trouble.sync}", "created", 1)
        if now is None or now.state is not State.RETRYING:
            self.write(trouble)

    def erase(self, row_id: str, sync: str, now: Standing | None) -> None:
        """Let a delivery be forgotten, whether it has a row or was about to get one; what was discarded stays so."""
        self._after[row_id] = None
        if not sync or (now is not None and now.state is State.DISCARDED):
            return
        if now is not None and now.state is State.ARCHIVED:
            self.add(f"sync:{sync}", State.ARCHIVED.value, -1)
        self.add(f"sync:{sync}", "erased", 1)

    def end(self, row_id: str) -> None:
        """Let a row of the source's stages go: no count follows these."""
        now = self._now(row_id)
        if now is not None and not now.sync:
            self._after[row_id] = None

    def settle(self, settle: Settle) -> bool:
        """End a claim whose token was good; return whether its row still waits, without which nothing happens."""
        now = self._now(settle.id)
        if now is None or now.state is not State.RETRYING:
            return False
        if settle.trouble is not None:
            self.write(settle.trouble)
        elif settle.how is Settlement.RELEASE:
            self._released.append(settle.id)
        else:
            self._after[settle.id] = None
            if now.sync:
                self.add(f"sync:{now.sync}", "delivered", 1)
        return True

    def waits(self, row_id: str) -> bool:
        """Return whether there is such a row, and it is tried again."""
        return _waits(self._now(row_id))

    def effect(self, held: tuple[bool, ...] = (), lost: tuple[str, ...] = ()) -> Effect:
        """Return the sum of everything taken so far."""
        return Effect(
            before=self._before,
            after=self._after,
            released=tuple(self._released),
            counts={key: much for key, much in self._counts.items() if much},
            held=held,
            lost=lost,
        )

    def _now(self, trouble_id: str) -> Standing | None:
        if trouble_id not in self._after:
            return self._before.get(trouble_id)
        after = self._after[trouble_id]
        return standing(after) if after else None

    def _count(self, sync: str, state: State, change: tuple[State, State | None]) -> None:
        """Follow a sync's row into *state*, or out of it; *change* is (to, from)."""
        after, before = change
        much = (after is state) - (before is state)
        if sync and much:
            self.add(f"sync:{sync}", state.value, much)


def check(change: Change) -> None:
    """Refuse settles without a fitting trouble.

    Raises:
        ValueError: names the first of them.
    """
    for settle in change.settles:
        state = settle.trouble.state if settle.trouble else None
        if state is not SETTLED_STATE.get(settle.how) or (settle.trouble and settle.trouble.id != settle.id):
            raise ValueError(f"settle {settle.id} ({settle.how.value}): its trouble does not fit")


def concerned(change: Change) -> list[str]:
    """Return the ids of the ledger rows that `decide` must know, each once."""
    return list(
        dict.fromkeys(
            [
                *(trouble.id for trouble in (*change.troubles, *change.again)),
                *(settle.id for settle in change.settles),
                *change.ended,
            ]
        )
    )


def decide(
    change: Change, good: tuple[bool, ...], before: Mapping[str, Standing], buried: Collection[int] = ()
) -> Effect:
    """Return what *change* does.

    Args:
        change: troubles are written before claims are settled.
        good: for each settle, whether its token was the claim's when the change was handed over.
        before: the `concerned` rows that exist.
        buried: positions of the change's troubles whose events are erased: those get no row.
    """
    fold = Fold(before)
    for (scope, name), much in change.counts.items():
        fold.add(scope, name, much)
    for trouble in change.troubles:
        if trouble.position in buried:
            fold.erase(trouble.id, trouble.sync, before.get(trouble.id))
        else:
            fold.begin(trouble)
    for trouble in change.again:
        fold.again(trouble)
    for row_id in change.ended:
        fold.end(row_id)
    held = tuple([ok and fold.settle(settle) for settle, ok in zip(change.settles, good, strict=True)])
    settled = zip(change.settles, held, strict=True)
    return fold.effect(held, tuple([one.id for one, ok in settled if not ok and not fold.waits(one.id)]))


def abandoned(progress: Progress | None) -> Effect:
    """Return what it does to the counts that a sync's *progress*, as it was stored, is forgotten."""
    fold = Fold({})
    if progress is not None:
        fold.add(f"sync:{progress.sync}", State.DISCARDED.value, len(progress.open))
    return fold.effect()


def wanted(one: Violated, selection: Wanted) -> bool:
    """Return whether every given part of *selection* holds for *one*, but for ``limit``."""
    return (
        (not selection.contract or one.contract == selection.contract)
        and (not selection.source or one.source == selection.source)
        and (not selection.event or selection.event in (one.name, one.type))
        and selection.position in (0, one.position)
        and one.at >= selection.since
    )


def check_positions(events: Sequence[Logged], last: int) -> None:
    """Refuse events whose positions do not follow *last* without a gap.

    Raises:
        ValueError: names the first that does not.
    """
    for wanted, event in enumerate(events, last + 1):
        if event.position != wanted:
            raise ValueError(f"position {event.position} was given where {wanted} follows")


def page_lost(selection: Selection) -> StoreError:
    """Return the error for a page that cannot be found again."""
    return StoreError(f"entry {selection.after}, at which the last page ended, is gone; list again from the start")


def matches(selection: Selection, trouble: Trouble) -> bool:
    """Return whether every given part of *selection* holds for *trouble*, but for ``after`` and ``limit``."""
    return (
        (not selection.ids or trouble.id in selection.ids)
        and (not selection.sync or trouble.sync == selection.sync)
        and (not selection.source or trouble.source == selection.source)
        and (not selection.destination or trouble.destination == selection.destination)
        and (not selection.states or trouble.state in selection.states)
        and (not selection.reason or trouble.reason == selection.reason)
        and (not selection.stage or trouble.stage == selection.stage)
        and trouble.last_at >= selection.since
        and (not selection.until or trouble.last_at <= selection.until)
        and selection.text.casefold() in searched(trouble)
    )


def searched(trouble: Trouble) -> str:
    """Return the text that a `Selection`'s text is looked for in, case folded."""
    return f"{trouble.message_id}\n{trouble.error}".casefold()


def rewritten(troubles: Iterable[Trouble], rule: Callable[[Trouble], Trouble | None]) -> Effect:
    """Return what it does to replace each row by what *rule* makes of it; None leaves it."""
    before = {trouble.id: trouble for trouble in troubles}
    fold = Fold({row_id: standing(trouble) for row_id, trouble in before.items()})
    for trouble in before.values():
        after = rule(trouble)
        if after is not None:
            fold.write(after)
    return fold.effect()


def erased(troubles: Iterable[Trouble]) -> Effect:
    """Return what it does to forget these rows."""
    before = {trouble.id: standing(trouble) for trouble in troubles}
    fold = Fold(before)
    for row_id, row in before.items():
        fold.erase(row_id, row.sync, row)
    return fold.effect()


def retried(trouble: Trouble, now: float, known: Collection[str] | None = None) -> Trouble | None:
    """Return the row due at *now*, outside the order if it was archived; None if it cannot be retried, or is parked.

    Args:
        trouble: the row.
        now: epoch seconds.
        known: all destinations there are; None if nobody knows.
    """
    if trouble.due_at == NEVER or (known is not None and trouble.destination not in known):
        return None
    if trouble.state is State.RETRYING:
        return msgspec.structs.replace(trouble, due_at=min(trouble.due_at, now))
    if trouble.state is not State.ARCHIVED or not trouble.payload:
        return None
    return msgspec.structs.replace(
        trouble, state=State.RETRYING, attempts=0, first_at=now, due_at=now, excused=0.0, again_at=now, turn=""
    )


def moved(effect: Effect) -> Moved:
    """Return what *effect* means for the order of deliveries."""
    ended = [
        row_id
        for row_id, row in effect.before.items()
        if row.state is State.RETRYING and row_id in effect.after and not _waits(effect.after[row_id])
    ]
    # Its event was erased before it was written for the first time: no such row, and nothing waits for it.
    ended += [row_id for row_id, row in effect.after.items() if row is None and row_id not in effect.before]
    discarded = [row_id for row_id in ended if (row := effect.after.get(row_id)) and row.state is State.DISCARDED]
    ended += effect.lost  # a sender said that it is tried again, or not; nobody else will tell of it
    parked = [
        (trouble.sync, trouble.turn)
        for trouble in effect.after.values()
        if trouble is not None and trouble.due_at == NEVER and trouble.id not in effect.before
    ]
    return Moved(ended=tuple(ended), discarded=tuple(discarded), parked=tuple(parked))


def _waits(row: Trouble | Standing | None) -> bool:
    return row is not None and row.state is State.RETRYING


def discarded(trouble: Trouble, now: float) -> Trouble | None:
    """Return the row ended for good at *now*, or None if it has ended or was never on its way."""
    if trouble.state not in (State.RETRYING, State.ARCHIVED):
        return None
    return msgspec.structs.replace(trouble, state=State.DISCARDED, last_at=now, due_at=0.0)


def readdressed(trouble: Trouble, destination: str) -> Trouble | None:
    """Return the row for another *destination*, or None if it is for that one or for none."""
    if trouble.destination in ("", destination):
        return None
    return msgspec.structs.replace(trouble, destination=destination)


def renamed(trouble: Trouble, name: str) -> Trouble | None:
    """Return the row as one of the sync *name*, or None if it is."""
    return None if trouble.sync == name else msgspec.structs.replace(trouble, sync=name)


def orphaned(trouble: Trouble, reason: str, now: float) -> Trouble | None:
    """Return a retrying row archived for *reason* at *now*, or None if it does not wait."""
    if trouble.state is not State.RETRYING:
        return None
    return msgspec.structs.replace(trouble, state=State.ARCHIVED, reason=reason, last_at=now, due_at=0.0)


def lacks_event(trouble: Trouble) -> bool:
    """Return whether the row needs a copy of the log's JSON, since nothing holds that log row for it."""
    return not trouble.event and trouble.state is not State.RETRYING


def weight(trouble: Trouble) -> int:
    """Return roughly how many bytes the row takes, for the archive's size."""
    parts = (trouble.event, trouble.payload, trouble.request, trouble.response, trouble.error, trouble.trace)
    return 400 + sum(map(len, parts))
