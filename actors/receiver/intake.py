"""The intake: what is checked at the door, numbered, written and sent on. It waits for nobody.

The order of the log is the order of the channel, because between taking a position and offering the events onward there
is no checkpoint. Processing runs beside the commit; only the acknowledgement waits for it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.receiver.doors import Door
from actors.receiver.frames import UNREADABLE, Frame, Item
from actors.receiver.quota import Quota
from engine.errors import StoreError, StoreFull
from engine.lang.envelope import Refusal, check
from engine.messages import Envelope, Logged, Span
from engine.observe.latency import Histogram
from engine.observe.tap import Turned
from engine.runtime.clock import Clock
from engine.store.base import Done, Store
from engine.store.seen import KNOWN, Seen, key_of
from engine.wire import MAX_DEPTH, MAX_EVENT

MOST: Final = 256
"""Elements in one submission: what one message of the trunk holds."""
SHOWN: Final = 4096
"""Bytes of a refused element that a tap shows; it may have megabytes."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the elements of one submission.

    Attributes:
        count: how many there were.
        refused: index (over all frames, from 0), messageId, code and message of each that was not accepted.
        accepted: how many are new.
        waits: whether ``done`` will be called; if not, all is decided already.
    """

    count: int
    refused: tuple[tuple[int, str, str, str], ...] = ()
    accepted: int = 0
    waits: bool


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What an intake keeps to.

    Attributes:
        max_event: bytes of one event's JSON.
        deliver_after_commit: whether events go on only when durable.
    """

    max_event: int = MAX_EVENT
    deliver_after_commit: bool = False


