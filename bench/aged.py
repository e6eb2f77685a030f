"""An engine that has run for long, beside one that has just been started: what its age costs each event.

Load goes to the one and to the other in turns, each pair beginning with the other kind; whatever the machine's
neighbours do comes to both. A pair counts unless a turn of it was disturbed by itself: more than one in a hundred of
its sends late, or the parts of the time that the host gave to others more than 5 % apart; one that does not makes room
for another.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.children import ROOT, Child
from bench.judged import APART, DELAYED, LATE, RATIO
from bench.pipeline import KEY

PAIRS = 5
TIMES = 3
"""How many times as many pairs are tried, at most, until so many count."""
UNLIKE = 0.05
"""The part of the time by which what the host took from the two turns of a pair may differ."""
CONNECTIONS = 10
VOID = (
    f"too few pairs whose turns were alike (sends late by {LATE:g} ms, or what was given to others {UNLIKE:.0%} apart)"
)

Turn = dict[str, Any]
Pair = tuple[Turn, Turn]
"""The turn of the aged one, and of the fresh one."""


def steady(engine: Child, *, rate: float, seconds: float, slot: float) -> subprocess.Popen[str]:
    """Start what sends so many events a second for so long, and prints what `bench.steady` says."""
    wish = {"port": engine.port, "path": "/v1/stream", "key": KEY, "rate": rate, "seconds": seconds}
    argv = [sys.executable, "-m", "bench.steady", json.dumps(wish | {"connections": CONNECTIONS, "slot": slot})]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=ROOT, text=True)


def said(generator: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for it, and return what it says."""
    out, _ = generator.communicate()
    if generator.returncode:
        raise SystemExit("the generator failed: see above")
    figures: dict[str, Any] = json.loads(out)
    return figures


def compare(
    aged: Child, fresh: Child, *, rate: float, slot: float, pairs: int, tell: Callable[[str], None]
) -> dict[str, list[Turn]]:
    """Run the turns of both, none for no *pairs*; the first of each only warms it up."""
    engines = {"aged": aged, "fresh": fresh}
    turns: dict[str, list[Turn]] = {name: [] for name in engines}
    for number in range(pairs * TIMES + 1 if pairs else 0):
        if len(good := counting(turns)) == pairs:
            break
        for name in sorted(engines, reverse=bool(number % 2)):
            tell(f"the {name} engine, pair {number}, {len(good)} of {pairs} count")
            with steady(engines[name], rate=rate, seconds=2 * slot, slot=slot) as generator:
                turns[name].append(said(generator))
    return turns


def counting(turns: dict[str, list[Turn]]) -> list[Pair]:
    """Return the pairs that count."""
    pairs = list(zip(turns["aged"], turns["fresh"], strict=True))[1:]
    return [(aged, fresh) for aged, fresh in pairs if _alike(_acks(aged), _acks(fresh))]


def _acks(turn: Turn) -> dict[str, float]:
    """Return the second slot of a turn; the first has its beginning."""
    slot: dict[str, float] = turn["slots"][1]
    return slot


def _alike(one: dict[str, float], other: dict[str, float]) -> bool:
    disturbed = max(one["late"], other["late"]) > DELAYED
    return not disturbed and abs(one["stolen"] - other["stolen"]) <= UNLIKE


def with_arrivals(turns: dict[str, list[Turn]], arrived: dict[str, Any], slot: float) -> dict[str, list[Turn]]:
    """Return the turns with the slot of *arrived* that lies wholly within each: a turn is two slots long."""
    width = slot * 1e9

    def within(turn: Turn) -> dict[str, float]:
        first = -int((arrived["began"] - turn["began"]) // width)
        figures: dict[str, float] = arrived["slots"][first]
        return figures

    return {name: [{**one, "well": within(one)} for one in each] for name, each in turns.items()}


def verdicts(turns: dict[str, list[Turn]], pairs: int) -> dict[str, Any]:
    """Return for each latency the medians over the pairs that count; None if these are fewer than *pairs*."""
    good = counting(turns)
    found: dict[str, Any] = {}
    for name, slot_of in (("acks", _acks), ("well", lambda turn: turn["well"])):
        for part in ("p50", "p99"):
            values = [(slot_of(aged)[part], slot_of(fresh)[part]) for aged, fresh in good]
            found[f"aged_{name}_{part}"] = _compared(values) if pairs and len(good) >= pairs else None
    return found


def _compared(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    ratio = statistics.median(aged / fresh for aged, fresh in pairs)
    apart = statistics.median(aged - fresh for aged, fresh in pairs)
    return {
        "pairs": len(pairs),
        "fresh_ms": round(statistics.median(fresh for _, fresh in pairs), 2),
        "aged_ms": round(statistics.median(aged for aged, _ in pairs), 2),
        "ratio": round(ratio, 2),
        "kept": ratio <= RATIO or apart <= APART,
    }
