"""Errors: what failed, waits or was archived, by reason; one entry with all that is known of it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import trio

from actors.console.chosen import SAID, STATES, Chosen, chosen
from actors.console.visit import Page, Visit
from engine.errors import StoreError
from engine.messages import Stage, State, Trouble
from engine.observe.advice import advice_on
from engine.runtime.http_message import Response
from engine.store.base import Selection
from engine.store.tallying import Tally

ON_PAGE: Final = 50
PATIENCE: Final = 2.0
"""Seconds that a page counts; what is not counted by then, it says."""
RETRIED: Final = {State.ARCHIVED, State.RETRYING}
"""What can be sent as it is, or discarded."""
REPLAYED: Final = {State.ARCHIVED, State.BLOCKED, State.DISCARDED}


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the groups.

    Attributes:
        link: chooses only these.
        next: what to do.
        share: of the largest group, 0 to 100.
    """

    state: str
    reason: str
    count: int
    link: str
    next: str
    share: float


async def listed(visit: Visit) -> Response:
    """Show a page of entries, and all that match by reason."""
    wanted = chosen(visit.request.query)
    after = visit.query.get("after", "")
    found, lost = await _page(visit, wanted, after)
    tally = await counted(visit, wanted.selection(visit.now))
    more = len(found) > ON_PAGE
    return await visit.page(
        "errors.html",
        wanted=wanted,
        wrong=wanted.wrong(visit.now),
        syncs=sorted({*visit.operator.plan().syncs, *([wanted.sync] if wanted.sync else [])}),
        states=[(key, SAID.get(key, key)) for key in STATES],
        stages=[str(stage) for stage in Stage],
        tally=tally,
        reasons=_reasons(wanted, tally),
        entries=found[:ON_PAGE],
        paged=bool(after),
        lost=lost,
        older=wanted.address("/errors", after=found[ON_PAGE - 1].id) if more else "",
        address=wanted.address,
    )


async def show(visit: Visit) -> Response:
    """Show one entry."""
    found = await visit.operator.error(visit.path["id"])
    if found is None:
        return await visit.page("error_gone.html", status=404, id=visit.path["id"])
    state = State(found.state)
    return await visit.page(
        "error.html",
        one=found,
        can_retry=state in RETRIED and found.payload is not None,
        can_discard=state in RETRIED,
        can_replay=state in REPLAYED,
        known=found.sync in visit.operator.plan().syncs,
    )


async def counted(visit: Visit, selection: Selection) -> Tally:
    """Return how many entries match, or as far as one may wait for it."""
    tally = Tally(selection=selection)
    with trio.move_on_after(PATIENCE):
        while tally.state != "done":
            tally = await visit.operator.tally(tally)
    return tally


async def _page(visit: Visit, wanted: Chosen, after: str) -> tuple[list[Trouble], bool]:
    """Return a page, and whether the entry that it follows is gone; then it is the first page."""
    part: dict[str, Any] = {"limit": ON_PAGE + 1}
    try:
        return await visit.operator.errors(wanted.selection(visit.now, after=after, **part)), False
    except StoreError:
        if not after:
            raise
        return await visit.operator.errors(wanted.selection(visit.now, **part)), True


def _reasons(wanted: Chosen, tally: Tally) -> list[Reason]:
    most = max((group.count for group in tally.groups), default=1)
    return [
        Reason(
            state=group.state,
            reason=group.reason,
            count=group.count,
            link=wanted.address("/errors", state=str(group.state), reason=group.reason),
            next=advice_on(group.state, group.reason),
            share=round(group.count / most * 100, 1),
        )
        for group in tally.groups
    ]


PAGES: Final = (
    Page(path="/errors", show=listed, name="Errors"),
    Page(path="/errors/{id}", show=show),
)
