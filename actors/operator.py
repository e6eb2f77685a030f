"""What a person may ask of a running tree, and change in it: the way in for endpoint and console alike."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from actors.debugged import hits, look
from actors.erasing import erase
from actors.extending import Extender
from actors.overview import inside, overview, reading
from actors.rehearsal import rehearse
from actors.tapped import Looker
from engine.errors import HeadraceError
from engine.messages import Logged, Trouble
from engine.observe.breached import BreachCount, breach_counts
from engine.observe.entries import Briefs, Whole, brief_of, whole
from engine.observe.metrics import exposition
from engine.observe.reloaded import Reloaded
from engine.observe.sampling import Reading
from engine.observe.shown import Looking, Looks, Page, Tapping
from engine.observe.status import Status
from engine.plan import Plan
from engine.plan.explained import Explained
from engine.plan.then import Then
from engine.plan.tracing import Traced, trace
from engine.store.base import Selection
from engine.store.erasing import Erasure
from engine.store.replays import Replay, Replays, Wish
from engine.store.start import Paused, keep_paused
from engine.store.switched import keep_switches
from engine.store.tallying import Tally
from engine.violated import Violated, Wanted

if TYPE_CHECKING:
    from actors.tree import Tree

BY_OPERATOR = "paused by an operator"
DISABLED = "disabled by an operator"
STRETCH = 20_000
"""Positions that are looked at together for a user's events."""
STRETCHES = 10
"""So many of them for one question."""


