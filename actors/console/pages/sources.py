"""Sources, and the debugger: what comes by one, live, with its verdict and what every sync makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from actors.console import words
from actors.console.answers import Refused, unknown
from actors.console.live import as_event
from actors.console.visit import Page, Visit
from engine.errors import LangError
from engine.lang.filters import compile_filter
from engine.observe.shown import Looked, Looking, Looks
from engine.runtime.http_message import Feed, Response

FIRST: Final = 100
"""Events shown when the page is opened."""
NEWEST: Final = 25
"""Events shown a second, the newest; the others are counted, not looked at."""
SEARCHED: Final = 100
"""Events a second that a filter is asked about."""
QUIET: Final = 15.0
"""Seconds after which a feed without events says that it is still there."""
PACE: Final = 0.5
"""Seconds between two looks, at least."""


async def listed(visit: Visit) -> Response:
    """Show all sources."""
    status = await visit.operator.status()
    plan = visit.operator.plan()
    return await visit.page("sources.html", sources=[(one, plan.config.sources[one.name]) for one in status.sources])


async def debug(visit: Visit) -> Response:
    """Show what came by one source."""
    name = visit.path["name"]
    text, search = visit.query.get("filter", ""), visit.query.get("search", "")
    looks, wrong = Looks(upto=0), _fault(text)
    if not wrong:
        looks = await _look(visit, Looking(limit=500 if text or search else FIRST, filter=text))
    status = next((one for one in (await visit.operator.status()).sources if one.name == name), None)
    if status is None:
        raise unknown("source", name)
    looked = [one for one in reversed(looks.looked) if search.lower() in one.raw.lower()][:FIRST]
    plan = visit.operator.plan()
    return await visit.page(
        "source.html",
        source=status,
        settings=plan.config.sources[name],
        syncs=[sync.name for sync in plan.syncs.values() if sync.source == name],
        shown=[told(one) for one in looked],
        upto=looks.upto,
        filter=text,
        search=search,
        wrong=wrong,
    )


async def live(visit: Visit) -> Response:
    """Say what comes by one source, as it comes."""
    if wrong := _fault(visit.query.get("filter", "")):
        raise Refused(400, "bad_filter", wrong)
    after = visit.request.header("last-event-id") or visit.query.get("after", "")
    await _look(visit, Looking(limit=1))  # there is such a source
    return visit.house.live.stream(_following(visit, int(after) if after.isdecimal() else 0))


def _following(visit: Visit, after: int) -> Feed:
    text = visit.query.get("filter", "")

    async def follow(send: Callable[[bytes], Awaitable[None]]) -> None:
        upto = after
        while True:
            limit = SEARCHED if text else NEWEST
            looks = await _look(visit, Looking(after=upto, limit=limit, wait=QUIET, filter=text))
            upto = looks.upto
            said = {"skipped": looks.skipped, "shown": [told(one) for one in looks.looked[-NEWEST:]]}
            await send(as_event(said, upto) if looks.looked or looks.skipped else b": quiet\n\n")
            await visit.house.live.sleep(PACE)

    return follow


def told(one: Looked) -> dict[str, Any]:
    """Return one event as a line of the page has it; the browser shows every value as text."""
    event = one.seen.event if isinstance(one.seen.event, dict) else {}
    name = event.get("event") or event.get("name") or ""
    return {
        "n": one.seen.n,
        "clock": words.clock(one.seen.at),
        "iso": words.iso(one.seen.at),
        "verdict": one.seen.verdict,
        "tone": words.tone(one.seen.verdict),
        "why": ": ".join(part for part in (one.seen.reason, one.seen.message) if part),
        "type": str(event.get("type") or ""),
        "name": str(name),
        "user": str(event.get("userId") or event.get("anonymousId") or ""),
        "id": one.seen.message_id,
        "took": [
            {
                "sync": took.sync,
                "tone": words.tone(took.verdict),
                "as": took.event_type if took.verdict == "deliver" else took.reason or took.verdict,
            }
            for took in one.took
        ],
        "pretty": words.pretty(one.seen.event),
        "raw": one.raw,
    }


async def _look(visit: Visit, wanted: Looking) -> Looks:
    looks = await visit.operator.look(visit.path["name"], wanted)
    if looks is None:
        raise unknown("source", visit.path["name"])
    return looks


def _fault(text: str) -> str:
    """Return what is wrong with a filter, or ""."""
    try:
        if text:
            compile_filter(text)
    except LangError as error:
        return str(error)
    return ""


PAGES: Final = (
    Page(path="/sources", show=listed, name="Sources"),
    Page(path="/sources/{name}", show=debug),
    Page(path="/live/sources/{name}", show=live),
)
