"""The retry scheduler: gives each sender what is due, as much as it has room for. Never waits for a sender."""

from __future__ import annotations

import math
from collections.abc import Mapping

from engine.messages import Claim, Delivery, Due
from engine.runtime.bell import Bell
from engine.runtime.clock import Clock
from engine.runtime.lanes import Lanes
from engine.store.base import Queue
from engine.store.tally import NEEDS_ATTENTION

LANE = "due"
"""The name of the lane of every sender that retries come by."""
MOST = 64
"""Claims in one call."""


class Retry:
    """One for all destinations; sleeps until the earliest is due, a new one comes, or a sender has room again.

    Args:
        lanes: of each destination's sender.
        bell: rung by the store when something may be due earlier, and by senders when they have room.
    """

    def __init__(self, queue: Queue, lanes: Mapping[str, Lanes[Delivery | Due]], bell: Bell, clock: Clock) -> None:
        self.queue = queue
        self.lanes = lanes
        self.bell = bell
        self.clock = clock
        self.stopping = False

    async def run(self) -> None:
        """Feed the senders until told to stop."""
        while not self.stopping:
            for destination in self.lanes:
                await self._feed(destination)
            await self.bell.wait(self._next_due() - self.clock.wall())

    def stop(self) -> None:
        """Claim nothing more."""
        self.stopping = True
        self.bell.ring()

    async def _feed(self, destination: str) -> None:
        """Hand one sender what is due, up to its free places."""
        lanes = self.lanes[destination]
        room = lanes[LANE].room
        while room.free and not lanes.closed and not self.stopping:
            claims = await self.queue.claim(destination, self.clock.wall(), min(room.free, MOST))
            if not claims or lanes.closed:
                return
            room.take(len(claims))
            lanes.put(LANE, [_due(claim) for claim in claims])

    def _next_due(self) -> float:
        """Return when the earliest is due, of the destinations that have room; never, if none is."""
        moments = [
            due
            for destination, lanes in self.lanes.items()
            if lanes[LANE].room.free and not lanes.closed and (due := self.queue.next_due(destination)) is not None
        ]
        return min(moments, default=math.inf)


def _due(claim: Claim) -> Due:
    """Return the delivery that a ledger row stands for, as it goes to the sender."""
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
    return Due(delivery=delivery, token=claim.token, refused=trouble.reason == NEEDS_ATTENTION, last_at=trouble.last_at)
