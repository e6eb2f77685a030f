"""Changes of many entries: how many there are, before anything is done; and how far those are that were begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import trio

from actors.console import words
from actors.console.answers import Refused
from actors.console.bulk import Bulk
from actors.console.chosen import STATES, Chosen, chosen
from actors.console.live import as_event
from actors.console.pages.errors import counted
from actors.console.visit import Page, Visit
from engine.errors import HeadraceError
from engine.messages import State
from engine.runtime.http_message import Response
from engine.store.base import Selection
from engine.store.replays import Became, Replay, Wish

PATIENCE: Final = 4.0
"""Seconds that a replay is counted for a page; what is not counted by then, it says."""
MEANT: Final = {
    "retry": ((State.ARCHIVED,), (State.ARCHIVED, State.RETRYING)),
    "discard": ((State.ARCHIVED,), (State.ARCHIVED, State.RETRYING)),
    "replay": ((State.ARCHIVED, State.BLOCKED), (State.ARCHIVED, State.BLOCKED, State.DISCARDED)),
}
"""By change: the states that are meant if nobody says, and all that it can be done to."""
COUNTS: Final = Became.__struct_fields__


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """One change on its way, for people.

    Attributes:
        key: by which the browser finds it.
        what: in words.
        state, tone: how it stands.
        far: 0 to 100.
        told: numbers, in words.
        stop: the path that ends it, or "".
    """

    key: str
    what: str
    about: str
    at: float
    state: str
    far: float
    told: str
    held: str = ""
    stop: str = ""


async def asked(visit: Visit) -> Response:
    """Show what a change would be done to, and the form that does it."""
    change = visit.path["change"]
    if change not in MEANT:
        raise Refused(404, "not_found", f"entries are retried, replayed or discarded, not '{change}'")
    wanted = chosen(visit.request.query)
    selection = _selection(change, wanted, visit.now)
    context: dict[str, Any] = {
        "change": change,
        "wanted": wanted,
        "back_to": wanted.address("/errors", **({"ids": ""} if wanted.ids else {})),
        "wrong": wanted.wrong(visit.now),
    }
    if selection is None or context["wrong"]:
        return await visit.page("bulk.html", selection=None, count=0, whole=True, fields=[], **context)
    if change == "replay":
        return await _replay(visit, selection, context)
    tally = await counted(visit, selection)
    return await visit.page(
        "bulk.html",
        selection=selection,
        count=tally.count,
        whole=tally.state == "done",
        groups=tally.groups,
        fields=_fields(selection, "states"),
        **context,
    )


async def _replay(visit: Visit, selection: Selection, context: dict[str, Any]) -> Response:
    """Show what a replay would do: contract, filter and mapping of today are asked about each entry."""
    parts = {name: getattr(selection, name) for name in ("ids", "sync", "stage", "reason", "text", "since", "until")}
    fates: Any = tuple(str(state) for state in selection.states)
    replay = Replay(wish=Wish(fates=fates, **parts), at=visit.now)
    error = ""
    try:
        with trio.move_on_after(PATIENCE):
            while replay.state == "running":
                replay = await visit.operator.count_replay(replay)
    except HeadraceError as problem:
        error = str(problem)
    return await visit.page(
        "bulk.html",
        selection=selection,
        count=sum(one.sent for one in replay.became.values()),
        whole=replay.state == "done",
        replay=replay,
        columns=COUNTS,
        error=error,
        fields=_fields(selection, "fates"),
        **context,
    )


def _selection(change: str, wanted: Chosen, now: float) -> Selection | None:
    """Return what a change is about, up to this moment; None if it cannot be done to any of these."""
    unsaid, able = MEANT[change]
    selection = wanted.selection(now)
    if wanted.state in STATES and wanted.state not in {"", "all"}:
        states = tuple(state for state in selection.states if state in able)
    else:
        states = able if wanted.ids or wanted.state == "all" else unsaid
    return msgspec.structs.replace(selection, states=states, until=selection.until or now) if states else None


def _fields(selection: Selection, states: str) -> list[tuple[str, str]]:
    """Return what a form says of *selection*: name and value, a name as often as it has values."""
    single = [(name, getattr(selection, name)) for name in ("sync", "stage", "reason", "text", "since", "until")]
    return [
        *((name, str(value)) for name, value in single if value),
        *(("ids", one) for one in selection.ids),
        *((states, str(state)) for state in selection.states),
    ]


async def progress(visit: Visit) -> Response:
    """Show how far changes of many entries are."""
    return await visit.page("progress.html", moving=await _moving(visit))


async def live(visit: Visit) -> Response:
    """Say every second how far they are."""

    async def follow(send: Callable[[bytes], Awaitable[None]]) -> None:
        while True:
            await send(as_event(facts(await _moving(visit))))
            await visit.house.live.sleep(1.0)

    return visit.house.live.stream(follow)


def facts(moving: list[Moving]) -> dict[str, Any]:
    """Return what an open page takes over."""
    return {
        "texts": {
            f"{one.key}:{name}": text
            for one in moving
            for name, text in (("state", words.said(one.state)), ("told", one.told), ("held", one.held))
        },
        "tones": {f"{one.key}:state": words.tone(one.state) for one in moving},
        "widths": {f"{one.key}:far": one.far for one in moving},
        "numbers": {},
    }


async def _moving(visit: Visit) -> list[Moving]:
    replays = (await visit.operator.replays()).kept
    every = [*map(_of_bulk, visit.house.api.bulks.known()), *map(_of_replay, replays)]
    return sorted(every, key=lambda one: -one.at)


def _of_bulk(one: Bulk) -> Moving:
    return Moving(
        key=f"bulk:{one.number}",
        what=f"{one.change.capitalize()} in bulk, number {one.number}",
        about=_about(one.selection),
        at=one.at,
        state=one.state,
        far=100.0 if one.state == "done" else round(one.place / (one.all or 1) * 100, 1),
        told=f"{one.changed:,} of {one.matched:,} entries that matched",
        held=one.error,
        stop=f"/bulk/{one.number}/stop" if one.state == "running" else "",
    )


def _of_replay(one: Replay) -> Moving:
    sums = {name: sum(getattr(each, name) for each in one.became.values()) for name in COUNTS}
    return Moving(
        key=f"replay:{one.number}",
        what=f"Replay {one.number}",
        about=_about(one.wish.selection()),
        at=one.at,
        state=one.state,
        far=100.0 if one.state == "done" else round(one.place.done / (one.place.all or 1) * 100, 1),
        told=", ".join(f"{count:,} {name}" for name, count in sums.items() if count) or "nothing yet",
        held=one.held,
        stop=f"/replays/{one.number}/stop" if one.state == "running" else "",
    )


def _about(selection: Selection) -> str:
    """Return in words which entries are meant."""
    ids = [f"{len(selection.ids):,} chosen"] if len(selection.ids) > 1 else [*selection.ids]
    named = [
        f"{name} {value}"
        for name in ("sync", "source", "stage", "reason", "text")
        if (value := getattr(selection, name))
    ]
    return ", ".join([*ids, *map(str, selection.states), *named])


PAGES: Final = (
    Page(path="/errors/progress", show=progress),
    Page(path="/live/errors/progress", show=live),
    Page(path="/errors/all/{change}", show=asked),
)
