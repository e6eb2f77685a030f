"""``headrace status``: sources, syncs and destinations at a glance."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.asking import NotRunning, ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, data_folder, read_config, say_json
from engine.config.load import Loaded

if TYPE_CHECKING:
    from engine.cli import House
    from engine.observe.status import Status


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
    """Return what the store of an engine that does not run has."""
    from engine.observe.status import SourceStatus, Status, SyncStatus, source_tallies, tallies  # noqa: PLC0415
    from engine.store.opening import open_reader  # noqa: PLC0415

    reader = open_reader(data_folder(loaded))
    counts, usage = reader.counts(), reader.usage()
    pages = {page.sync: page for page in reader.progress()}
    return Status(
        running=False,
        last=reader.last(),
        used=usage.used,
        free=usage.free,
        sources=tuple(SourceStatus(name=name, **source_tallies(counts, name)) for name in loaded.config.sources),
        syncs=tuple(
            SyncStatus(
                name=name,
                source=sync.source,
                destination=sync.destination,
                open=len(pages[name].open) if name in pages else 0,
                **tallies(counts, name),
            )
            for name, sync in loaded.config.syncs.items()
        ),
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
