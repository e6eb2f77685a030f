"""What a person may ask of a running tree, and change in it: the way in for endpoint and console alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.overview import inside, overview
from actors.tapped import Looker
from engine.observe.metrics import exposition
from engine.observe.shown import Page, Tapping
from engine.observe.status import Status
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

    async def _keep_paused(self) -> None:
        async with self._pausing:  # one after the other, each with what holds then: the last one stays
            syncs = tuple(name for name, gate in self.tree.gates.items() if gate.shut)
            destinations = tuple(name for name, port in self.tree.ports.items() if port.breaker.state == "paused")
            await keep_paused(self.tree.store, Paused(syncs=syncs, destinations=destinations))
