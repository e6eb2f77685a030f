"""When a turn says something: it is void, and repeated, if its generator was late or the host gave time to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.children import stolen

LATE = 10.0
"""Milliseconds: a generator that was later makes a turn void."""
STOLEN = 0.05
"""The part of the machine's time that its host may have given to others; more makes a turn void."""
DELAYED = 0.01
"""The part of a slot's sends that may be so late; more would be seen in its p99."""
RATIO = 1.3
"""Of a latency to the one that it is compared with, at most, or…"""
APART = 2.0
"""…the ms between them."""
TRIES = 3
"""Turns that may be void one after another before the figure is given as void."""
SMOKE = 1.0
"""Seconds of a turn that only shows that it works: void or not, it is not repeated."""
VOID = f"the generator was late by more than {LATE:g} ms, or the host gave more than {STOLEN:.0%} of the time to others"


def judged(turn: Callable[[], dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Run a turn, again if it is void; the last one is returned, void or not.

    Args:
        turn: returns its figures, ``late_ms`` among them; a ``void`` of its own is respected.
        seconds: how long it is measured.
    """
    for _ in range(TRIES if seconds > SMOKE else 1):
        before = stolen()
        found = turn()
        found["stolen"] = stolen_since(before)
        found["void"] = bool(found.get("void")) or found["late_ms"] > LATE or found["stolen"] > STOLEN
        if not found["void"]:
            break
    return found


def lost_in(turns: dict[str, list[dict[str, Any]]]) -> int:
    """Return how many events were sent in any turn and did not arrive."""
    return sum(one["sent"] - one["arrived"] for each in turns.values() for one in each)


def stolen_since(before: tuple[int, int]) -> float:
    """Return the part of the machine's time that its host gave to others since *before*, what `stolen` said."""
    return stolen_between(before, stolen())


def stolen_between(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return that part between two such answers."""
    return round((after[0] - before[0]) / max(after[1] - before[1], 1), 3)
