"""Syncs that leave their destination: what they have in flight is finished, what waits is taken out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import trio

from engine.lang.retry import RetryPolicy
from engine.messages import Due, Settle, Settled, Settlement, trouble_id
from engine.store.base import Change
from engine.store.tally import Tally, Work, work_delivery

if TYPE_CHECKING:
    from actors.tree import Tree

GRACE = 1.0
"""Seconds beyond a destination's time-out in which its requests must have ended."""


class Leaving:
    """Empties a tree of what belongs to some syncs; their routers have ended.

    Args:
        tree: what runs.
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._taken: list[Work] = []

    async def quiet(self, syncs: Sequence[str]) -> None:
        """Return when nothing of *syncs* is in a lane or in a request, and all that was reported is durable.

        Their destinations get no retries until the tree's scheduler is told. A request that does not end within the
        destination's time-out is cut off with its sender, which settles it as one that may have arrived.
        """
        plan = self.tree.plan
        destinations = {plan.syncs[name].destination for name in syncs}
        self.tree.retry.held |= destinations
        for destination in sorted(destinations):
            own = frozenset(name for name in syncs if plan.syncs[name].destination == destination)
            await self._empty(destination, own)
        if syncs:
            await self.flush()

    async def _empty(self, destination: str, syncs: frozenset[str]) -> None:
        def leaves(work: Work) -> bool:
            return work_delivery(work).sync in syncs

        for name in syncs & self.tree.orderings.by_sync.keys():
            self._taken += self.tree.orderings.of(name).withdraw()
        lanes = self.tree.lanes[destination]
        self._taken += lanes.take_out(leaves)
        with trio.move_on_after(self.tree.plan.destinations[destination].timeout + GRACE) as scope:
            await lanes.rid_of(leaves)
        if scope.cancelled_caught:
            await self.hand_over(destination)
            await self.tree.supervisor.add(self.tree.sender(destination), before="replayer")
            await lanes.rid_of(leaves)  # the next sender begins with it
        for name in syncs & self.tree.orderings.by_sync.keys():  # what a batch has put back
            self._taken += self.tree.orderings.of(name).withdraw()
        self._taken += lanes.take_out(leaves)  # claims that were under way

    async def hand_over(self, destination: str) -> None:
        """End a destination's sender, so that another can take over; what waits for it stays."""
        port = self.tree.ports[destination]
        port.changing = True
        try:
            await self.tree.supervisor.remove(f"sender.{destination}")
        finally:
            port.changing = False
            port.recall()

    async def archive(self, syncs: Iterable[str]) -> None:
        """Archive what was taken out of lanes of *syncs*, which are gone; rows in the ledger follow with their sync."""
        gone = frozenset(syncs)
        tally = Tally(RetryPolicy(), self.tree.clock.wall(), self.tree.roll)
        found = [work for work in self._taken if not isinstance(work, Due) and work.sync in gone]
        self._taken = [work for work in self._taken if work_delivery(work).sync not in gone]
        for work in found:
            tally.sync_removed(work)
        if found:
            settled = tally.settled(None)
            # None of them has a place: they were never sent.
            await self.tree.reports.send(Settled(closed=settled.closed, troubles=settled.troubles))
            await self.flush()

    async def release(self) -> None:
        """Let what was claimed, and is in no lane any more, be claimed again: by where it goes today."""
        settles = tuple(
            Settle(id=_id(work), token=work.token, how=Settlement.RELEASE)
            for work in self._taken
            if isinstance(work, Due)
        )
        self._taken = []
        if settles:
            await self.tree.store.commit(Change(settles=settles))

    async def flush(self) -> None:
        """Return when all that was reported until now is durable."""
        tree = self.tree
        held = tree.reports.statistics()
        await tree.written.reach(tree.books.folded + held.waiting + held.in_hand)


def _id(work: Due) -> str:
    return trouble_id(work.delivery.position, work.delivery.key)
