"""What happens each second, from counters that are there anyway: two readings make a sample. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

FINEST: Final = 1e-4
"""Seconds of the shortest latency that is told apart."""
STEP: Final = 1.1
"""From one bound to the next: a quantile is within 10 % of the truth."""
BOUNDS: Final = tuple(FINEST * STEP**step for step in range(141))
"""Up to 62 seconds."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment; all of them only grow.

    Attributes:
        at: monotonic seconds.
        wall: epoch seconds.
        read, refused, delivered, archived: how many so far.
        within: for each of `BOUNDS`, how many arrived within it, of all syncs.
        arrived: how many arrived at all.
    """

    at: float
    wall: float
    read: int = 0
    refused: int = 0
    delivered: int = 0
    archived: int = 0
    within: Sequence[int] = ()
    arrived: int = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch between two readings, usually a second.

    Attributes:
        at: epoch seconds of its end.
        read, refused, delivered, archived: per second.
        p50, p99: seconds from receipt to arrival at the first attempt; None if nothing arrived.
    """

    at: float
    read: float = 0.0
    refused: float = 0.0
    delivered: float = 0.0
    archived: float = 0.0
    p50: float | None = None
    p99: float | None = None


def sample(before: Reading, after: Reading) -> Sample:
    """Return what happened between two readings; what a reload took away counts as nothing."""
    seconds = max(after.at - before.at, 1e-3)

    def rate(name: str) -> float:
        grown: int = getattr(after, name) - getattr(before, name)
        return round(max(grown, 0) / seconds, 2)

    arrived = after.arrived - before.arrived
    within = [late - early for early, late in zip(before.within, after.within, strict=False)]
    return Sample(
        at=after.wall,
        read=rate("read"),
        refused=rate("refused"),
        delivered=rate("delivered"),
        archived=rate("archived"),
        p50=_quantile(within, arrived, 0.5),
        p99=_quantile(within, arrived, 0.99),
    )


def _quantile(within: Sequence[int], arrived: int, part: float) -> float | None:
    """Return the bound that *part* of those who arrived did not exceed; the last one for what took longer."""
    if arrived <= 0:
        return None
    wanted = part * arrived
    return next((bound for bound, count in zip(BOUNDS, within, strict=False) if count >= wanted), BOUNDS[-1])
