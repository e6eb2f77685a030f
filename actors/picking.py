"""What goes into one request: what waits longest in a lane, as much as fits, and only what may stand together."""

from __future__ import annotations

import functools
from collections.abc import Callable

from actors.ordering import Orderings
from engine.plan import DestinationPlan
from engine.runtime.lanes import Lanes
from engine.store.tally import Work, work_delivery

Alike = Callable[[Work], object]


class Picker:
    """Picks for one destination's sender.

    Args:
        plan: whose limits count.
        lanes: what waits.
        orderings: of keys; a batch that its destination applies in order may hold several deliveries of one.
    """

    def __init__(self, plan: DestinationPlan, lanes: Lanes[Work], orderings: Orderings) -> None:
        self._limits = plan.limits
        self._lanes = lanes
        self._orderings = orderings
        self._alike: Alike | None = _by_payload(plan.alike) if plan.alike and plan.limits.batch > 1 else None
        self._applied_in_order = plan.limits.ordered_batch and plan.limits.batch > 1

    @property
    def in_order(self) -> bool:
        """Whether a batch may hold several deliveries of one key."""
        return self._applied_in_order and bool(self._orderings)

    def pick(self, hand: int, most: int) -> list[Work]:
        """Take at most *most* into *hand*; none if another hand was quicker."""
        picked = self._lanes.pick(hand, most, weigh, self._limits.batch_bytes, self._alike)
        if 0 < len(picked) < most and self.in_order:
            picked += self._followers(hand, picked, most)
        return picked

    def _followers(self, hand: int, picked: list[Work], most: int) -> list[Work]:
        """Return what goes along behind others of its key."""
        places, left = most - len(picked), self._limits.batch_bytes - sum(map(weigh, picked))
        alike = self._alike
        wanted = alike(picked[0]) if alike else None

        def fits(work: Work) -> bool:
            nonlocal places, left
            if not places or weigh(work) > left or (alike and alike(work) != wanted):
                return False
            places, left = places - 1, left - weigh(work)
            return True

        found = self._orderings.followers(picked, fits)
        joined = [freed.item for freed in found]
        self._lanes.join(hand, joined, places=sum(not freed.seated for freed in found))
        return joined


def weigh(work: Work) -> int:
    """Return the bytes of a payload."""
    return len(work_delivery(work).payload)


def _by_payload(alike: Callable[[bytes], object]) -> Alike:
    """Return what *alike* says of work; a payload that is passed over again and again is read once."""
    kept = functools.lru_cache(maxsize=4096)(alike)
    return lambda work: kept(work_delivery(work).payload)
