"""What a doctor says of what it found: each a line, well or not, with what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from engine.observe.balance import equations
from engine.observe.status import Status, SyncStatus

OK: Literal["ok"] = "ok"
WARN: Literal["warn"] = "warn"
BAD: Literal["bad"] = "bad"

OLD = 900.0
"""Seconds that a delivery may wait before a doctor asks why."""
BORN = 1_700_000_000.0
"""Epoch seconds before which no clock can be right: Headrace is younger."""
SLACK = 5.0
"""Seconds by which the newest event may be ahead of our clock."""
HEADROOM = 256
"""Open files that the engine needs beside its connections."""
MUCH_LOG = 256 << 20
"""Bytes of SQLite's log beside the store that are more than usual."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        what: what was looked at.
        verdict: ``bad`` keeps the engine from its promises, ``warn`` may come to it.
        text: what was found.
        hint: what to do, or "".
    """

    what: str
    verdict: Literal["ok", "warn", "bad"]
    text: str
    hint: str = ""


def ok(what: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(what=what, verdict=OK, text=text)


def warn(what: str, text: str, hint: str) -> Finding:
    """Return what may come to harm."""
    return Finding(what=what, verdict=WARN, text=text, hint=hint)


def bad(what: str, text: str, hint: str) -> Finding:
    """Return what harms."""
    return Finding(what=what, verdict=BAD, text=text, hint=hint)


def of_engine(status: Status) -> Iterator[Finding]:
    """Yield what a running engine says of itself."""
    if not status.running:
        yield ok("engine", "not running")
        return
    if status.full:
        yield bad("engine", f"events are refused: {status.full}", "make room; it goes on by itself")
    else:
        yield ok("engine", f"running, {status.last:,} events accepted")
    for name, count in status.restarts.items():
        yield warn("engine", f"{name} was started again {count} times", "the tracebacks are in the log: actor.died")
    if status.forgotten:
        text = f"{status.forgotten:,} messageIds were forgotten before the window ended"
        yield warn("duplicates", text, "raise [receiver.dedup] max, or shorten its window")
    for source in status.sources:
        if source.state in {"attention", "down"}:
            yield bad("source", f"{source.name} is {source.state}: {source.reason}", "its events wait in the log")
    for destination in status.destinations:
        if destination.state in {"attention", "down"}:
            hint = "deliveries wait; check its credentials and address, then: headrace resume destination NAME"
            yield bad("destination", f"{destination.name} is {destination.state}: {destination.reason}", hint)
        elif destination.state in {"open", "half_open"}:
            yield warn("destination", f"{destination.name} does not answer: {destination.reason}", "it is tried again")


def of_books(status: Status) -> Iterator[Finding]:
    """Yield whether the books balance; of a running engine only those that hold at any moment."""
    lines = [line for line in equations(status) if line.scope.startswith("deliveries")]
    wrong = [line for line in lines if not line.balanced]
    for line in wrong:
        yield bad("books", f"{line.scope}: {line.text()}", "this is a bug; please report it with this line")
    if not wrong:
        yield ok("books", f"they balance, for each of {len(lines)} syncs")


def of_cursors(before: Status, after: Status) -> Iterator[Finding]:
    """Yield readers of the log that stand, judged by two looks at a running engine a moment apart."""
    calm = True
    then = {one.name: one for one in before.syncs}
    judged = {one.name: one for one in before.sources}
    for source in after.sources:
        old = judged.get(source.name)  # None of one that a reload has brought since
        stands = old is not None and source.lag >= old.lag and source.passed == old.passed
        if source.lag and stands and source.state != "attention":
            calm = False
            text = f"the validator of {source.name} stands, {source.lag:,} events behind"
            yield warn("cursors", text, "look for it in the log; a function may take its time")
    for sync in after.syncs:
        if (sync.oldest_pending or 0.0) > OLD and _stands(sync, then.get(sync.name)):
            calm = False
            text = f"{sync.name}: the oldest event has waited {sync.oldest_pending:,.0f} s, {sync.pending:,} pending"
            hint = f"sync {sync.state}, see the destination {sync.destination}; headrace errors list --sync {sync.name}"
            yield warn("cursors", text, hint)
    if calm:
        yield ok("cursors", "every reader of the log moves or has read all")


def _stands(now: SyncStatus, before: SyncStatus | None) -> bool:
    return before is None or now.delivered == before.delivered


def of_disk(*, used: int, free: int, reserve: int, limit: int, log: int) -> Iterator[Finding]:
    """Yield how much room there is, in bytes; *limit* 0 is none, *log* is SQLite's beside the store."""
    left = f"{free:,} bytes free, {reserve:,} of them the reserve"
    if free <= reserve:
        yield bad("disk", left, "make room on the disk: events are refused until then")
    elif free <= 4 * reserve:
        yield warn("disk", left, "make room on the disk, or shorten [store] retention")
    else:
        yield ok("disk", left)
    if 0 < limit < used:
        text = f"the store uses {used:,} of {limit:,} bytes"
        yield warn("store size", text, "what waits for a destination cannot go; see headrace status")
    else:
        yield ok("store size", f"{used:,} bytes in use, {f'{limit:,} allowed' if limit else 'without limit'}")
    if log > MUCH_LOG:
        hint = "something reads the store for very long, a backup for example; it shrinks afterwards"
        yield warn("store size", f"SQLite's log beside the store has {log:,} bytes", hint)


