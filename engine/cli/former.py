"""What the configuration was when the engine last ran, as far as what it left behind needs it."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.plan import Plan, SourcePlan
from engine.plan.diff import reads_alike
from engine.plan.eras import MOST
from engine.plan.functions import Functions
from engine.plan.then import recalled
from engine.registry import Registry
from engine.store.base import Store
from engine.store.revisions import Revision, heads, revision
from engine.store.start import Beginning

JUDGING = ("sources", "contracts", "windows")
"""The tables by which events are judged, beside functions, whose results are stored."""


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
    return None if stored is None else _recalled(stored, plan, registry)


async def remembered(store: Store, old: Plan | None, plan: Plan, beginning: Beginning) -> Former:
    """Return what is needed of *old*, and of the plans before it, where *plan* takes over; not kept in *store* yet."""
    known = {
        name: old.syncs[was].event_types_beside()
        for name, sync in plan.syncs.items()
        if old and (was := sync.was if sync.was in old.syncs else name) in old.syncs
    }
    return Former(eras=await _eras(store, old, plan, beginning), known=known)


async def _eras(
    store: Store, old: Plan | None, plan: Plan, beginning: Beginning
) -> dict[str, list[tuple[int, SourcePlan]]]:
    """Return by source the plans that judged what is in the log, and up to where, but for *plan*."""
    eras: dict[str, list[tuple[int, SourcePlan]]] = {name: [] for name in plan.sources}
    upto = {name: beginning.cursor(name) for name in plan.sources}
    newer = _judging(plan.loaded.tables)
    kept = (await heads(store))[-MOST:]
    for head in reversed(kept):
        stored = await revision(store, head.number)
        if stored is None:
            break
        tables = _judging(stored.tables)
        if tables != newer:
            former = old if head is kept[-1] else _recalled(stored, plan, plan.registry)
            for name, source in former.sources.items() if former else ():
                after = eras[name][0][1] if eras.get(name) else plan.sources.get(name)
                if name in upto and after and not reads_alike(source, after):
                    eras[name].insert(0, (upto[name], source))
        newer, upto = tables, head.judged
    return eras


def _judging(tables: dict[str, Any]) -> bytes:
    """Return what tells tables by which events are judged from others, as they are now."""
    return msgspec.json.encode([tables.get(name) for name in JUDGING])


def _recalled(stored: Revision, plan: Plan, registry: Registry) -> Plan | None:
    """Return the plan of a revision, its functions left out; None if it cannot be compiled any more."""
    tables, with_functions = _without_functions(stored.tables)
    old = recalled(msgspec.structs.replace(stored, tables=tables), plan, registry)
    sources = old.sources if old else {}
    for name in with_functions & sources.keys():
        sources[name].functions = Functions(name, [])
    return old


def _without_functions(tables: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Return *tables* without functions, whose files may be gone, and the sources that had some.

    What these made is stored; nobody calls them again.
    """
    sources = tables.get("sources", {})
    had = {name for name, table in sources.items() if table.get("functions")}
    bare = {name: {key: value for key, value in table.items() if key != "functions"} for name, table in sources.items()}
    return {**tables, "sources": bare, "functions": {}, "cases": []}, had
