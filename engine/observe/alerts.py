"""What somebody should be told without asking: states of the engine turned into alerts, once per change. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping

import msgspec

from engine.observe.status import DestinationStatus, Status

GRACE = 120.0
"""Seconds after a start in which nothing counts as recovered: a new breaker knows of no outage, and asks first."""
CALM = 0.5
"""What exceeded a threshold has recovered below this part of it, so that what sways at it is told once."""
_OF_DESTINATIONS = frozenset({"destination_down", "destination_needs_attention"})


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """From when on a number is worth telling.

    Attributes:
        oldest_pending: seconds.
        archived: deliveries of one sync that were archived within *within* seconds.
        disk_free: bytes.
    """

    oldest_pending: float
    archived: int
    within: float
    disk_free: int


class Ailment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not well.

    Attributes:
        alert: its kind, for example ``destination_down``.
        subject: the name of what is concerned; "" for the engine as a whole.
        text: a sentence for a person.
    """

    alert: str
    subject: str
    text: str

    @property
    def key(self) -> str:
        """What makes it the same ailment tomorrow."""
        return f"{self.alert} {self.subject}"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An ailment that was told and is not over.

    Attributes:
        since: epoch seconds at which it was noticed.
    """

    ailment: Ailment
    since: float


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted: one change.

    Attributes:
        id: equal for every attempt to post this change.
        state: ``raised`` or ``recovered``.
        alert, subject: see `Ailment`.
        text: the same in a sentence; chats that take ``{"text": …}`` show it.
        since: epoch seconds at which the ailment was noticed.
        at: epoch seconds of this change.
    """

    id: str
    state: str
    alert: str
    subject: str
    text: str
    since: float
    at: float


