"""What the debugger shows of the events that came by a source: the source's verdict, and what every sync made of it.

The plan that decides is asked again, for the few events that somebody looks at; the hot path adds nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import trio

from actors.tapped import Kept, Looker, Off, routed
from engine.lang.filters import compile_filter
from engine.messages import Event, Logged
from engine.observe.shown import Looked, Looking, Looks, Seen, Took
from engine.observe.tap import KEPT, Turned
from engine.plan import SourcePlan, SyncPlan
from engine.store.base import Store

if TYPE_CHECKING:
    from actors.tree import Tree

AT_ONCE = 20
"""Events looked at without a turn of the loop in between."""
DISABLED = "disabled"
"""The reason with which no event type is asked."""
RAW = 64 * 1024
"""Characters of an event that are shown as it came."""


class Debugger:
    """Looks at the events of one source.

    Args:
        source: compiled.
        syncs: that read it.
        now: epoch seconds.
        off: see `Looker`.
    """

    def __init__(self, source: SourcePlan, syncs: Sequence[SyncPlan], now: float, off: Off) -> None:
        self._looker = Looker(source, None, now, off)
        self._off = off
        self._syncs = syncs
        self._now = now

    async def look(self, kept: Iterable[Kept], store: Store) -> tuple[Looked, ...]:
        """Return what is to be shown of *kept*."""
        kept = list(kept)
        came = dict(kept)
        seen = await self._looker.look(kept, store)
        return tuple(
            Looked(seen=one, took=self._took(one, came), raw=came[one.n].raw.decode("utf-8", "replace")[:RAW])
            for one in seen
        )

    async def hits(self, kept: Iterable[Kept], store: Store) -> Counter[tuple[str, str]]:
        """Return how many of *kept* each sync's event types took, and "" for each sync how many none took."""
        found: Counter[tuple[str, str]] = Counter()
        came = {n: each for n, each in kept if isinstance(each, Logged)}
        for one in await self._looker.look(came.items(), store):
            found.update((took.sync, took.event_type) for took in self._took(one, came) if took.reason != DISABLED)
        return found

    def _took(self, seen: Seen, came: Mapping[int, Logged | Turned]) -> tuple[Took, ...]:
        logged = came[seen.n]
        if seen.verdict != "passed" or isinstance(logged, Turned):
            return ()
        event = Event(position=logged.position, message_id=seen.message_id, received_at=seen.at, body=seen.event)
        return tuple(took for sync in self._syncs for took in self._routed(sync, event))

    def _routed(self, sync: SyncPlan, event: Event) -> list[Took]:
        made = routed(sync, event, self._now, self._off)
        took = [Took(sync=sync.name, verdict="deliver", event_type=each.event_type) for each in made.deliveries]
        took += [
            Took(sync=sync.name, verdict="archived", event_type=each.event_type, reason=each.reason)
            for each in made.troubles
        ]
        return took or [Took(sync=sync.name, verdict="filtered", reason=made.reason)]


async def look(tree: Tree, source: str, wanted: Looking) -> Looks | None:
    """Return the newest that came by a source after a number; None if there is no such source.

    Raises:
        LangError: the filter.
    """
    takes = compile_filter(wanted.filter).test if wanted.filter else None
    door = tree.doors.get(source)
    if door is None:
        return None
    await door.tap.wait(wanted.after, wanted.wait)
    upto = door.tap.upto
    _, kept = door.tap.since(max(wanted.after, upto - wanted.limit), wanted.limit)
    skipped = max(upto - wanted.after - len(kept), 0)
    debugger = _debugger(tree, source)
    looked: list[Looked] = []
    for first in range(0, len(kept), AT_ONCE):
        looked += await debugger.look(kept[first : first + AT_ONCE], tree.store)
        await trio.lowlevel.checkpoint()
    shown = [one for one in looked if takes is None or takes(one.seen.event if _is_event(one) else {})]
    return Looks(upto=upto, skipped=skipped, looked=tuple(shown))


async def hits(tree: Tree, source: str) -> Counter[tuple[str, str]]:
    """Return how many of the events that the source's tap has kept each event type takes, by sync and name."""
    door = tree.doors.get(source)
    if door is None:
        return Counter()
    _, kept = door.tap.since(0, KEPT)
    debugger = _debugger(tree, source)
    found: Counter[tuple[str, str]] = Counter()
    for first in range(0, len(kept), AT_ONCE):
        found += await debugger.hits(kept[first : first + AT_ONCE], tree.store)
        await trio.lowlevel.checkpoint()
    return found


def _debugger(tree: Tree, source: str) -> Debugger:
    syncs = [sync for sync in tree.plan.syncs.values() if sync.source == source]
    return Debugger(tree.plan.sources[source], syncs, tree.clock.wall(), tree.switches.filtered)


def _is_event(one: Looked) -> bool:
    return isinstance(one.seen.event, dict)
