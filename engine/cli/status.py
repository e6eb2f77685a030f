"""``headrace status``: sources, syncs and destinations at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.asking import NotRunning, ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, columns, counted, data_folder, read_places, say, say_json
from engine.config.load import Loaded

if TYPE_CHECKING:
    from engine.cli import House
    from engine.config.schema import Config
    from engine.observe.status import DestinationStatus, OrderStatus, Status, SyncStatus
    from engine.store.order import Remains
    from engine.store.sqlite.reader import Reader


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
    from engine.observe.status import SourceStatus, Status, source_tallies  # noqa: PLC0415
    from engine.store.opening import open_reader  # noqa: PLC0415

    config = loaded.config
    with open_reader(data_folder(loaded)) as reader:
        counts, usage, last = reader.counts(), reader.usage(), reader.last()
        judged = {cursor.source: cursor.position for cursor in reader.cursors()}
        syncs = _syncs_of(reader, config, judged, counts)
        destinations = _destinations_of(reader, config, syncs)
    return Status(
        running=False,
        last=last,
        used=usage.used,
        free=usage.free,
        sources=tuple(
            SourceStatus(name=name, lag=last - judged.get(name, 0), **source_tallies(counts, name))
            for name in config.sources
        ),
        syncs=syncs,
        destinations=destinations,
    )


def _syncs_of(
    reader: Reader, config: Config, judged: Mapping[str, int], counts: Mapping[tuple[str, str], int]
) -> tuple[SyncStatus, ...]:
    """Return the syncs, which do not run."""
    from engine.observe.status import SyncStatus, tallies  # noqa: PLC0415 - as above
    from engine.store.base import Progress  # noqa: PLC0415

    pages = {(page.sync, page.source): page for page in reader.progress()}
    waiting, off = reader.waiting(), _off(reader, "syncs")
    orders = _orders_of(reader)
    found = []
    for name, sync in config.syncs.items():
        # One whose source was changed has not begun: a sync is its name and its source.
        page = pages.get((name, sync.source)) or Progress(sync=name, source=sync.source, high=reader.last())
        own = waiting.get(name)
        one = SyncStatus(
            name=name,
            source=sync.source,
            destination=sync.destination,
            state=off.get(name, "" if sync.enabled else "disabled"),
            lag=max(judged.get(sync.source, 0) - page.high, 0),
            open=len(page.open),
            oldest_pending=max(time.time() - own.since, 0.0) if own else None,
            order=orders.get(name),
            **tallies(counts, name, pending=len(page.open) + (own.count if own else 0)),
        )
        found.append(one)
    return tuple(found)


def _orders_of(reader: Reader) -> dict[str, OrderStatus]:
    """Return for each sync what waits for its turn in the ledger; what stood in memory is open, and is not told."""
    from engine.observe.status import HotKey, OrderStatus  # noqa: PLC0415 - as above
    from engine.runtime.turns import SHOWN  # noqa: PLC0415

    by_sync: dict[str, list[Remains]] = {}
    for one in reader.turns():
        by_sync.setdefault(one.sync, []).append(one)
    found = {}
    for sync, left in by_sync.items():
        heads = {one.turn: one.id for one in left if one.id}
        parked = sorted((one for one in left if not one.id), key=lambda one: -one.count)
        found[sync] = OrderStatus(
            keys=len({one.turn for one in left}),
            parked=sum(one.count for one in parked),
            hot=tuple(HotKey(key=one.turn, waiting=one.count, head=heads.get(one.turn, "")) for one in parked[:SHOWN]),
        )
    return found


def _destinations_of(reader: Reader, config: Config, syncs: tuple[SyncStatus, ...]) -> tuple[DestinationStatus, ...]:
    """Return the destinations, with what is held for each."""
    from engine.observe.status import DestinationStatus  # noqa: PLC0415 - as above

    off = _off(reader, "destinations")
    found = []
    for name, table in config.destinations.items():
        own = [sync for sync in syncs if sync.destination == name]
        one = DestinationStatus(
            name=name,
            type=table.type,
            state=off.get(name, ""),
            held=sum(sync.pending + sync.lag for sync in own),
            oldest=max((sync.oldest_pending for sync in own if sync.oldest_pending is not None), default=None),
            max_age=float(table.retry.max_age),
        )
        found.append(one)
    return tuple(found)


def _off(reader: Reader, kind: str) -> dict[str, str]:
    """Return what an operator paused or disabled of ``syncs`` or ``destinations``: name to state."""
    import msgspec  # noqa: PLC0415 - as above

    from engine.store.start import PAUSED, Paused  # noqa: PLC0415
    from engine.store.switched import DISABLED, Named  # noqa: PLC0415

    paused, disabled = reader.fact(PAUSED), reader.fact(DISABLED)
    held = msgspec.json.decode(paused[0], type=Paused) if paused else Paused()
    filtered = msgspec.json.decode(disabled[0], type=Named) if disabled else Named()
    return dict.fromkeys(getattr(filtered, kind), "disabled") | dict.fromkeys(getattr(held, kind), "paused")


def show(status: Status) -> None:
    """Print *status* as tables for a person."""
    head = "running" if status.running else "not running; this is what the store has"
    say(f"headrace is {head}: {counted(status.last, 'event')} accepted, {status.used / 2**20:,.1f} MiB used")
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
    if one.state and one.drain is None and (one.lag or one.pending):
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
    from engine.observe.status import SAID  # noqa: PLC0415 - as above

    titles = ("destination", "type", "state", "waiting", "in flight", "")
    lines = [
        (
            one.name,
            one.type,
            SAID.get(one.state, one.state) or "-",
            f"{one.waiting:,}",
            f"{one.in_flight:,}",
            f"  {_told(one)}",
        )
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
    if one.held and one.state != "closed":
        oldest = f", the oldest for {_age(one.oldest)} of {_age(one.max_age)}" if one.oldest is not None else ""
        parts.append(f"{one.held:,} held{oldest}")
    return "; ".join(parts)


def _age(seconds: float | None) -> str:
    """Return how long ago something was, in one unit."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
