"""``headrace erase``: one user's events and everything kept of them, gone from store and files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.choosing import Yes, agreed
from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, read_plan, say, say_json, warn
from engine.cli.owning import changed
from engine.cli.progress import Moved, bar
from engine.errors import HeadraceError
from engine.store.erasing import Erasure

if TYPE_CHECKING:
    from engine.cli import House
    from engine.plan import Plan, SourcePlan
    from engine.store.base import Store

LONG = 120.0
"""Seconds that one step may take: the last one overwrites what is free in the file."""
USAGE = 2


def put(app: App, house: House) -> None:
    """Put ``erase`` on *app*."""

    @app.command(name="erase")
    def erase(
        *,
        user_id: Annotated[str, Parameter(show_default=False, help="Everything of this userId.")] = "",
        anonymous_id: Annotated[str, Parameter(show_default=False, help="Everything of this anonymousId.")] = "",
        yes: Yes = False,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Erase a user: log, stored results, deliveries that wait, archive, broken contracts, remembered messageIds.

        A scan of the whole log. Positions and counts stay, so that the books balance; what waited counts as erased.
        What is in a request just now may still arrive, and what was delivered is with your tools. If it is interrupted,
        do it again: what is erased stays erased.

        Example: headrace erase --user-id u1 --yes

        Args:
            user_id: Everything of this userId.
            anonymous_id: Everything of this anonymousId.
            yes: Do not ask.
            config: The configuration file.
            json: Print JSON, for machines.
        """
        if bool(user_id) == bool(anonymous_id):
            raise HeadraceError("whose? name one: --user-id or --anonymous-id")
        begun = Erasure(kind="userId" if user_id else "anonymousId", value=user_id or anonymous_id)
        if not agreed(f"erase everything of {begun.kind} {begun.value!r}, for good?", yes=yes, else_=""):
            return USAGE
        with bar("erasing") as moved:
            done = changed(
                config,
                lambda: _online(config, begun, moved),
                lambda store: _offline(store, read_plan(config, house, secrets=False)[0], begun, moved),
            )
        if json:
            say_json(done)
        else:
            for line in _report(done):
                say(line)
        if not done.scrubbed:
            warn("somebody reads the store all the time: copies may be left in its write-ahead log; erase once more")
        return 0 if done.scrubbed else 1


def _online(config: Path, erasure: Erasure, moved: Moved) -> Erasure:
    while erasure.state != "done":
        erasure = ask(config, "POST", "/erase", Erasure, erasure, patience=LONG)
        moved(erasure.done, erasure.all)
    return erasure


async def _offline(store: Store, plan: Plan, erasure: Erasure, moved: Moved) -> Erasure:
    import trio  # noqa: PLC0415 - only where no engine runs

    from engine.plan.erasing import forget  # noqa: PLC0415 - likewise
    from engine.plan.then import Then  # noqa: PLC0415 - likewise

    then = Then(store, plan, plan.registry, trio.to_thread.run_sync)

    async def judge(source: str, position: int) -> SourcePlan | None:
        return await then.source(source, position) or plan.sources.get(source)

    while erasure.state != "done":
        erasure = (await forget(erasure, store, judge, time.time())).erasure
        moved(erasure.done, erasure.all)
    return erasure


def _report(done: Erasure) -> list[str]:
    """Return what was erased where, as lines."""
    entries = done.rows_erased
    cells = [
        ("events in the log", done.events),
        ("stored results of functions", done.results),
        ("deliveries that waited to be tried again", entries.get("retrying", 0)),
        ("deliveries that waited for their sender", done.taken),
        ("entries of the archive", sum(entries.values()) - entries.get("retrying", 0)),
        ("samples of broken contracts", done.violations),
        ("windows by that key", done.windows),
        ("remembered messageIds", done.remembered),
        ("in a request just now, and may still arrive", done.in_flight),
    ]
    return columns([(what, f"{count:,}") for what, count in cells], left=1)
