"""What the configuration was when the engine last ran, as far as what it left behind needs it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.config.load import read_tables
from engine.errors import HeadraceError
from engine.plan import Plan, SourcePlan, compile_plan
from engine.plan.diff import reads_alike
from engine.plan.functions import Functions
from engine.registry import Registry
from engine.store.base import Store
from engine.store.revisions import heads, revision
from engine.store.start import Beginning


class Former(msgspec.Struct, frozen=True, kw_only=True):
    """See `Beginning.eras` and `Beginning.known`."""

    eras: dict[str, list[tuple[int, SourcePlan]]] = {}
    known: dict[str, frozenset[str]] = {}


async def former_plan(store: Store, plan: Plan, registry: Registry) -> Plan | None:
    """Return the configuration before *plan*, its functions left out; None if it is the same, or is not kept.

    So is one that cannot be compiled any more, since a plugin of it is gone: what it made is read as today's.
    """
    kept = await heads(store)
    if not kept or kept[-1].digest == plan.digest:
        return None
    stored = await revision(store, kept[-1].number)
    if stored is None:
        return None
    tables, with_functions = _without_functions(stored.tables)
    try:
        old = compile_plan(read_tables(tables, plan.loaded.folder, env=None), registry)
    except HeadraceError:
        return None
    for name in with_functions & old.sources.keys():
        old.sources[name].functions = Functions(name, [])
    return old


def remembered(old: Plan | None, plan: Plan, beginning: Beginning) -> Former:
    """Return what is needed of *old* where *plan* takes over."""
    if old is None:
        return Former()
    eras = {
        name: [(beginning.cursor(name), former)]
        for name, former in old.sources.items()
        if name in plan.sources and not reads_alike(former, plan.sources[name])
    }
    known = {
        name: old.syncs[was].event_types_beside()
        for name, sync in plan.syncs.items()
        if (was := sync.was if sync.was in old.syncs else name) in old.syncs
    }
    return Former(eras=eras, known=known)


def _without_functions(tables: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return *tables* without functions, whose files may be gone, and the sources that had some.

    What these made is stored; nobody calls them again.
    """
    sources = tables.get("sources", {})
    had = {name for name, table in sources.items() if table.get("functions")}
    bare = {name: {key: value for key, value in table.items() if key != "functions"} for name, table in sources.items()}
    return {**tables, "sources": bare, "functions": {}, "cases": []}, had
