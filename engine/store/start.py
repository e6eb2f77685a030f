"""Where everybody stands when an engine starts: read from the store, and made to fit the plan of today."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from engine.messages import State
from engine.results import WindowState
from engine.store.base import Change, Cursor, Progress, Retention, Selection, Store
from engine.store.order import Remains
from engine.store.seen import Seen
from engine.store.switched import Named, read_switches, rename_switch
from engine.store.unjudged import drop_unjudged

ADDRESSES = "addresses"
"""The Meta key of where each sync went when an engine last started: "source sync" to destination, as JSON."""
PAUSED = "paused"
"""The Meta key of what an operator paused; it stays paused over a restart."""


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator paused, by name."""

    syncs: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One sync of the plan.

    Attributes:
        sync, source: who it is.
        destination: where it goes today; what waited for another one goes there too.
        start: where it begins if it is new: ``latest``, ``earliest``, or epoch seconds.
        was: the name it had, or "".
    """

    sync: str
    source: str
    destination: str
    start: str | float
    was: str = ""


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What a tree starts from.

    Attributes:
        cursors: by source.
        progress: by sync, one for each of the plan.
        removed: ledger rows that were archived because their sync is gone.
        windows: what windows had counted, as of the cursors.
        turns: what waits in the ledger and holds up others of its key, or waits for its turn.
        disabled: what an operator disabled.
        eras: by source, former plans that a sync may still have to read with: see `engine.plan.eras`.
        known: by sync, event types that the former plan had: see `actors.router`.
    """

    cursors: dict[str, Cursor]
    progress: dict[str, Progress]
    paused_syncs: frozenset[str]
    paused_destinations: frozenset[str]
    seen: Seen
    retention: Retention
    removed: int = 0
    windows: tuple[WindowState, ...] = ()
    turns: tuple[Remains, ...] = ()
    disabled: Named = Named()
    eras: Mapping[str, Sequence[tuple[int, Any]]] = {}
    known: Mapping[str, frozenset[str]] = {}

    def cursor(self, source: str) -> int:
        """Return how far a source's validator had come; 0 if it never ran."""
        return self.cursors[source].position if source in self.cursors else 0


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """How the store was made to fit the syncs of today.

    Attributes:
        progress: by sync, one for each.
        names: former name to the name of today, of those that were renamed now.
        removed: ledger rows that were archived because their sync is gone.
        dropped: by source that is gone, events that it had accepted and that nobody had judged.
    """

    progress: dict[str, Progress]
    names: dict[str, str]
    removed: int
    dropped: dict[str, int] = {}


async def begin(
    store: Store, wishes: Iterable[Wish], sources: Collection[str], seen: Seen, retention: Retention, now: float
) -> Beginning:
    """Read where everybody stands; what a new sync starts from is durable before anything is accepted.

    A sync is its name and its source: one whose source changed is a new one, and the old one is gone. What is gone
    leaves its waiting deliveries in the archive, reason ``sync_removed``. A source that is not in *sources* any more
    has nobody to go to: what was not judged yet is dropped, and it holds the log back no longer.
    """
    wishes = list(wishes)
    fitted = await fit(store, wishes, sources, now)
    await _hasten(store, now)
    paused = await read_paused(store)
    seen.rebuild(await store.accepted(now - seen.window, seen.max), now)
    return Beginning(
        cursors={cursor.source: cursor for cursor in await store.meta.cursors()},
        progress=fitted.progress,
        paused_syncs=frozenset(paused.syncs),
        paused_destinations=frozenset(paused.destinations),
        seen=seen,
        retention=retention,
        removed=fitted.removed,
        windows=tuple(await store.meta.windows()),
        turns=tuple(await store.turns()),
        disabled=await read_switches(store.meta),
    )


