"""The router, one per sync: event type, filter, mapping, in log order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import trio

from actors.follower import Follower, Reader
from actors.ordering import Ordering
from engine.messages import Delivery, Due, Event, Logged, Passed, Routed, Settled, Trouble
from engine.observe.latency import Histogram
from engine.plan import SourcePlan, SyncPlan
from engine.plan.eras import Eras
from engine.plan.syncs import disabled
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.gate import Gate
from engine.runtime.lanes import Lanes
from engine.runtime.room import Room
from engine.store.base import Log
from engine.store.tally import parked

RUN = 256
"""Positions that are read together when open deliveries are looked up after a restart."""
SLICE = 16
"""Events of a long span after which others have their turn: 256 would hold up everyone for tens of milliseconds."""


class Outlets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a router's words go.

    Attributes:
        archiver: what was read and opened; waits when full.
        lanes: of the destination's sender; the sync's own lane must have room first.
        gate: shut while the sync is paused.
        places: of the archiver; reserved for what is parked, and for what fails.
        ordering: keeps the sync's order; None if it has none.
        off: tells whether an operator disabled the sync, or where it goes to.
        latency: from receipt to here, of each batch's first event.
    """

    archiver: Inbox[Any]
    lanes: Lanes[Delivery | Due]
    gate: Gate
    places: Room
    ordering: Ordering | None
    off: Callable[[], bool]
    latency: Histogram = msgspec.field(default_factory=Histogram)


class Router(Reader[Passed]):
    """Reads what passed at its source, and hands its destination what the sync makes of it.

    A destination without room stops it; it writes nothing then, and its lag is a number.

    Args:
        reopened: (position, key) of deliveries that were open when the engine last ended; emptied once they are dealt
            with.
        known: names of the event types that could each have taken those events; none if only one could.
    """

    def __init__(
        self,
        sync: SyncPlan,
        follower: Follower[Passed],
        outlets: Outlets,
        clock: Clock,
        reopened: set[tuple[int, str]],
        known: Collection[str] = (),
    ) -> None:
        super().__init__(follower)
        self.sync = sync
        self.outlets = outlets
        self.clock = clock
        self.reopened = reopened
        self.known = known

    async def started(self) -> None:
        """Send again what was open at the last end, before anything new."""
        while self.reopened:
            first = min(position for position, _ in self.reopened)
            upto = min(first + RUN - 1, self.follower.place.position)  # beyond it the log may not reach yet
            await self._reopen(await self._read(first - 1, upto))
        if self.outlets.ordering is not None:
            self.outlets.ordering.began()

    async def receive(self, passed: Passed, /) -> None:
        """Route every event of *passed*; wait for room before anything is reported or handed on.

        If it is called back meanwhile, it reads them again: an event may have been erased.
        """
        while not await self._carry(passed):
            passed = await self._again(passed)

    async def _carry(self, passed: Passed) -> bool:
        """Return whether it was done; not if it was called back."""
        before = self.outlets.gate.recalls
        if self.outlets.gate.shut:
            with self.outlets.gate.leave() as away:
                await self.outlets.gate.wait()
            if away.cancelled_caught:
                return False
        now = self.clock.wall()
        if passed.events:
            self.outlets.latency.add(now - passed.events[0].received_at)
        deliveries: list[Delivery] = []
        troubles: list[Trouble] = []
        filtered: Counter[str] = Counter()
        matched = 0
        decide = disabled if self.outlets.off() else self.sync.route
        for number, event in enumerate(passed.events, 1):
            if not number % SLICE:
                await trio.lowlevel.checkpoint()
                if before != self.outlets.gate.recalls:
                    return False
            made = decide(event, now)
            if made.reason:
                filtered[made.reason] += 1
            else:
                matched += 1
                deliveries += made.deliveries
                troubles += made.troubles
        routed = Routed(
            sync=self.sync.name,
            after=passed.after,
            upto=passed.upto,
            opened=_entries(deliveries),
            filtered=dict(filtered),
            matched=matched,
            troubles=tuple(troubles),
        )
        return await self._hand_on(routed, deliveries)

    async def _again(self, passed: Passed) -> Passed:
        """Return the same events as they are now, in hand.

        No others, though some of those between may pass now: whoever let them pass saw this sync beyond them.
        """
        self._hold(msgspec.structs.replace(passed, events=()))
        known = {event.position for event in passed.events}
        read = await self._read(passed.after, passed.upto)
        events = tuple([event for event in read.events if event.position in known])
        return self._hold(msgspec.structs.replace(passed, events=events))

    async def _read(self, after: int, upto: int) -> Passed:
        """Return what lies between two positions as it is now: if it is called back meanwhile, it reads again."""
        while True:
            before = self.outlets.gate.recalls
            passed = await self.follower.read(after, upto)
            if before == self.outlets.gate.recalls:
                return passed

    def _hold(self, passed: Passed) -> Passed:
        self.inbox.done()
        self.inbox.hold(passed)
        return passed

    async def _next(self) -> Passed | None:
        """Return what comes next, as it is now: what was called back while it was read is read again."""
        while True:
            before = self.outlets.gate.recalls
            passed = await super()._next()
            if passed is None or before == self.outlets.gate.recalls:
                return passed
            self.inbox.done()

    async def poisoned(self, message: Passed, error: Exception, /) -> None:
        """Archive the events of *message*, which killed two routers, and go on after them."""
        now = self.clock.wall()
        troubles = tuple(self.sync.died(event, error, now) for event in message.events)
        routed = Routed(
            sync=self.sync.name, after=message.after, upto=message.upto, matched=len(troubles), troubles=troubles
        )
        while not await self._hand_on(routed, []):
            pass

    async def _hand_on(self, routed: Routed, deliveries: list[Delivery]) -> bool:
        """Report, then hand on; the place moves with the hand-over, so that a death before it repeats nothing.

        Returns:
            Whether it was done; not if it was called back while it waited.
        """
        ordering, room = self.outlets.ordering, self.outlets.lanes[self.sync.name].room
        places = min(len(deliveries), room.capacity)
        if ordering is None and room.free >= places and not routed.troubles:  # it need not wait for long
            await self._report(routed, deliveries, places)
        else:
            with self.outlets.gate.leave() as away:
                await self._report(routed, deliveries, places)
            if away.cancelled_caught:
                return False
        self.follower.place.move(routed.upto)
        if deliveries and ordering is not None:
            await self._park(ordering.admit(deliveries))
        elif deliveries:
            self.outlets.lanes.put(self.sync.name, deliveries)
        return True

    async def _report(self, routed: Routed, deliveries: Sequence[Delivery], places: int) -> None:
        """Reserve *places* for the deliveries, and tell the archiver of them; if it is cut off, nothing was done."""
        if self.outlets.ordering is not None:
            await self.outlets.ordering.room(deliveries)
        room = self.outlets.lanes[self.sync.name].room
        await room.reserve(places)
        with ExitStack() as undo:
            undo.callback(room.give, places)
            if routed.troubles:
                kept = await self.outlets.places.reserve_some(len(routed.troubles))
                undo.callback(self.outlets.places.give, kept)
                routed = msgspec.structs.replace(routed, places=kept)
            await self.outlets.archiver.put(routed)
            undo.pop_all()

    async def _park(self, deliveries: list[Delivery]) -> None:
        """Put in the ledger what waits for its turn and has no room in memory."""
        now = self.clock.wall()
        for first in range(0, len(deliveries), RUN):
            some = deliveries[first : first + RUN]
            await self.outlets.places.reserve(len(some))
            closed = tuple([(delivery.sync, delivery.position, delivery.key) for delivery in some])
            troubles = tuple([parked(delivery, now) for delivery in some])
            await self.outlets.archiver.put(Settled(closed=closed, troubles=troubles, places=len(some)))

    async def _reopen(self, passed: Passed) -> None:
        """Send again those deliveries of *passed* that were open; what the plan makes no more is discarded."""
        now = self.clock.wall()
        wanted = {entry for entry in self.reopened if entry[0] <= passed.upto}
        made = _by_position(self.sync, passed.events, now)
        again: list[Delivery] = []
        voided: list[tuple[int, str]] = []
        for position in sorted({position for position, _ in wanted}):
            keys = {key for at, key in wanted if at == position}
            found = reopened(self.sync, made.get(position, []), keys, self.known)
            again += found
            voided += [(position, key) for key in sorted(keys - {delivery.key for delivery in found})]
        routed = Routed(
            sync=self.sync.name,
            after=self.follower.place.position,
            upto=self.follower.place.position,
            opened=_entries(again),
            voided=tuple(voided),
        )
        if await self._hand_on(routed, again):
            self.reopened -= wanted


