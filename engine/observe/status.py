"""The engine at a glance: what ``headrace status`` and the control endpoint show, one Struct per line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

SAID = {"closed": "healthy", "open": "failing", "half_open": "trying again", "attention": "needs attention"}
"""States whose own word says the wrong thing to a person: a closed breaker is a healthy destination."""


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One source.

    Attributes:
        read, refused, duplicate, accepted: at the door, since the engine started; refused by code.
        passed, derived, blocked, dropped, failed: since the store was made, as of the last maintenance transaction.
        lag: positions that its validator is behind.
        state: of its validator: running, restarting, down, attention (a function does not answer); "" when no engine
            runs.
        reason: why it needs attention, or "".
    """

    name: str
    state: str = ""
    reason: str = ""
    read: int = 0
    refused: dict[str, int] = {}
    duplicate: int = 0
    accepted: int = 0
    passed: int = 0
    derived: int = 0
    blocked: int = 0
    dropped: int = 0
    failed: int = 0
    lag: int = 0


class HotKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key behind whose oldest delivery many wait.

    Attributes:
        key: its hash: keys are often personal.
        waiting: how many wait.
        head: the id that the one they wait for has in the ledger, once it was tried and failed.
    """

    key: str
    waiting: int
    head: str = ""


class OrderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the order of a sync's keys stands.

    Attributes:
        keys: of which something is on its way or waits.
        standing: deliveries that wait in memory behind one that is tried again.
        parked: deliveries that wait in the ledger for their turn.
        unkeyed: deliveries without a key, since start: they are not ordered.
        hot: the keys with most waiting.
    """

    keys: int = 0
    standing: int = 0
    parked: int = 0
    unkeyed: int = 0
    hot: tuple[HotKey, ...] = ()


class SyncStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One sync.

    Attributes:
        state: running, paused, disabled, restarting, down; when no engine runs, paused, disabled or "".
        lag: positions that its router is behind what passed.
        open: deliveries on their way, whose fate is not known.
        filtered: by reason.
        pending: deliveries without a fate: open, and waiting to be tried again.
        oldest_pending: seconds since the oldest of these, or of what the router has not read, was received; None if
            there is none.
        last_delivery: epoch seconds; None if there was none since start.
        p50, p99: seconds from receipt to arrival at the first attempt; None if there was none since start.
        drain: seconds until lag and pending are done at the pace of the last minute, if nothing new comes; None if that
            stands.
        order: of a sync with `order_by`.
    """

    name: str
    source: str
    destination: str = ""
    state: str = ""
    lag: int = 0
    open: int = 0
    filtered: dict[str, int] = {}
    matched: int = 0
    created: int = 0
    delivered: int = 0
    archived: int = 0
    discarded: int = 0
    erased: int = 0
    pending: int = 0
    oldest_pending: float | None = None
    last_delivery: float | None = None
    p50: float | None = None
    p99: float | None = None
    drain: float | None = None
    order: OrderStatus | None = None


class DestinationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One destination.

    Attributes:
        state: closed (all is well), open, half_open, attention, paused, disabled, restarting, down; when no engine
            runs, paused, disabled or "".
        reason: why it is not well.
        waiting: deliveries in its lanes.
        in_flight: deliveries in its requests.
        next_due: epoch seconds at which the earliest retry is due; None if none waits.
        held: what its syncs have for it: deliveries without a fate, and positions they have not read. The store has
            room for it as long as the disk has.
        oldest: seconds since the oldest of these was received; None if there is none.
        max_age: seconds that anything is held; older ones are archived, ``too_old``, when their turn comes.
        probe_in: seconds until one request tries whether it is up again; None if it needs none.
        told_to_wait: seconds for which it asked to be left alone, from now on.
    """

    name: str
    type: str = ""
    state: str = ""
    reason: str = ""
    waiting: int = 0
    in_flight: int = 0
    next_due: float | None = None
    held: int = 0
    oldest: float | None = None
    max_age: float = 0.0
    probe_in: float | None = None
    told_to_wait: float = 0.0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole engine.

    Attributes:
        running: whether an engine answered; if not, everything is as the store has it.
        last: the log's last position: how many events were ever accepted.
        used, free: bytes of the store and of its disk.
        full: why events are refused, or "".
        remembered: messageIds by which a duplicate is recognised.
        forgotten: those that had to go before the window ended, since start: a copy of such an event is a new one.
        restarts: actor to how often it was started again.
        problems: what is wrong with the configuration as it was last read, so that it was refused; or "".
    """

    running: bool
    last: int
    used: int
    free: int
    full: str = ""
    sources: tuple[SourceStatus, ...] = ()
    syncs: tuple[SyncStatus, ...] = ()
    destinations: tuple[DestinationStatus, ...] = ()
    remembered: int = 0
    forgotten: int = 0
    restarts: dict[str, int] = {}
    problems: str = ""


FATES = ("created", "delivered", "archived", "discarded", "erased")


def tallies(counts: Mapping[tuple[str, str], int], sync: str, *, pending: int) -> dict[str, Any]:
    """Return the counts of one sync, as fields of its `SyncStatus`.

    Args:
        counts: as the store has them.
        sync: its name.
        pending: open deliveries and retrying rows, counted one by one: created less every fate, if the books balance.
    """
    own: Counter[str] = Counter({name: count for (scope, name), count in counts.items() if scope == f"sync:{sync}"})
    filtered = {name.removeprefix("filtered."): count for name, count in own.items() if name.startswith("filtered.")}
    return {"filtered": filtered, "matched": own["matched"], "pending": pending} | {name: own[name] for name in FATES}


def source_tallies(counts: Mapping[tuple[str, str], int], source: str) -> dict[str, Any]:
    """Return what became of one source's events, by fate, as fields of its `SourceStatus`."""
    names = ("passed", "derived", "blocked", "dropped", "failed")
    return {name: counts.get((f"source:{source}", name), 0) for name in names}