class Intake:
    """What all connections submit to; belongs to the tree.

    Args:
        store: where accepted events go.
        doors: source name to door.
        seen: which messageIds were accepted.
        clock: for ``receivedAt``.
        new_id: returns a messageId for an event without one.
        terms: what it keeps to.
    """

    def __init__(
        self,
        store: Store,
        doors: Mapping[str, Door],
        seen: Seen,
        clock: Clock,
        new_id: Callable[[], str],
        terms: Terms = Terms(),  # noqa: B008 - frozen
    ) -> None:
        self.store = store
        self.doors = doors
        self.seen = seen
        self.failed: BaseException | None = None
        """Why the store takes no more, for good; None while it does."""
        self.on_failure: Callable[[], None] = _nothing
        """Called when `failed` is set. Must not raise."""
        self.latency = Histogram()
        """From receipt to durable, of each submission."""
        self.clock = clock
        self._new_id = new_id
        self._max_event = terms.max_event
        self._late = terms.deliver_after_commit
        self._keys: dict[str, Door] = {}
        self._quotas: dict[str, Quota] = {}
        self.rekey()
        self._decode = msgspec.json.Decoder().decode
        self._awaiting: list[tuple[int, int, Done]] = []
        self._speakers: list[Callable[[], None]] = []
        store.on_commit = self._speak
        self._tickets = itertools.count()

    def keep_to(self, terms: Terms) -> None:
        """Keep to other *terms* from now on."""
        self._max_event = terms.max_event
        self._late = terms.deliver_after_commit

    def rekey(self) -> None:
        """Learn which write keys open which door as of now, and their quotas; what of a quota is used up stays so."""
        self._keys = {str(key): door for door in self.doors.values() for key in door.plan.write_keys}
        kept = self._quotas
        self._quotas = {
            key: own if (own := kept.get(key)) is not None and own.rate == quota else Quota(quota, self.clock)
            for key, door in self._keys.items()
            if (quota := door.plan.doorway.quota) is not None
        }

    def door_for(self, write_key: str | None) -> Door | None:
        """Return what *write_key* opens, or None."""
        return None if write_key is None else self._keys.get(write_key)

    def has_quota(self, write_key: str | None) -> bool:
        """Return whether the key may send only so many events a second."""
        return (write_key or "") in self._quotas

    def wait(self, write_key: str | None, events: int) -> float:
        """Take *events* from the key's quota, if it has one, and return 0.0; or return after how many seconds to."""
        quota = self._quotas.get(write_key or "")
        return 0.0 if quota is None else quota.take(events)

    def after_commit(self, speak: Callable[[], None]) -> None:
        """Call *speak* once when all is told that one commit made durable; for use in a ``done``. It must not raise."""
        self._speakers.append(speak)

    def submit(self, door: Door, frames: Sequence[Frame], done: Done) -> Verdict:
        """Check all elements of *frames* (at most `MOST`), and hand the new ones to the writer and the validator.

        Args:
            door: the source's.
            frames: in order.
            done: called once, when every element is durable or refused, if the verdict ``waits``.

        Raises:
            StoreFull: there is no room now; nothing was accepted, counted or numbered.
            StoreError: the store has failed for good.
        """
        sieve = _Sieve(self, door)
        try:
            for frame in frames:
                for item in frame.items:
                    sieve.take(item, frame)
            if sieve.events:
                self._write(sieve, done)
        except Exception as error:
            self.seen.forget(sieve.keys)
            if isinstance(error, StoreError) and not isinstance(error, StoreFull):
                self._fail(error)
            raise
        if sieve.events and not self._late:
            _announce(door, tuple(sieve.events))
        elif sieve.awaited and not sieve.events:
            heapq.heappush(self._awaiting, (sieve.awaited, next(self._tickets), done))
        return sieve.count()

    def examine(self, item: Item) -> dict[str, Any] | Refusal:
        """Return *item* decoded, or why it is not accepted."""
        if isinstance(item, Refusal):
            return item
        if len(item) > self._max_event:
            return Refusal(code="too_large", message=f"the event has {len(item)} bytes, {self._max_event} are allowed")
        try:
            event = self._decode(item)
        except UNREADABLE as error:
            return Refusal(code="bad_request", message=f"the event does not parse: {error}")
        if not isinstance(event, dict):
            return Refusal(code="bad_request", message="the event is not an object")
        if item.count(b"{") + item.count(b"[") > MAX_DEPTH and _deeper(event, MAX_DEPTH):
            return Refusal(code="too_deep", message=f"the event is nested deeper than {MAX_DEPTH}")
        try:
            return check(event) or event
        except Exception:  # noqa: BLE001 - a fault of ours is no reason to lose an event: the validator archives it
            return event

    def name(self, event: dict[str, Any]) -> tuple[str, bool]:
        """Return the event's messageId and whether it is its own; else one is assigned."""
        own = event.get("messageId")
        if own is None or own == "":
            return self._new_id(), False
        return str(own), True

    def _write(self, sieve: _Sieve, done: Done) -> None:
        events, keys, door = tuple(sieve.events), sieve.keys, sieve.door

        def durable(error: BaseException | None) -> None:
            if error is None:
                now = self.clock.wall()
                self.latency.add(now - events[0].envelope.received_at)
                self.seen.commit(keys, now)
                if self._late:
                    _announce(door, events)
            else:
                self.seen.forget(keys)
                self._fail(error)
            done(error)
            self._wake(events[-1].position, error)

        self.store.append(events, durable)

    def _speak(self) -> None:
        speakers, self._speakers = self._speakers, []
        for speak in speakers:
            speak()

    def _fail(self, error: BaseException) -> None:
        if self.failed is None:
            self.failed = error
            self.on_failure()

    def _wake(self, position: int, error: BaseException | None) -> None:
        while self._awaiting and self._awaiting[0][0] <= position:
            heapq.heappop(self._awaiting)[2](error)


