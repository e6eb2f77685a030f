"""What a person may ask of a running tree, and change in it: the way in for endpoint and console alike."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from actors.debugged import hits, look
from actors.overview import inside, overview, reading
from actors.rehearsal import rehearse
from actors.tapped import Looker
from engine.observe.metrics import exposition
from engine.observe.sampling import Reading
from engine.observe.shown import Looking, Looks, Page, Tapping
from engine.observe.status import Status
from engine.plan import Plan
from engine.plan.explained import Explained
from engine.store.base import Selection
from engine.store.start import Paused, keep_paused

if TYPE_CHECKING:
    from actors.tree import Tree

BY_OPERATOR = "paused by an operator"


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
        elif kind == "destinations" and name in self.tree.ports:
            self.tree.ports[name].breaker.pause(BY_OPERATOR)
        else:
            return False
        await self._keep_paused()
        return True

    async def resume(self, kind: str, name: str) -> bool:
        """Let it go on from where it stood; return whether there is such a one."""
        if kind == "syncs" and name in self.tree.gates:
            self.tree.gates[name].open()
        elif kind == "destinations" and name in self.tree.ports:
            self.tree.ports[name].breaker.resume()
            self.tree.ports[name].breaker.probe_now()
        else:
            return False
        await self._keep_paused()
        return True

    async def tap(self, kind: str, name: str, wanted: Tapping) -> Page | None:
        """Return what came by one of ``sources`` or ``syncs``, as it is now; None if there is no such a one."""
        sync = self.tree.plan.syncs.get(name) if kind == "syncs" else None
        door = self.tree.doors.get(sync.source if sync else name if kind == "sources" else "")
        if door is None:
            return None
        await door.tap.wait(wanted.after, wanted.wait)
        missed, kept = door.tap.since(wanted.after, wanted.limit)
        upto = kept[-1][0] if kept else door.tap.upto
        looker = Looker(self.tree.plan.sources[door.plan.name], sync, self.tree.clock.wall())
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

    async def reading(self) -> Reading:
        """Return the counters that charts are made of."""
        return await reading(self.tree)

    def plan(self) -> Plan:
        """Return what runs."""
        return self.tree.plan

    async def retry(self, selection: Selection) -> int:
        """Send archived and waiting deliveries again, with their payloads as they are; return how many."""
        return await self.tree.store.ledger.retry(selection, self.tree.clock.wall())

    async def discard(self, selection: Selection) -> int:
        """End archived and waiting deliveries for good; return how many. One in flight may still arrive."""
        return await self.tree.store.ledger.discard(selection, self.tree.clock.wall())

    async def _keep_paused(self) -> None:
        async with self._pausing:  # one after the other, each with what holds then: the last one stays
            syncs = tuple(name for name, gate in self.tree.gates.items() if gate.shut)
            destinations = tuple(name for name, port in self.tree.ports.items() if port.breaker.state == "paused")
            await keep_paused(self.tree.store, Paused(syncs=syncs, destinations=destinations))
