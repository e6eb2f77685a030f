"""Counting ledger rows by what they suffer from, a stretch at a time, so that no count holds anything up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from engine.messages import State
from engine.store.selection import Selection

STRETCH = 20_000
"""Row numbers that one step looks at."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that have state and reason in common."""

    state: State
    reason: str
    count: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """A count that goes on step by step, from the youngest row to the oldest; each answer is the next question.

    Attributes:
        selection: which rows; without ``after`` and ``limit``.
        top: the number of the youngest row when it began; 0 before that.
        below: rows from this number on were counted.
        groups: the largest first.
    """

    selection: Selection
    state: Literal["counting", "done"] = "counting"
    top: int = 0
    below: int = 0
    groups: tuple[Group, ...] = ()

    @property
    def count(self) -> int:
        """How many rows match, of those that were looked at."""
        return sum(group.count for group in self.groups)

    def begun(self, top: int) -> Tally:
        """Return the count at its beginning."""
        return msgspec.structs.replace(self, top=top, below=top + 1, state="counting" if top else "done")

    @property
    def span(self) -> tuple[int, int]:
        """Which rows are next: those with span[0] < number <= span[1]."""
        return max(0, self.below - 1 - STRETCH), self.below - 1

    def counted(self, found: Mapping[tuple[State, str], int]) -> Tally:
        """Return the count with what is in `span`."""
        sums = {(group.state, group.reason): group.count for group in self.groups}
        for key, count in found.items():
            sums[key] = sums.get(key, 0) + count
        groups = tuple(Group(state=state, reason=reason, count=count) for (state, reason), count in sums.items())
        low = self.span[0]
        return msgspec.structs.replace(
            self,
            below=low + 1,
            state="counting" if low else "done",
            groups=tuple(sorted(groups, key=lambda group: (-group.count, group.state, group.reason))),
        )