class Growth:
    """How much each of several counters has grown within a while; one look costs a few microseconds a counter."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, dict[str, int]]] = deque()

    def look(self, totals: Mapping[str, int], now: float, within: float) -> dict[str, int]:
        """Note *totals* and return by how much each has grown since the oldest look of the last *within* seconds.

        One that is new counts from now on. At most one look in a hundredth of *within* is kept.
        """
        while self._looks and self._looks[0][0] < now - within:
            self._looks.popleft()
        first = self._looks[0][1] if self._looks else {}
        if not self._looks or now - self._looks[-1][0] >= within / 100:
            self._looks.append((now, dict(totals)))
        return {name: max(total - first.get(name, total), 0) for name, total in totals.items()}


def ailments(
    status: Status, thresholds: Thresholds, grown: Mapping[str, int], told: Mapping[str, Told]
) -> dict[str, Ailment]:
    """Return everything that is not well, by key.

    Args:
        status: of a running engine.
        thresholds: for what is a number.
        grown: by sync, how many deliveries were archived lately.
        told: what was told and is not over: near its threshold it stands.
    """
    found = [*_states(status, told), *_numbers(status, thresholds, grown, told)]
    return {each.key: each for each in found}


def _states(status: Status, told: Mapping[str, Told]) -> Iterator[Ailment]:
    for destination in status.destinations:
        yield from _destination(destination, told)
    for source in status.sources:
        if source.state == "attention":
            text = f"a function of source '{source.name}' needs attention, and its events wait: {source.reason}"
            yield Ailment(alert="function_needs_attention", subject=source.name, text=text)
    down = [f"router.{sync.name}" for sync in status.syncs if sync.state == "down"]
    down += [f"sender.{destination.name}" for destination in status.destinations if destination.state == "down"]
    for actor in down:
        text = f"{actor} died again and again and was given up: its events wait in the store until the engine restarts"
        yield Ailment(alert="actor_given_up", subject=actor, text=text)
    if status.full:
        yield Ailment(alert="store_full", subject="", text=f"events are refused: {status.full}")


def _destination(one: DestinationStatus, told: Mapping[str, Told]) -> Iterator[Ailment]:
    held = f"; {one.held:,} deliveries wait" if one.held else ""
    if one.state == "open":
        text = f"destination '{one.name}' is down ({one.reason}){held}"
        yield Ailment(alert="destination_down", subject=one.name, text=text)
    elif one.state == "attention":
        text = f"destination '{one.name}' needs attention: {one.reason}{held}"
        yield Ailment(alert="destination_needs_attention", subject=one.name, text=text)
    elif one.state != "closed":  # a probe is out, or somebody paused it: whatever it was, it still is
        for alert in _OF_DESTINATIONS:
            if before := told.get(f"{alert} {one.name}"):
                yield before.ailment


def _numbers(
    status: Status, thresholds: Thresholds, grown: Mapping[str, int], told: Mapping[str, Told]
) -> Iterator[Ailment]:
    for sync in status.syncs:
        calm = CALM if f"archive_growing {sync.name}" in told else 1.0
        if (many := grown.get(sync.name, 0)) > thresholds.archived * calm:
            text = f"sync '{sync.name}': {many:,} deliveries were archived within {_minutes(thresholds.within)}"
            yield Ailment(alert="archive_growing", subject=sync.name, text=text)
        calm = CALM if f"pending_too_old {sync.name}" in told else 1.0
        if sync.oldest_pending is not None and sync.oldest_pending > thresholds.oldest_pending * calm:
            text = f"sync '{sync.name}': the oldest pending delivery has waited for {_minutes(sync.oldest_pending)}"
            yield Ailment(alert="pending_too_old", subject=sync.name, text=text)
    calm = CALM if "disk_low " in told else 1.0
    if status.free < thresholds.disk_free / calm:
        text = f"the store's disk has {status.free / 2**20:,.0f} MiB left"
        yield Ailment(alert="disk_low", subject="", text=text)


def changes(told: Mapping[str, Told], found: Mapping[str, Ailment], status: Status, at: Moment) -> list[Alert]:
    """Return what to tell, the raised first: what was found and not told, what was told and is over.

    Args:
        told: what whoever listens knows of.
        found: what is.
        status: in which it was found.
        at: now.
    """
    raised = [_alert("raised", each, each.text, at.now, at.now) for key, each in found.items() if key not in told]
    over = [each for key, each in told.items() if key not in found and _is_over(each.ailment, status, at)]
    return raised + [
        _alert("recovered", each.ailment, f"over: {each.ailment.text}", each.since, at.now) for each in over
    ]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Now, and how long the engine has run.

    Attributes:
        now: epoch seconds.
        running: seconds since it started.
    """

    now: float
    running: float


def after(told: Mapping[str, Told], alert: Alert, found: Mapping[str, Ailment]) -> dict[str, Told]:
    """Return what whoever listens knows of once *alert* has reached them."""
    key = f"{alert.alert} {alert.subject}"
    rest = {each: before for each, before in told.items() if each != key}
    return rest | {key: Told(ailment=found[key], since=alert.since)} if alert.state == "raised" else rest


def _is_over(ailment: Ailment, status: Status, at: Moment) -> bool:
    """Return whether an ailment that is not found any more can be said to be over."""
    if at.running < GRACE:
        return False
    if ailment.alert not in _OF_DESTINATIONS:
        return True
    # Since a start, a breaker that is closed proves nothing while events wait and none has arrived.
    waits = any(one.name == ailment.subject and one.held for one in status.destinations)
    arrived = any(sync.destination == ailment.subject and sync.last_delivery for sync in status.syncs)
    return arrived or not waits


def _alert(state: str, ailment: Ailment, text: str, since: float, now: float) -> Alert:
    seed = f"{ailment.key} {state} {since:.3f}"
    return Alert(
        id=hashlib.blake2b(seed.encode(), digest_size=16).hexdigest(),
        state=state,
        alert=ailment.alert,
        subject=ailment.subject,
        text=text,
        since=since,
        at=now,
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - an hour
