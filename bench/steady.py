"""The near end of the soak bench: `bench.generator` for as long as it takes, with its figures by slot.

Arguments: as the generator's, and ``slot``: its seconds. Prints one line of JSON: sent, unacked, and per slot its acks
with their p50 and p99, in ms, which part of its sends was late by more than `LATE`, and which part of the machine's
time its host gave to others.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from typing import Any, cast

from bench.children import stolen
from bench.generator import Generator
from bench.judged import LATE, stolen_between
from bench.moody import Slots


class Steady(Generator):
    """Keeps no latency of a single event."""

    def __init__(self, wish: dict[str, Any]) -> None:
        super().__init__(wish)
        self.slots = Slots(wish["slot"])
        self.latencies = cast("list[tuple[int, int]]", self.slots)  # only ever appended to
        self.delayed: list[int] = []
        self.ticks: list[tuple[int, int]] = []

    def send_one(self) -> None:
        """Send the next event, and note if it is late."""
        slot = (time.perf_counter_ns() - self.slots.began) // self.slots.width
        while len(self.delayed) <= slot:
            self.delayed.append(0)
            self.ticks.append(stolen())
        self.delayed[slot] += self.late > LATE * 1e6
        self.late = 0
        super().send_one()

    def run(self) -> dict[str, Any]:
        """Send for the wished time, wait for the last acks, and return the figures."""
        told = super().run()
        self.ticks.append(stolen())
        shares = [stolen_between(*pair) for pair in pairwise(self.ticks)]
        slots = [
            {**figures, "late": many / max(figures["count"], 1), "stolen": share}
            for figures, many, share in zip(self.slots.figures(), self.delayed, shares, strict=False)
        ]
        return {"sent": told["sent"], "unacked": told["unacked"], "began": self.slots.began, "slots": slots}


if __name__ == "__main__":
    json.dump(Steady(json.loads(sys.argv[1])).run(), sys.stdout)
