"""Following one source's log: live spans while they fit, the store for what lies between.

Spill is lag: a live span that begins where the reader stands is taken; one that begins later means that the gap is read
from the store first; one that begins earlier is skipped up to where the reader stands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from engine.messages import Stretch
from engine.runtime.actor import Actor
from engine.runtime.channel import Closed, Inbox
from engine.runtime.mark import Mark

S = TypeVar("S", bound=Stretch)

CAP = 256
"""Events in one step, at most: what one message of the trunk holds."""


class Follower(Generic[S]):
    """Gives one reader the source's spans in order, without a gap or a repeat.

    Args:
        inbox: live spans; a full one turned some away.
        ahead: how far the stage before has come.
        place: how far this reader has come; the reader moves it when it is through with a span.
        read: returns the span after < position <= upto, of at most so many events, from the store.
    """

    def __init__(
        self, inbox: Inbox[S], ahead: Mark, place: Mark, read: Callable[[int, int, int], Awaitable[S]]
    ) -> None:
        self.inbox = inbox
        self.ahead = ahead
        self.place = place
        self._read = read

    @property
    def lag(self) -> int:
        """How many positions the reader is behind the stage before it."""
        return max(self.ahead.position - self.place.position, 0)

    async def next(self) -> S:
        """Return the next span with events or not, in hand; ``after`` is the reader's place.

        Raises:
            Closed: the inbox is closed and empty; what lags behind stays in the store.
        """
        while True:
            if not self.inbox.waiting and self.lag and not self.inbox.closed:
                return await self._from_store(self.ahead.position)
            span = await self.inbox.take()
            if span.upto <= self.place.position:
                self.inbox.done()
            elif span.after > self.place.position:
                # Let go: it is in the store as well, and in hand it would blur which event killed a reader.
                self.inbox.done()
                return await self._from_store(span.upto)
            else:
                return self._drained(self._trimmed(span))

    async def read(self, after: int, upto: int) -> S:
        """Return what lies between two positions, wherever the reader stands; not in hand."""
        return await self._read(after, upto, upto - after)

    async def _from_store(self, upto: int) -> S:
        """Return the next events from the store, in hand like a live span."""
        span = await self._read(self.place.position, upto, CAP)
        self.inbox.hold(span)
        return span

    def _trimmed(self, span: S) -> S:
        """Return *span* without what was read already."""
        place = self.place.position
        if span.after == place:
            return span
        rest = tuple(event for event in span.events if event.position > place)
        return msgspec.structs.replace(span, after=place, events=rest)

    def _drained(self, span: S) -> S:
        """Return *span* joined with the live spans that follow it at once, up to the cap."""
        more = self.inbox.peek()
        if more is None or more.after != span.upto:
            return span
        events = list(span.events)
        upto = span.upto
        while more is not None and more.after == upto and len(events) < CAP:
            self.inbox.take_nowait()
            events += more.events
            upto = more.upto
            more = self.inbox.peek()
        return msgspec.structs.replace(span, upto=upto, events=tuple(events))


class Reader(Actor[S]):
    """An actor whose inbox is only the live end of a log: what it missed, it reads."""

    def __init__(self, follower: Follower[S]) -> None:
        super().__init__(follower.inbox)
        self.follower = follower

    async def _next(self) -> S | None:
        try:
            return await self.follower.next()
        except Closed:
            return None
