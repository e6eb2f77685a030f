"""Whether deliveries came in the order of their keys: the one check for every test of it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import NamedTuple


class Came(NamedTuple):
    """One arrival at a destination, whatever it was answered.

    Attributes:
        turn: what it is ordered by.
        key: its idempotency key: equal for all attempts.
        place: grows with the order of its event.
    """

    turn: Hashable
    key: str
    place: int


def disorder(arrivals: Iterable[Came]) -> list[str]:
    """Return what is wrong with the order of *arrivals*, in words; nothing, if all is well.

    Per turn, the sequence of *first* arrivals grows, and the last arrival is the last event: what is tried again, or
    sent again after a crash, comes before what comes after it.
    """
    by_turn: dict[Hashable, list[Came]] = defaultdict(list)
    for one in arrivals:
        by_turn[one.turn].append(one)
    wrong: list[str] = []
    for turn, own in by_turn.items():
        first: dict[str, int] = {}
        for one in own:
            first.setdefault(one.key, one.place)
        places = list(first.values())
        wrong += [f"{turn}: {after} first came behind {before}" for before, after in _steps_back(places)]
        if own[-1].place != max(places):
            wrong.append(f"{turn}: {own[-1].place} came last, and {max(places)} was the last event")
    return wrong


def _steps_back(places: list[int]) -> list[tuple[int, int]]:
    return [(before, after) for before, after in itertools.pairwise(places) if after < before]
