"""``headrace top``: the engine live, a table that changes in place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from engine.cli.asking import ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, ms, say_json

if TYPE_CHECKING:
    from engine.cli import House
    from engine.observe.status import Status, SyncStatus

Every = Annotated[float, Parameter(help="Seconds between two looks."), Parameter(validator=Number(gte=0.1))]
Times = Annotated[
    int, Parameter(show_default=False, help="End after so many looks."), Parameter(validator=Number(gte=1))
]


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """What one sync did between two looks, per second.

    Attributes:
        delivered, filtered, archived: fates given.
        growth: by how many more deliveries are pending; below 0 while it catches up.
        left: seconds until nothing is pending if it goes on like this; None if it does not end so.
    """

    sync: str
    state: str
    delivered: float
    filtered: float
    archived: float
    pending: int
    growth: float
    left: float | None
    p50: float | None
    p99: float | None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The engine between two looks.

    Attributes:
        accepted: events per second.
        restarts: of all actors since start.
    """

    at: float
    accepted: float
    restarts: int
    full: str
    syncs: tuple[Pulse, ...]


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``top`` on *app*."""

    @app.command(name="top")
    def top(
        *, config: ConfigFile = DEFAULT, every: Every = 1.0, times: Times | None = None, json: AsJson = False
    ) -> int:
        """Show live what each sync does: rates, what is pending, how long that will take, and latency.

        On a terminal it goes on until Ctrl-C; elsewhere it looks once, unless --times says more.

        Example: headrace top --every 2

        Args:
            config: The configuration file.
            every: Seconds between two looks.
            times: End after so many looks.
            json: Print one JSON object for each look.
        """
        import sys  # noqa: PLC0415 - only to see whether there is a terminal

        from engine.cli.screen import screen  # noqa: PLC0415 - it brings the client and the loop
        from engine.observe.status import Status  # noqa: PLC0415 - with the console's table

        left = times if times is not None else None if sys.stdout.isatty() else 1
        with screen() as draw:
            before, at = ask(config, "GET", "/status", Status), time.monotonic()
            while left is None or left > 0:
                time.sleep(every)
                now, later = ask(config, "GET", "/status", Status), time.monotonic()
                look = between(before, now, later - at)
                if json:
                    say_json(look)
                else:
                    draw(lines(look))
                before, at = now, later
                left = None if left is None else left - 1
        return 0


def between(before: Status, now: Status, seconds: float) -> Look:
    """Return what happened between two looks, *seconds* apart; what has appeared meanwhile counts from nothing."""
    old = {sync.name: sync for sync in before.syncs}
    return Look(
        at=time.time(),
        accepted=(now.last - before.last) / seconds,
        restarts=sum(now.restarts.values()),
        full=now.full,
        syncs=tuple(_pulse(old.get(sync.name), sync, seconds) for sync in now.syncs),
    )


def _pulse(old: SyncStatus | None, now: SyncStatus, seconds: float) -> Pulse:
    def rate(after: int, before: int) -> float:
        return (after - before) / seconds

    waits = now.pending + now.lag
    growth = rate(waits, old.pending + old.lag) if old else 0.0
    return Pulse(
        sync=f"{now.name}: {now.source} → {now.destination}",
        state=now.state,
        delivered=rate(now.delivered, old.delivered if old else 0),
        filtered=rate(sum(now.filtered.values()), sum(old.filtered.values()) if old else 0),
        archived=rate(now.archived, old.archived if old else 0),
        pending=waits,
        growth=growth,
        left=0.0 if not waits else waits / -growth if growth < 0 else None,
        p50=now.p50,
        p99=now.p99,
    )


def lines(look: Look) -> list[str]:
    """Return *look* as lines for a person."""
    head = f"{time.strftime('%H:%M:%S', time.localtime(look.at))}  {look.accepted:,.0f} events/s accepted"
    if look.restarts:
        head += f", {look.restarts:,} restarts"
    titles = ("sync", "state", "delivered/s", "filtered/s", "archived/s", "pending", "+/s", "done in", "p50", "p99")
    table = columns([titles, *(_cells(one) for one in look.syncs)], left=2)
    return [head, *([f"EVENTS ARE REFUSED: {look.full}"] if look.full else []), "", *table]


def _cells(one: Pulse) -> tuple[str, ...]:
    rates = (f"{one.delivered:,.0f}", f"{one.filtered:,.0f}", f"{one.archived:,.0f}")
    left = "-" if one.left is None else f"{one.left:,.0f} s"
    return (one.sync, one.state, *rates, f"{one.pending:,}", f"{one.growth:+,.0f}", left, ms(one.p50), ms(one.p99))
