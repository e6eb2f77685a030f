"""``headrace status``: sources, syncs and destinations at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.asking import NotRunning, ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, data_folder, read_config, say_json
from engine.config.load import Loaded

if TYPE_CHECKING:
    from engine.cli import House
    from engine.config.schema import Sync
    from engine.observe.status import Status, SyncStatus
    from engine.store.base import Progress


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``status`` on *app*."""

    @app.command(name="status")
    def status(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """Show sources, syncs and destinations: state, lag, oldest pending, last delivery.

        Asks the running engine; if none runs, shows what the store has.

        Example: headrace status --json

        Args:
            config: The configuration file.
            json: Print JSON, for machines.
        """
        found = read_status(config)
        if json:
            say_json(found)
        else:
            show(found)
        return 0


def read_status(config: Path) -> Status:
    """Return the status of the running engine, or what the store says if none runs.

    Raises:
        StoreError: no engine, and no store.
    """
    from engine.observe.status import Status  # noqa: PLC0415 - imported with the console's table

    loaded = read_config(config, secrets=False)
    try:
        return ask(config, "GET", "/status", Status)
    except NotRunning:
        return _stored(loaded)


def _stored(loaded: Loaded) -> Status:
    """Return what the store of an engine that does not run has; lags are at most as large."""
    from engine.observe.status import DestinationStatus, SourceStatus, Status, source_tallies  # noqa: PLC0415
    from engine.store.opening import open_reader  # noqa: PLC0415

    with open_reader(data_folder(loaded)) as reader:
        counts, usage, last = reader.counts(), reader.usage(), reader.last()
        judged = {cursor.source: cursor.position for cursor in reader.cursors()}
        pages = {page.sync: page for page in reader.progress()}
    config = loaded.config
    return Status(
        running=False,
        last=last,
        used=usage.used,
        free=usage.free,
        sources=tuple(
            SourceStatus(name=name, lag=last - judged.get(name, 0), **source_tallies(counts, name))
            for name in config.sources
        ),
        syncs=tuple(
            _sync(name, sync, pages.get(name), judged.get(sync.source, 0), counts)
            for name, sync in config.syncs.items()
        ),
        destinations=tuple(DestinationStatus(name=name, type=each.type) for name, each in config.destinations.items()),
    )


def _sync(
    name: str, sync: Sync, page: Progress | None, judged: int, counts: Mapping[tuple[str, str], int]
) -> SyncStatus:
    """Return one sync that does not run; one without a page has not begun."""
    from engine.observe.status import SyncStatus, tallies  # noqa: PLC0415 - as above

    return SyncStatus(
        name=name,
        source=sync.source,
        destination=sync.destination,
        lag=max(judged - page.high, 0) if page else 0,
        open=len(page.open) if page else 0,
        **tallies(counts, name),
    )


def show(status: Status) -> None:
    """Print *status* as tables for a person."""
    from rich.console import Console  # noqa: PLC0415 - machines need none of it
    from rich.table import Table  # noqa: PLC0415

    console = Console()
    head = "running" if status.running else "not running; this is what the store has"
    console.print(f"headrace is {head}: {status.last:,} events accepted, {status.used / 2**20:,.1f} MiB used")
    if status.full:
        console.print(f"[bold]events are refused:[/bold] {status.full}")
    for title, columns, lines in _tables(status):
        table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
        for line in lines:
            table.add_row(*line)
        console.print(table)


def _tables(status: Status) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return (title, columns, lines) of each table."""
    sources = [
        [one.name, one.state or "-", f"{one.passed:,}", f"{one.blocked:,}", f"{one.failed:,}", f"{one.lag:,}"]
        for one in status.sources
    ]
    syncs = [
        [
            one.name,
            f"{one.source} → {one.destination}",
            one.state or "-",
            *(f"{count:,}" for count in (one.matched, sum(one.filtered.values()), one.delivered, one.archived)),
            f"{one.pending:,}",
            f"{one.lag:,}",
            _age(one.oldest_pending),
            _age(None if one.last_delivery is None else max(time.time() - one.last_delivery, 0.0)),
        ]
        for one in status.syncs
    ]
    destinations = [
        [one.name, one.type, one.state or "-", f"{one.waiting:,}", f"{one.in_flight:,}", one.reason]
        for one in status.destinations
    ]
    fates = ["matched", "filtered", "delivered", "archived", "pending"]
    return [
        ("sources", ["name", "state", "passed", "blocked", "failed", "lag"], sources),
        ("syncs", ["name", "", "state", *fates, "lag", "oldest", "last delivery"], syncs),
        ("destinations", ["name", "type", "state", "waiting", "in flight", "why"], destinations),
    ]


def _age(seconds: float | None) -> str:
    """Return how long ago something was, in one unit."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
