"""Violations: how many events broke which rule of a contract, the last of them, and one with its event."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.console.chosen import whole_number
from actors.console.past import find_violation
from actors.console.visit import Page, Visit
from actors.console.words import called
from engine.observe.breached import whole_breach
from engine.runtime.http_message import Response
from engine.violated import Violated, Wanted

SHOWN: Final = 100
MOST: Final = 1000
COUNTED: Final = 60
"""Lines of the counts that are shown at once."""


async def listed(visit: Visit) -> Response:
    """Show counts, and the newest that match."""
    query = visit.query
    wanted = {name: query.get(name, "") for name in ("contract", "source", "event")}
    limit = min(MOST, whole_number(query.get("limit", "")) or SHOWN)
    found = await visit.operator.violations(msgspec.convert({**wanted, "limit": limit + 1}, Wanted))
    counts = await visit.operator.breach_counts()
    named = wanted["event"]
    own = [
        one
        for one in counts
        if wanted["contract"] in {"", one.contract} and named in {"", called(one.event), one.event.partition(" ")[0]}
    ]
    plan = visit.operator.plan()
    return await visit.page(
        "violations.html",
        wanted=wanted,
        contracts=sorted({*plan.config.contracts, *(one.contract for one in counts)}),
        sources=list(plan.config.sources),
        counts=own[:COUNTED],
        hidden=own[COUNTED:],
        most=max((one.events for one in own), default=1),
        found=found[:limit],
        more=min(MOST, limit * 2) if len(found) > limit and limit < MOST else 0,
    )


async def show(visit: Visit) -> Response:
    """Show one event and what it broke."""
    one = await find_violation(visit.operator, visit.path["id"])
    whole = whole_breach(one)
    broken = [(rule, *_parted(text)) for rule, text in zip(one.rules, one.violations, strict=False)]
    return await visit.page("violation.html", one=whole, at=one.at, fate=fate(one), broken=broken)


def fate(one: Violated) -> str:
    """Return in a word what became of it by this contract."""
    return "tried out" if one.shadow else "allowed" if one.allowed else "blocked"


def _parted(text: str) -> tuple[str, str]:
    """Return the JSON pointer, "" for the whole event, and what is said of it."""
    pointer, colon, said = text.partition(": ")
    return (pointer.removesuffix("/"), said) if colon and pointer.startswith("/") else ("", text)


PAGES: Final = (
    Page(path="/violations", show=listed, name="Violations"),
    Page(path="/violations/{id}", show=show),
)
