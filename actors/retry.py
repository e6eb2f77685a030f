"""The retry scheduler: gives each sender what is due, as much as it has room for. Never waits for a sender."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.ordering import Ordering, Orderings
from engine.lang.retry import RetryPolicy
from engine.messages import NEVER, Claim, Delivery, Due, Settle, Settlement, trouble_id
from engine.runtime.bell import Bell
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.lanes import Lanes
from engine.store.base import Change, Queue
from engine.store.tally import NEEDS_ATTENTION, Tally, work_delivery

LANE = "due"
"""The name of the lane of every sender that retries come by."""
MOST = 64
"""Claims in one call."""
SOON, LATE = 15.0, 300.0
"""Seconds by which what is due is put off while its sync is paused: a quarter of its excused time, within these."""


class Retry:
    """One for all destinations; sleeps until the earliest is due, a new one comes, or a sender has room again.

    Args:
        lanes: of each destination's sender.
        bell: rung by the store when something may be due earlier, and by senders when they have room.
        orderings: what waits for its turn, some of it parked in the ledger.
        archiver: told of what was parked and is wanted no more.
    """

    def __init__(
        self,
        queue: Queue,
        lanes: Mapping[str, Lanes[Delivery | Due]],
        bell: Bell,
        clock: Clock,
        orderings: Orderings,
        archiver: Inbox[Any],
    ) -> None:
        self.queue = queue
        self.lanes = lanes
        self.bell = bell
        self.clock = clock
        self.orderings = orderings
        self.archiver = archiver
        self.stopping = False
        self.held: set[str] = set()
        """Destinations that get nothing for now, since what waits for them is being moved."""

    async def run(self) -> None:
        """Feed the senders until told to stop."""
        while not self.stopping:
            for destination in [name for name in self.lanes if name not in self.held]:
                await self._feed(destination)
            for ordering in list(self.orderings.by_sync.values()):
                await self._fetch(ordering)
            await self.bell.wait(self._next_due() - self.clock.wall())

    def stop(self) -> None:
        """Claim nothing more."""
        self.stopping = True
        self.bell.ring()

    async def take_back(self, sync: str) -> None:
        """Take back what of a sync that was paused is due and in no request yet."""
        taken = [
            work
            for lanes in self.lanes.values()
            for work in lanes.take_out(lambda work: work_delivery(work).sync == sync, LANE)
            if isinstance(work, Due)
        ]
        ends = tuple([Settle(id=_id(work), token=work.token, how=Settlement.RELEASE) for work in taken])
        if ends:
            await self.queue.commit(Change(settles=ends))
        self.bell.ring()

    async def _feed(self, destination: str) -> None:
        """Hand one sender what is due, up to its free places."""
        lanes = self.lanes.get(destination)
        if lanes is None:  # it went while another was fed
            return
        room = lanes[LANE].room
        while room.free and not lanes.closed and not self.stopping:
            claims = await self.queue.claim(destination, self.clock.wall(), min(room.free, MOST))
            if destination in self.held:
                await self.queue.commit(Change(settles=tuple([_released(claim) for claim in claims])))
                return
            if not claims or lanes.closed:
                return
            now = self.clock.wall()
            later = [_put_off(claim, now) for claim in claims if lanes.is_shut(claim.trouble.sync)]
            found = [_due(claim, now) for claim in claims if not lanes.is_shut(claim.trouble.sync)]
            room.take(len(found))
            lanes.put(LANE, found)
            if later:
                await self.queue.commit(Change(settles=tuple(later)))
                self.bell.ring()
                return  # there may be very many: the other destinations have their turn

    async def _fetch(self, ordering: Ordering) -> None:
        """Bring back the next of what is parked in the ledger; those that nobody wants any more go to the archive."""
        for line in ordering.wishes():
            now = self.clock.wall()
            most = min(MOST, ordering.turns.spare)
            claims = await self.queue.claim_parked((ordering.sync, line.key), line.mark, now, most)
            if ordering.turns.again:  # its sync leaves
                await self.queue.commit(Change(settles=tuple([_released(claim) for claim in claims])))
                return
            dues = [_due(claim, now) for claim in claims]
            found = [due for due in dues if due.delivery.position > line.forsaken]
            gone = dues[: len(dues) - len(found)]
            if gone:
                tally = Tally(RetryPolicy(), now, lambda: 0.0)
                for due in gone:
                    tally.forsaken(due)
                await self.archiver.put(msgspec.structs.replace(tally.settled(None), places=0))
            ordering.fetched(line, found, gone)

    def _next_due(self) -> float:
        """Return when the earliest is due, of the destinations that have room; never, if none is."""
        moments = [
            due
            for destination, lanes in self.lanes.items()
            if destination not in self.held
            and lanes[LANE].room.free
            and not lanes.closed
            and (due := self.queue.next_due(destination)) is not None
        ]
        return min(moments, default=math.inf)


def _released(claim: Claim) -> Settle:
    """Return the end of a claim of which nothing was made."""
    return Settle(id=claim.trouble.id, token=claim.token, how=Settlement.RELEASE)


def _id(work: Due) -> str:
    return trouble_id(work.delivery.position, work.delivery.key)


def _put_off(claim: Claim, now: float) -> Settle:
    """Return the end of a claim whose sync is paused: it waits, and the time does not count."""
    trouble = claim.trouble
    more = min(max(trouble.excused / 4, SOON), LATE)
    later = msgspec.structs.replace(trouble, due_at=now + more, excused=trouble.excused + more)
    return Settle(id=trouble.id, token=claim.token, how=Settlement.RETRY, trouble=later)


def _due(claim: Claim, now: float) -> Due:
    """Return the delivery that a ledger row stands for, as it goes to the sender; one that was parked begins now."""
    trouble = claim.trouble
    delivery = Delivery(
        key=trouble.key,
        position=trouble.position,
        source=trouble.source,
        sync=trouble.sync,
        event_type=trouble.event_type,
        type=trouble.type,
        destination=trouble.destination,
        message_id=trouble.message_id,
        received_at=trouble.received_at,
        payload=trouble.payload,
        attempts=trouble.attempts,
        first_at=trouble.first_at,
        excused=trouble.excused,
        when_missing=trouble.when_missing,
        permits=trouble.permits,
        replay=trouble.replay,
        again_at=trouble.again_at,
        turn=trouble.turn,
    )
    last_at = trouble.last_at
    if trouble.due_at == NEVER:
        delivery, last_at = msgspec.structs.replace(delivery, first_at=0.0), now
    return Due(delivery=delivery, token=claim.token, refused=trouble.reason == NEEDS_ATTENTION, last_at=last_at)
