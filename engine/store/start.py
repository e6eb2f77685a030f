"""Where everybody stands when an engine starts: read from the store, and made to fit the plan of today."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import msgspec

from engine.messages import State
from engine.results import WindowState
from engine.store.base import Change, Cursor, Progress, Retention, Selection, Store
from engine.store.seen import Seen

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
    """

    sync: str
    source: str
    destination: str
    start: str | float


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What a tree starts from.

    Attributes:
        cursors: by source.
        progress: by sync, one for each of the plan.
        removed: ledger rows that were archived because their sync is gone.
        windows: what windows had counted, as of the cursors.
    """

    cursors: dict[str, Cursor]
    progress: dict[str, Progress]
    paused_syncs: frozenset[str]
    paused_destinations: frozenset[str]
    seen: Seen
    retention: Retention
    removed: int = 0
    windows: tuple[WindowState, ...] = ()

    def cursor(self, source: str) -> int:
        """Return how far a source's validator had come; 0 if it never ran."""
        return self.cursors[source].position if source in self.cursors else 0


async def begin(
    store: Store, wishes: Iterable[Wish], sources: Collection[str], seen: Seen, retention: Retention, now: float
) -> Beginning:
    """Read where everybody stands; what a new sync starts from is durable before anything is accepted.

    A sync is its name and its source: one whose source changed is a new one, and the old one is gone. What is gone
    leaves its waiting deliveries in the archive, reason ``sync_removed``. A source that is not in *sources* any more
    has nobody to go to: it holds the log back no longer.
    """
    known = {(page.sync, page.source): page for page in await store.meta.progress()}
    wanted = {(wish.sync, wish.source): wish for wish in wishes}
    gone = [page for key, page in known.items() if key not in wanted]
    removed = await store.meta.forget(gone, "sync_removed", now) if gone else 0
    await _readdress(store, wanted.values())
    await _hasten(store, now)
    progress = {sync: known.get((sync, source)) or await _first(store, wish) for (sync, source), wish in wanted.items()}
    fresh = tuple(page for page in progress.values() if (page.sync, page.source) not in known)
    over = tuple(
        Cursor(source=cursor.source, position=store.last)
        for cursor in await store.meta.cursors()
        if cursor.source not in sources and cursor.position < store.last
    )
    if fresh or over:
        await store.commit(Change(progress=fresh, cursors=over))
    stored = await store.meta.get(PAUSED)
    paused = msgspec.json.decode(stored[0], type=Paused) if stored else Paused()
    seen.rebuild(await store.accepted(now - seen.window, seen.max), now)
    return Beginning(
        cursors={cursor.source: cursor for cursor in await store.meta.cursors()},
        progress=progress,
        paused_syncs=frozenset(paused.syncs),
        paused_destinations=frozenset(paused.destinations),
        seen=seen,
        retention=retention,
        removed=removed,
        windows=tuple(await store.meta.windows()),
    )


async def _readdress(store: Store, wishes: Iterable[Wish]) -> None:
    """Let the ledger rows of every sync that goes elsewhere since the last start go there too.

    Looking through a sync's rows takes time, so it is done only when its destination changed.
    """
    stored = await store.meta.get(ADDRESSES)
    before: dict[str, str] = msgspec.json.decode(stored[0], type=dict[str, str]) if stored else {}
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
        later = await store.accepted(wish.start, high)
        high = later[0].position - 1 if later else high
    return Progress(sync=wish.sync, source=wish.source, high=high)


async def keep_paused(store: Store, paused: Paused) -> None:
    """Remember what is paused, over a restart."""
    stored = await store.meta.get(PAUSED)
    await store.meta.put(PAUSED, msgspec.json.encode(paused), stored[1] if stored else 0)