def _entries(deliveries: Sequence[Delivery]) -> tuple[tuple[int, str], ...]:
    """Return what the books call each delivery."""
    return tuple([(delivery.position, delivery.key) for delivery in deliveries])


def reopened(sync: SyncPlan, made: Sequence[Delivery], keys: set[str], known: Collection[str]) -> list[Delivery]:
    """Return which of an event's deliveries are sent again.

    A changed mapping gives the same key, and a renamed sync keeps it. Of an open one that is not made any more, what
    the plan makes anew takes the place; deliveries of event types that there were before had their fate already.

    Args:
        sync: as it is today.
        made: what it makes of the event.
        keys: what was open.
        known: see `Router`.
    """
    own = [
        msgspec.structs.replace(each, key=former) if (former := sync.former_key(each)) in keys else each
        for each in made
    ]
    missing = keys - {each.key for each in own}
    return [each for each in own if each.key in keys or (missing and each.event_type not in known)]


def _by_position(sync: SyncPlan, events: Sequence[Event], now: float) -> dict[int, list[Delivery]]:
    """Return the deliveries that *sync* makes of *events* today."""
    made: dict[int, list[Delivery]] = {}
    for event in events:
        made.setdefault(event.position, []).extend(sync.route(event, now).deliveries)
    return made


def router_reader(eras: Eras, log: Log, clock: Clock) -> Callable[[int, int, int], Awaitable[Passed]]:
    """Return what a router's `Follower` reads with: rows of the log, through contract and stored results again."""

    async def read(after: int, upto: int, limit: int) -> Passed:
        logged = await log.read(eras.source, after, upto, limit)
        reached = logged[-1].position if len(logged) == limit else upto
        results = await log.results([one.position for one in logged])
        now = clock.wall()
        events: list[Event] = []
        for number, one in enumerate(logged, 1):
            if not number % SLICE:
                await trio.lowlevel.checkpoint()
            events += _again(eras.at(one.position), one, results, now)
        return Passed(source=eras.source, after=after, upto=reached, events=tuple(events))

    return read


def _again(source: SourcePlan, logged: Logged, results: dict[int, Any], now: float) -> tuple[Event, ...]:
    """Return what passed of one log row, as the validator made it."""
    if source.has_functions:
        # No result: the contract had blocked it, so that no function ever saw it.
        return source.restored(logged, results[logged.position]) if logged.position in results else ()
    if logged.position in results:  # a window fired here, or two validators died of it
        return source.restored(logged, results[logged.position])
    examined = source.examine(logged, now)
    return () if isinstance(examined, Trouble) else source.events(logged, examined)
