"""By which plan a source's events were judged: a sync that lags reads them again as they passed then."""

from __future__ import annotations

from collections.abc import Iterable

from engine.plan.sources import SourcePlan

MOST = 16
"""Former plans that are kept at most; with more the oldest is read as the one after it."""


class Eras:
    """The plans of one source, each up to the position where the next took over. Belongs to the tree.

    Args:
        now: the plan of today.
        before: former ones, the oldest first, each with the last position that it judged.
    """

    def __init__(self, now: SourcePlan, before: Iterable[tuple[int, SourcePlan]] = ()) -> None:
        self.source = now.name
        self.now = now
        self._before = list(before)

    def __len__(self) -> int:
        """Return how many plans are remembered."""
        return len(self._before) + 1

    def at(self, position: int) -> SourcePlan:
        """Return the plan that judged the event at *position*."""
        for upto, plan in self._before:
            if position <= upto:
                return plan
        return self.now

    def turn(self, upto: int, plan: SourcePlan) -> None:
        """Let *plan* judge what comes after *upto*."""
        self._before.append((upto, self.now))
        del self._before[:-MOST]
        self.now = plan
