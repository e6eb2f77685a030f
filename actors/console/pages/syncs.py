"""Syncs: the flow as a picture, one sync as the engine understands it, and a box to try an event in."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.console.answers import unknown
from actors.console.flow import BOX, WIDTH, picture
from actors.console.visit import Page, Visit
from engine.config.secrets import redacted
from engine.config.toml_text import as_toml
from engine.errors import HeadraceError
from engine.plan.explained import Explained, Walk
from engine.runtime.http_message import Response

LINKS: Final = {"source": "/sources/{}", "sync": "/syncs/{}", "destination": "/syncs#destination-{}"}
EXAMPLE: Final = '{\n  "type": "track",\n  "event": "Order Completed",\n  "userId": "u1",\n  "properties": {}\n}'
LARGEST: Final = 256 * 1024
"""Characters of an event that is tried."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One event type of a sync, for people.

    Attributes:
        hits: how many of the source's last events it takes.
        mapping: as TOML.
    """

    name: str
    type: str
    filter: str
    hits: int
    mapping: str


async def listed(visit: Visit) -> Response:
    """Show all syncs and destinations, and how they hang together."""
    engine = await visit.operator.status()
    return await visit.page("syncs.html", engine=engine, flow=picture(engine, LINKS), box=BOX, width=WIDTH)


async def show(visit: Visit) -> Response:
    """Show one sync."""
    return await _page(visit, visit.query.get("event", EXAMPLE))


async def tried(visit: Visit) -> Response:
    """Show one sync, and what it would make of an event."""
    text = visit.fields.get("event", "")
    try:
        explained = await visit.operator.explain(_event(text), _sync(visit).source)
    except HeadraceError as error:
        return await _page(visit, text, wrong=str(error))
    walks = [walk for walk in explained.syncs if walk.sync == visit.path["name"]]
    return await _page(visit, text, explained=explained, walks=walks)


async def _page(
    visit: Visit, text: str, *, wrong: str = "", explained: Explained | None = None, walks: list[Walk] | None = None
) -> Response:
    sync = _sync(visit)
    status = next(one for one in (await visit.operator.status()).syncs if one.name == sync.name)
    plan = visit.operator.plan()
    settings: dict[str, Any] = redacted(plan.config.syncs[sync.name])
    hits = await visit.operator.hits(sync.source)
    tables = settings.pop("event_types", [])
    kinds = [
        Kind(
            name=kind.name,
            type=kind.type,
            filter=kind.filter.text if kind.filter else "",
            hits=hits[sync.name, kind.name],
            mapping=as_toml(table.get("mapping") or {}).strip(),
        )
        for kind, table in zip(sync.event_types, tables, strict=False)
    ]
    return await visit.page(
        "sync.html",
        sync=status,
        settings=settings,
        destination=redacted(plan.config.destinations[sync.destination]),
        kinds=kinds,
        match=sync.match,
        looked=sum(count for (name, _), count in hits.items() if name == sync.name),
        unmatched=hits[sync.name, ""],
        event=text,
        wrong=wrong,
        explained=explained,
        walks=walks or [],
    )


def _sync(visit: Visit) -> Any:
    name = visit.path["name"]
    if name not in visit.operator.plan().syncs:
        raise unknown("sync", name)
    return visit.operator.plan().syncs[name]


def _event(text: str) -> dict[str, Any]:
    """Return the event that somebody pasted.

    Raises:
        HeadraceError: it is none.
    """
    if len(text) > LARGEST:
        raise HeadraceError(f"an event has at most {LARGEST:,} characters here")
    try:
        event = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HeadraceError(f"not JSON: {error}") from None
    if not isinstance(event, dict):
        raise HeadraceError("an event is one JSON object, in braces")
    return event


PAGES: Final = (
    Page(path="/syncs", show=listed, name="Syncs"),
    Page(path="/syncs/{name}", show=show),
    Page(path="/syncs/{name}", show=tried, posted=True),
)
