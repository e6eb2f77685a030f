"""What plans of other days decided: which was in force when an event was read, compiled again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from engine.config.load import read_tables
from engine.errors import HeadraceError
from engine.plan.compile import Plan, compile_plan
from engine.plan.sources import SourcePlan
from engine.plan.syncs import SyncPlan
from engine.registry import Registry
from engine.store.revisions import Head, Revision, heads, judge_of, number_of, revision

COMPILED = 4
"""Plans of other days that are kept compiled."""

Aside = Callable[[Callable[[], Plan | None]], Awaitable[Plan | None]]
"""Calls what takes long where it holds nobody up, and returns its answer."""


class Recalling(Protocol):
    """Small facts by key."""

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision), or None."""


class Remembering(Protocol):
    """What has a memory for facts: a store, or one that is only read."""

    @property
    def meta(self) -> Recalling:
        """Return its facts."""


class Then:
    """What plans of other days decided; today's stands in where nothing is known of another.

    Args:
        plan: today's; if no engine has run with it yet, it decided nothing.
        registry: of the plugins.
        aside: where plans are compiled.
    """

    def __init__(self, store: Remembering, plan: Plan, registry: Registry, aside: Aside) -> None:
        self._store: Any = store
        self._plan = plan
        self._registry = registry
        self._aside = aside
        self._heads: list[Head] | None = None
        self._compiled: dict[int, Plan | None] = {}
        self._names: dict[str, dict[int, str]] = {}

    async def today(self) -> int:
        """Return the number of today's plan, 0 if it is not kept; then look again, since a reload keeps it last."""
        if not self._today(await self._known()):
            self._heads = None
            self._names.clear()
        return self._today(await self._known())

    async def sync(self, name: str, position: int) -> SyncPlan | None:
        """Return the sync as it read the event at *position*, or None if nobody knows that plan any more."""
        known = await self._known()
        number = number_of(known, name, position)
        plan = await self._of(number, known)
        return None if plan is None else plan.syncs.get(await self._name(name, number, known))

    async def source(self, name: str, position: int) -> SourcePlan | None:
        """Return the source as it judged the event at *position*, or None if nobody knows that plan any more."""
        known = await self._known()
        plan = await self._of(judge_of(known, name, position), known)
        return None if plan is None else plan.sources.get(name)

    async def unread(self, sync: SyncPlan, position: int) -> bool:
        """Return whether *sync* was not there yet when the event at *position* came by, or read another source."""
        known = await self._known()
        if await self._of(number_of(known, sync.name, position), known) is None:
            return False
        was = await self.sync(sync.name, position)
        return was is None or was.source != sync.source

    async def _name(self, name: str, number: int, known: Sequence[Head]) -> str:
        """Return what today's sync *name* was called in the plan of that number."""
        if name not in self._names:
            self._names[name] = await self._called(name, known)
        return self._names[name].get(number, name)

    async def _called(self, name: str, known: Sequence[Head]) -> dict[int, str]:
        """Return by number what today's sync *name* was called: each new name tells the one before, once."""
        called: dict[int, str] = {}
        was = self._plan.syncs[name].was if name in self._plan.syncs else ""
        for head in reversed(known):
            found = await revision(self._store, head.number)
            syncs = found.tables.get("syncs", {}) if found else {}
            name = was if name not in syncs and was in syncs else name
            was = syncs[name].get("was", "") if name in syncs else was
            called[head.number] = name
        return called

    def _today(self, known: Sequence[Head]) -> int:
        return known[-1].number if known and known[-1].digest == self._plan.digest else 0

    async def _known(self) -> list[Head]:
        if self._heads is None:
            self._heads = await heads(self._store)
        return self._heads

    async def _of(self, number: int, known: Sequence[Head]) -> Plan | None:
        """Return the plan of a number; None if nobody knows it any more."""
        if number == self._today(known):
            return self._plan
        if number not in self._compiled:
            found = await revision(self._store, number)
            while len(self._compiled) >= COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[number] = (
                await self._aside(lambda: recalled(found, self._plan, self._registry)) if found else None
            )
        return self._compiled[number]


def recalled(found: Revision, today: Plan, registry: Registry) -> Plan | None:
    """Return a plan of another day, or None if it cannot be compiled any more: function files may be gone."""
    try:
        return compile_plan(read_tables(found.tables, today.loaded.folder, env=None), registry)
    except (HeadraceError, OSError):
        return None