async def fit(store: Store, wishes: Iterable[Wish], sources: Collection[str], now: float) -> Fitted:
    """Make the store fit *wishes*, which are all syncs there are, and *sources*; for `begin`, and for a reload.

    Nobody may write the progress of a sync that is gone, renamed or new meanwhile, nor have a delivery of it in hand.
    After a crash in the middle it is done again.
    """
    known = {(page.sync, page.source): page for page in await store.meta.progress()}
    wanted = {(wish.sync, wish.source): wish for wish in wishes}
    names: dict[str, str] = {}
    for key, wish in wanted.items():
        former = (wish.was, wish.source)
        if key not in known and former in known and former not in wanted:
            await _take_along(store, wish.was, wish.sync)  # before it is renamed: a crash in between does both again
            await store.meta.rename(*former, wish.sync)
            known[key] = msgspec.structs.replace(known.pop(former), sync=wish.sync)
            names[wish.was] = wish.sync
    gone = [page for key, page in known.items() if key not in wanted]
    removed = await store.meta.forget(gone, "sync_removed", now) if gone else 0
    await _readdress(store, wanted.values())
    progress = {sync: known.get((sync, source)) or await _first(store, wish) for (sync, source), wish in wanted.items()}
    fresh = tuple(page for page in progress.values() if (page.sync, page.source) not in known)
    cursors = {cursor.source: cursor for cursor in await store.meta.cursors()}
    over = [one for name, one in cursors.items() if name not in sources and one.position < store.last]
    dropped = {one.source: count for one in over if (count := await drop_unjudged(store, one))}
    # A source is known from its first day on: else nobody would miss it that is removed before it has judged anything.
    marks = [Cursor(source=one.source, position=store.last) for one in over]
    marks += [Cursor(source=name, position=0) for name in sorted(sources) if name not in cursors]
    if fresh or marks:
        await store.commit(Change(progress=fresh, cursors=tuple(marks)))
    return Fitted(progress=progress, names=names, removed=removed, dropped=dropped)


async def _readdress(store: Store, wishes: Iterable[Wish]) -> None:
    """Let the ledger rows of every sync that goes elsewhere since the last start go there too.

    Looking through a sync's rows takes time, so it is done only when its destination changed.
    """
    stored = await store.meta.get(ADDRESSES)
    before: dict[str, str] = msgspec.json.decode(stored[0], type=dict[str, str]) if stored else {}
    wishes = list(wishes)
    for wish in wishes:
        if wish.was and f"{wish.source} {wish.was}" in before:
            before.setdefault(f"{wish.source} {wish.sync}", before[f"{wish.source} {wish.was}"])
    after = before | {f"{wish.source} {wish.sync}": wish.destination for wish in wishes}
    if after == before:
        return
    for wish in wishes:
        if before.get(f"{wish.source} {wish.sync}", wish.destination) != wish.destination:
            await store.meta.readdress(wish.sync, wish.source, wish.destination)
    await store.meta.put(ADDRESSES, msgspec.json.encode(after), stored[1] if stored else 0)


async def _hasten(store: Store, now: float) -> None:
    """Let be due at once what was tried by a clock that ran ahead of today's: its moment may lie hours away."""
    ahead = Selection(states=(State.RETRYING,), since=math.nextafter(now, math.inf), limit=1)
    if await store.ledger.list(ahead):
        await store.ledger.retry(ahead, now)


async def _first(store: Store, wish: Wish) -> Progress:
    """Return where a new sync begins."""
    high = store.last
    if wish.start == "earliest":
        high = 0
    elif not isinstance(wish.start, str):
        high = await _before(store, wish.source, wish.start)
    return Progress(sync=wish.sync, source=wish.source, high=high)


async def _before(store: Store, source: str, moment: float) -> int:
    """Return the last position of a source that was received before *moment*; the log's last if nothing came since.

    Looks at a few events only: the time of receipt ascends with the position.
    """
    low, high = 0, store.last
    while low < high:
        middle = (low + high) // 2
        found = await store.read(source, middle, high, 1)
        if found and found[0].envelope.received_at < moment:
            low = found[0].position
        else:
            high = middle
    return low if await store.read(source, low, store.last, 1) else store.last


async def _take_along(store: Store, was: str, name: str) -> None:
    """Let a sync that is called *name* from now on be paused and disabled as it was."""
    await rename_switch(store.meta, was, name)
    paused = await read_paused(store)
    if was in paused.syncs:
        syncs = tuple(name if one == was else one for one in paused.syncs)
        await keep_paused(store, msgspec.structs.replace(paused, syncs=syncs))


async def read_paused(store: Store) -> Paused:
    """Return what is paused."""
    stored = await store.meta.get(PAUSED)
    return msgspec.json.decode(stored[0], type=Paused) if stored else Paused()


async def keep_paused(store: Store, paused: Paused) -> None:
    """Remember what is paused, over a restart."""
    stored = await store.meta.get(PAUSED)
    await store.meta.put(PAUSED, msgspec.json.encode(paused), stored[1] if stored else 0)
