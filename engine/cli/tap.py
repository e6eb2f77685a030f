"""``headrace tap``: the events that come by, with what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, iso, names_of, read_places, say, say_json, warn
from engine.errors import HeadraceError, LangError, did_you_mean, one_of
from engine.lang.filters import compile_filter
from engine.observe.shown import Page, Seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.cli import House

WAIT = 3.0
"""Seconds the engine waits for an event before it says that there is none."""
PAGE = 200
"""Events asked for at a time."""


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``tap`` on *app*."""

    @app.command(name="tap")
    def tap(
        name: Annotated[str, Parameter(help="A source or a sync.")],
        /,
        *,
        filter: Annotated[str, Parameter(help="Show only events for which this is true.")] = "",  # noqa: A002
        limit: Annotated[int, Parameter(help="End after so many; 0 goes on for ever.")] = 0,
        once: Annotated[bool, Parameter(negative="", help="Show what is kept, and end.")] = False,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Show the events that come by a source or a sync, the last 500 and then each, with their verdicts.

        Looking holds nobody up: when too many come, some are not shown, and how many is told.

        Example: headrace tap shop --filter 'event = "Order Completed"' --limit 10

        Args:
            name: A source or a sync.
            filter: Show only events for which this is true.
            limit: End after so many.
            once: Show what is kept, and end.
            config: The configuration file.
            json: Print one JSON object a line.
        """
        path = _path(config, name)
        takes = _compiled(filter)
        after = shown = 0
        while True:
            page = ask(config, "GET", f"{path}?after={after}&limit={PAGE}&wait={0 if once else WAIT}", Page)
            if page.missed and after:
                warn(f"{page.missed} events came too fast to be shown")
            for seen in filter_(page, takes):
                say_json(seen) if json else say(_line(seen))
                shown += 1
                if shown == limit:
                    return 0
            if once and page.upto == after:
                return 0
            after = page.upto


def filter_(page: Page, takes: Callable[[dict[str, object]], bool]) -> list[Seen]:
    """Return what *takes* is true for; what is no object is shown only without a filter."""
    return [seen for seen in page.seen if takes(seen.event if isinstance(seen.event, dict) else {})]


def _compiled(text: str) -> Callable[[dict[str, object]], bool]:
    if not text:
        return lambda _: True
    try:
        return compile_filter(text).test
    except LangError as error:
        raise HeadraceError(f"--filter: {error}") from None


def _path(file: Path, name: str) -> str:
    """Return where the control endpoint has *name*."""
    loaded = read_places(file)
    sources, syncs = names_of(loaded, "sources"), names_of(loaded, "syncs")
    kinds = [kind for kind, known in (("sources", sources), ("syncs", syncs)) if name in known]
    if len(kinds) == 1:
        return f"/{kinds[0]}/{quote(name, safe='')}/tap"
    kind, _, rest = name.partition(":")
    if kind in {"source", "sync"} and rest:
        return f"/{kind}s/{quote(rest, safe='')}/tap"
    if kinds:
        raise HeadraceError(f"'{name}' is a source and a sync\n    say source:{name} or sync:{name}")
    known = [*sources, *syncs]
    raise HeadraceError(f"no source and no sync '{name}'\n    {did_you_mean(name, known) or one_of(known)}")


def _line(seen: Seen) -> str:
    event = seen.event if isinstance(seen.event, dict) else {}
    what = event.get("event") or event.get("name") or ""
    who = event.get("userId") or event.get("anonymousId") or ""
    parts = [iso(seen.at), seen.verdict, seen.event_type, str(event.get("type") or ""), str(what), str(who)]
    told = ": ".join(part for part in (seen.reason, seen.message.partition("\n")[0]) if part)
    return "  ".join(part for part in (*parts, told) if part)
