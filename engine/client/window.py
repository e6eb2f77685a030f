"""What the client holds: events that wait, events that fly, and which of them an ack lets go. No I/O, no time."""

from __future__ import annotations

from collections import deque

import msgspec

from engine.errors import ProtocolError
from engine.wire import Ack, Ready

MOST = 100
"""Events in one frame, at most: twenty cost the receiver a seventh of twenty frames, a hundred a tenth."""

_FRAME = 64
"""Bytes of a frame beside its events, at most."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One event that the receiver did not accept; sending it again does not help.

    Attributes:
        event: its JSON.
        code: one documented word, for example ``id_required``.
        tag: what `Client.send` was given with it.
    """

    message_id: str
    code: str
    message: str
    event: bytes
    tag: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """A client in numbers, since it was made.

    Attributes:
        sent: events that were sent at least once.
        acked: events that are durable at the receiver; duplicates are.
        refused: events that it did not accept.
        resent: times an event was sent again.
        reconnects: connections after the first.
        waiting: events that were not sent on this connection yet.
        flying: events that were sent and not acknowledged.
    """

    sent: int
    acked: int
    refused: int
    resent: int
    reconnects: int
    waiting: int
    flying: int


class _Held:
    """One event, from `Window.put` to its ack."""

    __slots__ = ("message_id", "raw", "sent", "tag")

    def __init__(self, raw: bytes, message_id: str, tag: int) -> None:
        self.raw = raw
        self.message_id = message_id
        self.tag = tag
        self.sent = False


class Window:
    """A bounded buffer in front of one connection after the other.

    Args:
        buffer: events it holds at most, flying ones included.
    """

    def __init__(self, buffer: int) -> None:
        self.buffer = buffer
        self.sent = self.acked = self.refused = self.resent = 0
        self._waiting: deque[_Held] = deque()
        self._flying: deque[_Held] = deque()
        self._first = 1
        self._ready: Ready | None = None

    @property
    def room(self) -> int:
        """Return how many more events it takes."""
        return self.buffer - len(self._waiting) - len(self._flying)

    @property
    def waiting(self) -> int:
        """Return how many events were not sent on this connection."""
        return len(self._waiting)

    @property
    def flying(self) -> int:
        """Return how many events were sent and not acknowledged."""
        return len(self._flying)

    def put(self, raw: bytes, message_id: str, tag: int = 0) -> None:
        """Hold one more event, behind all others; there is room."""
        self._waiting.append(_Held(raw, message_id, tag))

    def opened(self, ready: Ready) -> None:
        """Begin a connection: numbers start at 1 again."""
        self.lost()
        self._ready = ready
        self._first = 1

    def lost(self) -> None:
        """End the connection: what flew waits again, in its old order, in front of the others."""
        self._ready = None
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()

    def too_large(self) -> Refusal | None:
        """Take out the next event if the receiver would refuse it for its size, else return None."""
        if self._ready is None or not self._waiting or len(self._waiting[0].raw) <= self._most_bytes(self._ready):
            return None
        held = self._waiting.popleft()
        self.refused += 1
        text = f"the event has {len(held.raw)} bytes, {self._most_bytes(self._ready)} are allowed"
        return Refusal(message_id=held.message_id, code="too_large", message=text, event=held.raw, tag=held.tag)

    def frame(self, sent_at: str) -> str | None:
        """Return the next frame, or None if nothing waits or the window is full.

        It is a batch with ``sentAt``, by which the receiver finds out how wrong this machine's clock is.

        Args:
            sent_at: now, ISO-8601 UTC.
        """
        ready = self._ready
        if ready is None:
            return None
        count = min(MOST, ready.window - len(self._flying), len(self._waiting))
        room = ready.max_frame - _FRAME - len(sent_at)
        parts: list[bytes] = []
        while len(parts) < count and (held := self._waiting[0]):
            room -= len(held.raw) + 1
            if len(held.raw) > self._most_bytes(ready) or (room < 0 and parts):
                break
            parts.append(held.raw)
            self._flying.append(self._waiting.popleft())
            self._count(held)
        if not parts:
            return None
        return (b'{"sentAt":"%b","batch":[%b]}' % (sent_at.encode(), b",".join(parts))).decode()

    def ack(self, ack: Ack) -> list[Refusal]:
        """Let go of what *ack* decides; return what of it was refused.

        Raises:
            ProtocolError: it speaks of what was not sent, or takes back what it said.
        """
        count = ack.upto - self._first + 1
        if not 0 <= count <= len(self._flying):
            raise ProtocolError(f"the receiver acknowledged {ack.upto}, {self._first} to {self._last} were sent")
        codes = {refused.n: refused for refused in ack.refused}
        refusals: list[Refusal] = []
        for number in range(self._first, ack.upto + 1):
            held = self._flying.popleft()
            if (said := codes.get(number)) is not None:
                refusals.append(
                    Refusal(
                        message_id=held.message_id,
                        code=said.code,
                        message=said.message,
                        event=held.raw,
                        tag=held.tag,
                    )
                )
        self._first = ack.upto + 1
        self.refused += len(refusals)
        self.acked += count - len(refusals)
        return refusals

    def left(self) -> tuple[bytes, ...]:
        """Return the JSON of all that was not acknowledged, in order."""
        return tuple(held.raw for held in (*self._flying, *self._waiting))

    @property
    def _last(self) -> int:
        return self._first + len(self._flying) - 1

    def _most_bytes(self, ready: Ready) -> int:
        return min(ready.max_event, ready.max_frame - 2 * _FRAME)

    def _count(self, held: _Held) -> None:
        if held.sent:
            self.resent += 1
        else:
            held.sent = True
            self.sent += 1
