"""What would become of an event, asked of a running tree: functions run in processes of their own, nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from actors.functions import Runner
from engine.errors import HeadraceError
from engine.messages import Logged
from engine.plan import Plan, SourcePlan
from engine.plan.explain import before_functions, explain
from engine.plan.explained import Explained
from engine.results import Result

if TYPE_CHECKING:
    from actors.tree import Tree

PATIENCE = 10.0
"""Seconds that the functions of a source have, together, for one event and their start."""


async def rehearse(tree: Tree, event: dict[str, Any], source: str | None, plan: Plan | None = None) -> Explained:
    """Return what would become of *event* if it came now; with a *plan* of its own, if that ran.

    Raises:
        HeadraceError: no such source, several and none is named, or a function that does not answer.
    """
    now, plan = tree.clock.wall(), plan or _switched(tree)
    asked = before_functions(plan, event, source=source, at=now)
    result = await _ran(tree, *asked) if asked else None
    return explain(plan, event, source=source, at=now, result=result)


def _switched(tree: Tree) -> Plan:
    """Return what runs, with the syncs off that an operator disabled."""
    off = {name: sync.switched_off() for name, sync in tree.plan.syncs.items() if tree.switches.off(sync)}
    return msgspec.structs.replace(tree.plan, syncs=tree.plan.syncs | off) if off else tree.plan


async def _ran(tree: Tree, source: SourcePlan, logged: Logged, event: dict[str, Any]) -> Result:
    """Return what the source's functions make of one event, beside those that work for its validator."""
    runner = Runner(source, tree.clock)
    try:
        with trio.move_on_after(PATIENCE):
            (result,) = await runner.run([(logged, event)])
            return result
    finally:
        runner.kill()
    raise HeadraceError(f"a function of source '{source.name}' did not answer within {PATIENCE:g} s")
