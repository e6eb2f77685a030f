"""``headrace status``: sources, syncs and destinations at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.asking import NotRunning, ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, data_folder, read_places, say, say_json
from engine.config.load import Loaded

if TYPE_CHECKING:
    from engine.cli import House
    from engine.config.schema import Sync
    from engine.observe.status import DestinationStatus, Status, SyncStatus
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

    loaded = read_places(config)
    try:
        return ask(config, "GET", "/status", Status)
    except NotRunning:
        return _stored(loaded)


def _stored(loaded: Loaded) -> Status:
    """Return what the store of an engine that does not run has; lags are at most as large."""
    from engine.observe.status import DestinationStatus, SourceStatus, Status, source_tallies  # noqa: PLC0415
    from engine.store.base import Progress  # noqa: PLC0415
    from engine.store.opening import open_reader  # noqa: PLC0415

    with open_reader(data_folder(loaded)) as reader:
        counts, usage, last = reader.counts(), reader.usage(), reader.last()
        judged = {cursor.source: cursor.position for cursor in reader.cursors()}
        pages = {(page.sync, page.source): page for page in reader.progress()}
        retrying = {sync: waiting.count for sync, waiting in reader.waiting().items()}
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
            _sync(
                sync,
                # One whose source was changed has not begun: a sync is its name and its source.
                pages.get((name, sync.source)) or Progress(sync=name, source=sync.source, high=last),
                judged.get(sync.source, 0),
                counts,
                retrying.get(name, 0),
            )
            for name, sync in config.syncs.items()
        ),
        destinations=tuple(DestinationStatus(name=name, type=each.type) for name, each in config.destinations.items()),
    )


def _sync(sync: Sync, page: Progress, judged: int, counts: Mapping[tuple[str, str], int], retrying: int) -> SyncStatus:
    """Return one sync that does not run."""
    from engine.observe.status import SyncStatus, tallies  # noqa: PLC0415 - as above

    return SyncStatus(
        name=page.sync,
        source=page.source,
        destination=sync.destination,
        lag=max(judged - page.high, 0),
        open=len(page.open),
        **tallies(counts, page.sync, pending=len(page.open) + retrying),
    )


def show(status: Status) -> None:
    """Print *status* as tables for a person."""
    head = "running" if status.running else "not running; this is what the store has"
    say(f"headrace is {head}: {status.last:,} events accepted, {status.used / 2**20:,.1f} MiB used")
    if status.full:
        say(f"EVENTS ARE REFUSED: {status.full}")
    if status.problems:
        say(f"THE CONFIGURATION WAS REFUSED, and the one before is in force:\n{status.problems}")
    if status.forgotten:
        say(f"{status.forgotten:,} messageIds were forgotten too early: raise [receiver.dedup] max")
    for table in (_sources(status), [*_syncs(status), *_orders(status)], _destinations(status)):
        say("")
        for line in table:
            say(line)


def _sources(status: Status) -> list[str]:
    titles = ("source", "state", "passed", "blocked", "failed", "lag", "")
    lines = [
        (
            *(one.name, one.state or "-"),
            *(f"{count:,}" for count in (one.passed, one.blocked, one.failed, one.lag)),
            f"  {one.reason}".rstrip(),
        )
        for one in status.sources
    ]
    return columns([titles, *lines], left=2)


def _syncs(status: Status) -> list[str]:
    titles = (
        "sync",
        "state",
        "delivered",
        "filtered",
        "archived",
        "pending",
        "lag",
        "oldest",
        "drains in",
        "last delivery",
    )
    lines = [
        (
            f"{one.name}: {one.source} → {one.destination}",
            one.state or "-",
            *(f"{count:,}" for count in (one.delivered, sum(one.filtered.values()), one.archived)),
            *(f"{count:,}" for count in (one.pending, one.lag)),
            _age(one.oldest_pending),
            _drain(one),
            _age(None if one.last_delivery is None else max(time.time() - one.last_delivery, 0.0)),
        )
        for one in status.syncs
    ]
    return columns([titles, *lines], left=2)


def _drain(one: SyncStatus) -> str:
    """Return how long the backlog takes at the pace of the last minute."""
    if one.state and one.drain is None:
        return "unknown"
    return _age(one.drain or None)


def _orders(status: Status) -> list[str]:
    """Return a line for each sync whose keys wait for each other, and for each of its keys with most waiting."""
    lines: list[str] = []
    for one in status.syncs:
        order = one.order
        if order is None or not (order.keys or order.unkeyed):
            continue
        text = f"{one.name}: {order.keys:,} keys on their way, {order.standing:,} deliveries stand behind a retry"
        lines.append(f"{text}, {order.parked:,} are parked; {order.unkeyed:,} had no key")
        lines += [f"  {hot.waiting:,} wait behind {hot.head or 'the next'} (key {hot.key})" for hot in order.hot]
    return lines


def _destinations(status: Status) -> list[str]:
    titles = ("destination", "type", "state", "waiting", "in flight", "")
    lines = [
        (one.name, one.type, one.state or "-", f"{one.waiting:,}", f"{one.in_flight:,}", f"  {_told(one)}")
        for one in status.destinations
    ]
    return columns([titles, *lines], left=3)


def _told(one: DestinationStatus) -> str:
    """Return what is to be said of a destination: why it is not well, what it holds, and for how long it may."""
    parts = [one.reason] if one.reason else []
    if one.told_to_wait:
        parts.append(f"asked to be left alone for {_age(one.told_to_wait)}")
    if one.probe_in is not None:
        parts.append(f"next probe in {_age(one.probe_in)}")
    if one.held and one.state not in {"closed", ""}:
        parts.append(f"{one.held:,} held, the oldest for {_age(one.oldest)} of {_age(one.max_age)}")
    return "; ".join(parts)


def _age(seconds: float | None) -> str:
    """Return how long ago something was, in one unit."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
