"""Lineage: where an event is and why, by its messageId; a user's last events, each with the way to its own."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from actors.console.chosen import whole_number
from actors.console.visit import Page, Visit
from engine.observe.entries import Briefs
from engine.plan.tracing import Traced
from engine.plan.whereabouts import WHY, whereabouts
from engine.runtime.http_message import Response
from engine.store.base import Selection
from engine.violated import Wanted

KINDS: Final = ("messageId", "userId", "anonymousId")
"""By what may be looked."""
ON_PAGE: Final = 25
LONGEST: Final = 1000


async def show(visit: Visit) -> Response:
    """Show the way of an event, the events of a user, or where to ask."""
    kind = by if (by := visit.query.get("by", "")) in KINDS else KINDS[0]
    value = visit.query.get("value", "").strip()[:LONGEST]
    context: dict[str, Any] = {"by": kind, "value": value, "kinds": KINDS, "why": WHY, "ways": [], "events": None}
    if value and kind == KINDS[0]:
        context |= await _way(visit, value)
    elif value:
        context |= await _events(visit, (kind, value))
    return await visit.page("lineage.html", **context)


async def _way(visit: Visit, message_id: str) -> dict[str, Any]:
    traced = await visit.operator.trace(message_id)
    ways = [await _one(visit, one) for one in traced]
    if ways:
        return {"ways": ways}
    kept = await visit.operator.errors(Selection(text=message_id))
    return {"ways": [], "kept": [one for one in kept if one.message_id == message_id]}


async def _one(visit: Visit, one: Traced) -> dict[str, Any]:
    """Return what is shown of one event."""
    source = visit.operator.plan().config.sources.get(one.source)
    return {
        "traced": one,
        "sentence": whereabouts(one),
        "contract": (source.contract or "") if source else "",
        "broken": await visit.operator.violations(Wanted(position=one.position, limit=10)),
    }


async def _events(visit: Visit, who: tuple[str, str]) -> dict[str, Any]:
    below = whole_number(visit.query.get("below", ""))
    found: Briefs = await visit.operator.of_user(who, below, ON_PAGE)
    older = urlencode({"by": who[0], "value": who[1], "below": found.below})
    return {"events": found.events, "older": f"/lineage?{older}" if found.below > 1 else ""}


PAGES: Final = (Page(path="/lineage", show=show, name="Lineage"),)
