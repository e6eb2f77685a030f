"""An engine whose configuration is edited: while it runs, or while it does not. Both must come to the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from engine.messages import State, Trouble
from engine.observe.balance import equations
from engine.observe.status import Status
from engine.store.base import Selection, Store
from tests.support.grown import Answer, Desk, Engine, always, grow, reopened

WAYS = ["online", "offline"]


class Edited:
    """One engine after another, or the same one, on one store.

    Args:
        nursery: runs it.
        way: ``online`` reloads it, ``offline`` stops it and starts another.
        folder: where files of functions are.

    Attributes:
        engine: the one that runs.
        told: what the last reload said; () offline.
    """

    def __init__(self, nursery: trio.Nursery, way: str, folder: Path | None = None) -> None:
        self.engine: Engine
        self.told: tuple[str, ...] = ()
        self._nursery = nursery
        self._way = way
        self._folder = folder
        self._desks: dict[str, list[Desk]] = {}

    async def begin(self, text: str, answers: Mapping[str, Answer] | None = None, store: Store | None = None) -> None:
        """Start the first."""
        self.engine = await grow(self._nursery, text, store, folder=self._folder, answers=answers, remember=True)
        self._note()

    async def edit(self, text: str, answers: Mapping[str, Answer] | None = None) -> None:
        """Let *text* be the configuration from now on; desks answer as in *answers*, or with 200."""
        before = self.engine
        if self._way == "online":
            made = await before.reload(text, self._folder)
            assert made.refused == ""
            self.told = made.changes
            for name in before.tree.plan.destinations:
                before.desk(name).answer = (answers or {}).get(name, always(200))
        else:
            await before.stop()
            await self.begin(text, answers, reopened(before.store))
            self.engine._sent = before._sent
        self._note()

    async def send(self, count: int = 1, source: str = "shop", **properties: Any) -> None:
        """Let events in."""
        await self.engine.send(count, source, **properties)

    async def settled(self, within: float = 600.0) -> Status:
        """Return the status once every delivery has a fate."""
        return await self.engine.settled(within)

    def calls(self, destination: str = "crm", sync: str = "orders") -> list[tuple[int, bytes, str]]:
        """Return (position, payload, key) of every attempt of a sync at a destination, by all desks of its name."""
        return [
            (one.position, one.payload, one.key)
            for desk in self._desks.get(destination, ())
            for call in desk.calls
            for one in call.batch
            if one.sync == sync
        ]

    def positions(self, destination: str = "crm", sync: str = "orders") -> list[int]:
        """Return the positions of these."""
        return [position for position, _, _ in self.calls(destination, sync)]

    async def counts(self, scope: str) -> dict[str, int]:
        """Return the books of one source or sync, without what is 0."""
        found = await self.engine.store.meta.counts()
        return {name: count for (of, name), count in found.items() if of == scope and count}

    async def archived(self, reason: str) -> list[Trouble]:
        """Return what is in the archive for one reason, by position."""
        found = await self.engine.store.ledger.list(Selection(states=(State.ARCHIVED,), reason=reason, limit=5000))
        return sorted(found, key=lambda one: one.position)

    def _note(self) -> None:
        for name, plan in self.engine.tree.plan.destinations.items():
            assert isinstance(plan.destination, Desk)
            if plan.destination not in self._desks.setdefault(name, []):
                self._desks[name].append(plan.destination)


def unbalanced_syncs(status: Status) -> list[str]:
    """Return the books of deliveries that do not balance; others hold from the first start of a store on."""
    lines = [line for line in equations(status) if line.scope.startswith("deliveries")]
    assert lines
    return [f"{line.scope}: {line.text()}" for line in lines if not line.balanced]