def of_clock(now: float, newest: float) -> Finding:
    """Return whether the machine's clock (epoch seconds) can be right; *newest*: when an event came last."""
    if now < BORN:
        return bad("clock", "it shows a time before Headrace was made", "set the clock, and keep it by NTP")
    if newest > now + SLACK:
        hint = "the clock was set back: ages and windows are off until it has caught up; keep it by NTP"
        return warn("clock", f"the newest event was received {newest - now:,.0f} s from now", hint)
    return ok("clock", "after the newest event")


def of_files(soft: int, hard: int, connections: int) -> Finding:
    """Return whether enough files may be open: each connection is one, and the engine raises its own limit."""
    needed = connections + HEADROOM
    text = f"{max(soft, hard):,} may be open, for {connections:,} connections"
    if hard >= needed or hard < 0:
        return ok("open files", text if hard >= 0 else f"without limit, for {connections:,} connections")
    hint = f"allow {needed:,} (LimitNOFILE= in systemd, ulimit -Hn in a shell), or lower [receiver.limits] connections"
    return warn("open files", text, hint)


def of_modes(modes: Mapping[str, int], secret: Sequence[str]) -> Iterator[Finding]:
    """Yield who may read what.

    Args:
        modes: path to its permission bits.
        secret: those that hold nothing but a secret.
    """
    calm = True
    for path, mode in modes.items():
        if path in secret and mode & 0o077:
            calm = False
            yield bad("permissions", f"{path} may be read by others ({mode:03o})", f"chmod 600 {path}")
        elif mode & 0o002:
            calm = False
            yield bad("permissions", f"{path} may be written by anybody ({mode:03o})", f"chmod o-w {path}")
        elif path not in secret and mode & 0o004:
            calm = False
            text = f"{path} may be read by anybody ({mode:03o}): events are personal data"
            yield warn("permissions", text, f"chmod o-rwx {path}")
    if calm:
        yield ok("permissions", f"{len(modes)} files and folders are for those who need them")


def of_versions(asked: Mapping[str, str], installed: Mapping[str, str]) -> Iterator[Finding]:
    """Yield whether what we stand on is there: distribution to its lowest version, and to what is installed."""
    calm = True
    for name, least in asked.items():
        found = installed.get(name)
        if found is None:
            calm = False
            yield bad("versions", f"{name} is not installed", "install from requirements.lock")
        elif _number(found) < _number(least):
            calm = False
            yield bad("versions", f"{name} {found} is older than {least}", "install from requirements.lock")
    if calm:
        yield ok("versions", f"{len(asked)} packages, none too old")


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