class Operator:
    """Reads and changes one running tree.

    Args:
        tree: whose gates, breakers and doors are changed; never by a message against the flow.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._pausing = trio.Lock()

    async def status(self) -> Status:
        """Return the engine at a glance."""
        return await overview(self.tree)

    async def metrics(self) -> bytes:
        """Return the engine as Prometheus reads it."""
        self.tree.pulse.look()
        return exposition(await self.status(), inside(self.tree))

    def unwell(self, *, ready: bool) -> tuple[str, str] | None:
        """Return code and text of why no events are accepted (for a while, if *ready*), or None."""
        return self.tree.receiver.unwell(ready=ready)

    async def pause(self, kind: str, name: str) -> bool:
        """Hold one of ``syncs`` or ``destinations`` back, also over a restart; return whether there is such a one."""
        if kind == "syncs" and name in self.tree.gates:
            self.tree.gates[name].close()
            await self.tree.retry.take_back(name)
        elif kind == "destinations" and name in self.tree.ports:
            self.tree.ports[name].breaker.pause(BY_OPERATOR)
        else:
            return False
        await self.keep_paused()
        return True

    async def resume(self, kind: str, name: str) -> bool:
        """Let it go on from where it stood; return whether there is such a one."""
        if kind == "syncs" and name in self.tree.gates:
            self.tree.gates[name].open()
            for lanes in self.tree.lanes.values():
                lanes.opened()
        elif kind == "destinations" and name in self.tree.ports:
            self.tree.ports[name].breaker.resume(BY_OPERATOR)
            self.tree.ports[name].breaker.probe_now()
        else:
            return False
        await self.keep_paused()
        return True

    async def disable(self, kind: str, name: str) -> bool:
        """Filter all further events of one of ``syncs`` or ``destinations``, reason ``disabled``; whether there is one.

        It holds until `enable`, also over a restart and a reload. What a sync made before is still sent; what waits for
        a destination waits.
        """
        return await self._switch(kind, name, off=True)

    async def enable(self, kind: str, name: str) -> bool:
        """Let further events through again; return whether there is such a one.

        Raises:
            HeadraceError: the configuration disables it, and nothing here can change that.
        """
        sync = self.tree.plan.syncs.get(name) if kind == "syncs" else None
        if sync is not None and not sync.enabled:
            raise HeadraceError(
                f"sync '{name}' is disabled in config.toml\n    take enabled = false out there, and reload"
            )
        return await self._switch(kind, name, off=False)

    async def _switch(self, kind: str, name: str, *, off: bool) -> bool:
        known = {"syncs": self.tree.gates.keys(), "destinations": self.tree.ports.keys()}
        if kind not in known or name not in known[kind]:
            return False
        read = [(sync, self.tree.routed[at].position) for at, sync in self.tree.plan.syncs.items()]
        self.tree.switches.turn(kind, name, off=off, read=read)
        if kind == "destinations":
            breaker = self.tree.ports[name].breaker
            breaker.pause(DISABLED) if off else breaker.resume(DISABLED)
        await self.keep_disabled()
        return True

    def still_off(self, kind: str, name: str) -> str:
        """Return why one of ``syncs`` or ``destinations`` takes no events though it is not disabled itself, or ""."""
        off, syncs = self.tree.switches, self.tree.plan.syncs
        if kind == "syncs" and syncs[name].destination in off.destinations:
            return f"its destination '{syncs[name].destination}' is disabled, so its events are filtered still"
        held = sorted(at for at, sync in syncs.items() if sync.destination == name and off.off(sync))
        if kind == "destinations" and held and name not in off.destinations:
            return f"disabled by themselves, and so still: {', '.join(held)}"
        return ""

    async def tap(self, kind: str, name: str, wanted: Tapping) -> Page | None:
        """Return what came by one of ``sources`` or ``syncs``, as it is now; None if there is no such a one."""
        sync = self.tree.plan.syncs.get(name) if kind == "syncs" else None
        door = self.tree.doors.get(sync.source if sync else name if kind == "sources" else "")
        if door is None:
            return None
        await door.tap.wait(wanted.after, wanted.wait)
        missed, kept = door.tap.since(wanted.after, wanted.limit)
        upto = kept[-1][0] if kept else door.tap.upto
        now, off = self.tree.clock.wall(), self.tree.switches.filtered
        looker = Looker(self.tree.plan.sources[door.plan.name], sync, now, off)
        return Page(upto=upto, missed=missed, seen=await looker.look(kept, self.tree.store))

    async def look(self, source: str, wanted: Looking) -> Looks | None:
        """Return the newest that came by a source, with every sync's verdict; None if there is no such source.

        Raises:
            LangError: the filter.
        """
        return await look(self.tree, source, wanted)

    async def hits(self, source: str) -> Counter[tuple[str, str]]:
        """Return how many of a source's last events each event type takes, by sync and name of the type."""
        return await hits(self.tree, source)

    async def explain(self, event: dict[str, Any], source: str | None) -> Explained:
        """Return what would become of *event* if it came now; nothing is sent.

        Raises:
            HeadraceError: no such source, several and none is named, or a function that does not answer.
        """
        return await rehearse(self.tree, event, source)

    async def reload(self) -> Reloaded:
        """Let the configuration take effect as its files are now, or refuse it whole; return what came of it."""
        return await self.tree.reloader.reload()

    @property
    def extender(self) -> Extender:
        """Return what writes one more way into the configuration."""
        return Extender(self.tree)

    async def doorstep(self) -> str:
        """Return host:port where events come in."""
        return await self.tree.receiver.address()

    async def reading(self) -> Reading:
        """Return the counters that charts are made of."""
        return await reading(self.tree)

    def plan(self) -> Plan:
        """Return what runs."""
        return self.tree.plan

    async def retry(self, selection: Selection) -> int:
        """Send archived and waiting deliveries again, with their payloads as they are; return how many."""
        async with self.tree.replayer.still:  # a reload that takes a destination away comes before or after it
            known = self.tree.plan.destinations.keys()
            return await self.tree.store.ledger.retry(selection, self.tree.clock.wall(), known)

    async def replay(self, wish: Wish) -> Replay:
        """Begin to send entries or events through the plan again, and return what was begun.

        Raises:
            Refused: it means nothing, or the same is running.
        """
        return await self.tree.replayer.begin(wish)

    async def count_replay(self, replay: Replay) -> Replay:
        """Return what a replay would do, counted a little further; nothing is sent. Ask until its state is ``done``.

        Raises:
            Refused: it means nothing.
        """
        return await self.tree.replayer.count(replay)

    async def stop_replay(self, number: int) -> Replay | None:
        """End a replay where it stands; None if there is none of that number."""
        return await self.tree.replayer.end(number)

    async def replays(self) -> Replays:
        """Return the replays that run or ended lately."""
        return await self.tree.replayer.known()

    async def trace(self, message_id: str) -> tuple[Traced, ...]:
        """Return the way of each event of that messageId that the log still has."""
        tree = self.tree
        then = Then(tree.store, tree.plan, tree.plan.registry, trio.to_thread.run_sync)
        places = await tree.store.history.located(message_id)
        found = [await trace(await tree.store.history.facts(at), tree.plan, then, tree.clock.wall()) for at in places]
        return tuple(one for one in found if one is not None)

    async def erase(self, erasure: Erasure) -> Erasure:
        """Make the next step of erasing one user, and return how far it is; ask until its state is ``done``."""
        return await erase(self.tree, erasure)

    async def discard(self, selection: Selection) -> int:
        """End archived and waiting deliveries for good; return how many. One in flight may still arrive."""
        return await self.tree.store.ledger.discard(selection, self.tree.clock.wall())

    async def errors(self, selection: Selection) -> list[Trouble]:
        """Return a page of the ledger, the newest trouble first.

        Raises:
            StoreError: the entry that the page follows is gone.
        """
        return await self.tree.store.ledger.list(selection)

    async def error(self, id: str) -> Whole | None:  # noqa: A002 - the ledger's own word
        """Return all of one entry, with its event and every attempt; None if there is none of that id."""
        trouble = await self.tree.store.ledger.get(id)
        if trouble is None:
            return None
        logged = (await self.tree.store.history.events([trouble.position])).get(trouble.position)
        event = trouble.event or (logged.raw if logged else b"")
        return whole(trouble, event, await self.tree.store.ledger.attempts(trouble.position))

    async def tally(self, tally: Tally) -> Tally:
        """Return a count of entries by state and reason, a step further; ask until its state is ``done``."""
        history = self.tree.store.history
        if not tally.top:
            return tally.begun(await history.newest())
        return tally.counted(await history.tally(tally.selection, tally.span))

    async def violations(self, wanted: Wanted) -> list[Violated]:
        """Return events that broke a contract, the newest first."""
        return await self.tree.store.violations.list(wanted)

    async def breach_counts(self) -> list[BreachCount]:
        """Return how many events broke which rule, since the store was made."""
        return breach_counts(await self.tree.store.meta.counts())

    async def of_user(self, who: tuple[str, str], below: int, limit: int) -> Briefs:
        """Return the newest events of ``userId`` or ``anonymousId`` before a position, of a stretch of the log.

        Args:
            who: which of both, and its value.
            below: only events before this position; 0 for all.
            limit: events at most.
        """
        low, found = min(below or sys.maxsize, self.tree.store.last + 1), list[Logged]()
        for _ in range(STRETCHES):
            some, low = await self.tree.store.history.of_user(who, low, STRETCH)
            found += some
            if len(found) >= limit or low <= 1:
                break
        if len(found) > limit:
            found, low = found[:limit], found[limit - 1].position
        return Briefs(events=tuple(map(brief_of, found)), below=low)

    async def keep_disabled(self) -> None:
        """Remember what is disabled, over a restart."""
        async with self._pausing:
            await keep_switches(self.tree.store.meta, self.tree.switches.named())

    async def keep_paused(self) -> None:
        """Remember what is paused, over a restart."""
        async with self._pausing:  # one after the other, each with what holds then: the last one stays
            syncs = tuple(name for name, gate in self.tree.gates.items() if gate.shut)
            destinations = tuple(name for name, port in self.tree.ports.items() if port.breaker.paused_for(BY_OPERATOR))
            await keep_paused(self.tree.store, Paused(syncs=syncs, destinations=destinations))
