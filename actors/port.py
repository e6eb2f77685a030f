"""What belongs to a destination and outlives its sender, and where a sender's words go."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from actors.ordering import Orderings
from engine.observe.latency import Histogram
from engine.runtime.bell import Bell
from engine.runtime.breaker import Admission, Breaker
from engine.runtime.channel import Inbox
from engine.runtime.downtime import Downtime
from engine.runtime.lanes import Lanes
from engine.runtime.limiter import Limiter
from engine.runtime.room import Room
from engine.runtime.suspects import Suspects
from engine.store.base import Log
from engine.store.tally import Work


class Port(msgspec.Struct, kw_only=True):
    """What belongs to a destination and outlives its sender.

    Attributes:
        lanes: what waits to be sent.
        limiter: how fast; Retry-After pauses it.
        breaker: whether at all.
        downtime: when it was not to be had.
        latency: per sync, from receipt to arrival at the first attempt.
        last_delivery: epoch seconds, per sync.
        last_success: epoch seconds at which the last request began that brought a delivery there.
        suspects: keys of deliveries that were answered badly.
        sent: from receipt to the first attempt's start, of each batch's first delivery.
        expiry: rung when some of what waits has to make room; ``expiring`` says how many.
    """

    lanes: Lanes[Work]
    limiter: Limiter
    breaker: Breaker
    downtime: Downtime
    latency: dict[str, Histogram]
    last_delivery: dict[str, float] = {}
    last_success: float = 0.0
    suspects: Suspects = msgspec.field(default_factory=Suspects)
    sent: Histogram = msgspec.field(default_factory=Histogram)
    expiry: Bell = msgspec.field(default_factory=Bell)
    expiring: int = 0

    changing: bool = False
    """Whether the next to be stopped is only a sender, and not the destination."""

    def arrived(self, at: float, keys: Iterable[str]) -> None:
        """Note that a request which began *at* brought the deliveries with these *keys* there."""
        self.last_success = at
        self.suspects.absolve(keys)

    def expire(self, most: int) -> int:
        """Let the sender archive the first *most* of what waits; return how many these are."""
        self.expiring = min(most, self.lanes.pickable)
        self.expiry.ring()
        return self.expiring

    def close(self) -> None:
        """Let nothing more in; what waits can still be sent, unless the destination is not to be had.

        If another sender takes over, this one only lets go of it: what waits is for the next.
        """
        if self.changing:
            self.lanes.dismiss()
        else:
            self.lanes.close()
        self.breaker.dismiss()
        self.limiter.dismiss()

    def recall(self) -> None:
        """Open it for the next sender."""
        self.lanes.recall()
        self.breaker.recall()
        self.limiter.recall()


class Outlets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sender's words go.

    Attributes:
        archiver: every outcome; never full for who has reserved places.
        places: of the archiver; reserved before a request is made.
        bell: of the retry scheduler; rung when the sender has room again.
        orderings: told what became of deliveries.
        log: where events are, of which nobody asked who may have them when they were routed.
    """

    archiver: Inbox[Any]
    places: Room
    bell: Bell
    log: Log
    orderings: Orderings


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What one slot holds while it sends.

    Attributes:
        hand: the slot's number: of its hand in the lanes.
        admission: the breaker's.
    """

    hand: int
    admission: Admission