class _Sieve:
    """One submission on its way through the checks."""

    __slots__ = (
        "_count",
        "_duplicates",
        "_intake",
        "_next",
        "_now",
        "_refused",
        "_source",
        "_turned",
        "awaited",
        "door",
        "events",
        "keys",
    )  # fmt: skip

    def __init__(self, intake: Intake, door: Door) -> None:
        self.door = door
        self.events: list[Logged] = []
        self.keys: list[bytes] = []
        self.awaited = 0
        self._intake = intake
        self._source = door.plan.name
        self._next = intake.store.last + 1
        self._now = intake.clock.wall()
        self._count = self._duplicates = 0
        self._refused: list[tuple[int, str, str, str]] = []
        self._turned: list[Turned] = []
        intake.seen.turn(self._now)

    def take(self, item: Item, frame: Frame) -> None:
        """Sort *item* into what is refused, known or new."""
        self._count += 1
        intake = self._intake
        if not self.door.plan.enabled:
            self._refuse(Refusal(code="source_disabled", message=f"source '{self._source}' is disabled"), item)
            return
        event = intake.examine(item)
        if isinstance(event, Refusal):
            self._refuse(event, item)
            return
        assert isinstance(item, bytes)
        message_id, own = intake.name(event)
        if own and not self._admit(message_id):
            self._duplicates += 1
            self._turned.append(Turned(message_id=message_id, verdict="duplicate", raw=item, at=self._now))
            return
        self.events.append(
            Logged(
                position=self._next,
                source=self._source,
                raw=item,
                envelope=Envelope(
                    message_id=message_id,
                    received_at=self._now,
                    sent_at=frame.sent_at,
                    ip=frame.ip,
                    context=frame.context,
                    integrations=frame.integrations,
                ),
            )
        )
        self._next += 1

    def count(self) -> Verdict:
        """Enter the submission, which has succeeded, into the door's books, and return what became of it."""
        counts = self.door.counts
        counts.read += self._count
        counts.duplicate += self._duplicates
        counts.accepted += len(self.events)
        self.door.tap.add(self.events, self._turned)
        for _, _, code, _ in self._refused:
            counts.refused[code] = counts.refused.get(code, 0) + 1
        return Verdict(
            count=self._count,
            refused=tuple(self._refused),
            accepted=len(self.events),
            waits=bool(self.events or self.awaited),
        )

    def _admit(self, message_id: str) -> bool:
        key = key_of(self._source, message_id)
        held = self._intake.seen.admit(key, self._next)
        if held is None:
            self.keys.append(key)
            return True
        if held != KNOWN:
            self.awaited = max(self.awaited, held)
        return False

    def _refuse(self, refusal: Refusal, item: Item) -> None:
        message_id, code, message = _id_of(item), refusal.code, refusal.message
        raw = item[:SHOWN] if isinstance(item, bytes) else b""
        self._refused.append((self._count - 1, message_id, code, message))
        self._turned.append(
            Turned(message_id=message_id, verdict="refused", code=code, message=message, raw=raw, at=self._now)
        )


def _nothing() -> None:
    """Nobody wants to know."""


def chunks(frames: Sequence[Frame]) -> Iterator[list[Frame]]:
    """Yield *frames* in order, in lists of at most `MOST` elements together; a bigger frame is cut."""
    room, chunk = MOST, list[Frame]()
    for frame in frames:
        start = 0
        while start < len(frame.items):
            part = frame.items[start : start + room]
            chunk.append(frame if len(part) == len(frame.items) else msgspec.structs.replace(frame, items=part))
            start += len(part)
            room -= len(part)
            if not room:
                yield chunk
                room, chunk = MOST, []
    if chunk:
        yield chunk


def _announce(door: Door, events: tuple[Logged, ...]) -> None:
    """Offer *events* to the validator; one whose inbox is full or closed reads them from the log."""
    after, upto = door.mark.position, events[-1].position
    door.mark.move(upto)
    if not door.inbox.closed:
        door.inbox.offer(Span(source=door.plan.name, after=after, upto=upto, events=events))


class _Id(msgspec.Struct, frozen=True, rename="camel"):
    message_id: str = ""


def _id_of(item: Item) -> str:
    """Return the messageId of a refused event for the client to find it by, or ""."""
    try:
        return msgspec.json.decode(item, type=_Id).message_id if isinstance(item, bytes) else ""
    except UNREADABLE:
        return ""


def _deeper(value: Any, most: int) -> bool:
    """Return whether *value* has more than *most* objects and arrays in one another."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if members is None:
        return False
    return most == 0 or any(_deeper(member, most - 1) for member in members)
