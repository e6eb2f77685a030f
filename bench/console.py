"""The console bench: what somebody who watches costs the events, and what a browser that is stuck does.

The engine of the pipeline bench runs four times in each round, at the same rate: nobody watches, nobody watches again,
somebody reads the live feeds and loads Overview and the debugger every second, and a browser opens feeds and never
reads. The order turns from round to round. A verdict is the median over the rounds in which neither turn is void, as in
the pipeline bench; a figure by which two turns that nobody watches differ as much says nothing, and is given so. The
CPU is the engine's whole process, pages included.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.children import HERE, Child, running
from bench.judged import VOID, judged, lost_in
from bench.pipeline import turn

ROUNDS = 5
RATE = 2000.0
KINDS = ("alone", "again", "live", "stuck")
COST = 0.05
"""Of what it is while nobody watches: more is broken."""
UNITS = {"p50": "ms", "p99": "ms", "cpu_us": "µs"}
"""Figures with a verdict: from send to arrival, and the CPU per event."""


def console(*, rate: float, seconds: float, pairs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run all rounds and return turns and verdicts."""
    turns: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for number in range(pairs):
            first = number % len(KINDS)
            for kind in (*KINDS[first:], *KINDS[:first]):
                tell(f"round {number + 1} of {pairs}: {kind}")
                watching = partial(_watching, kind)
                once = partial(turn, "engine", rate=rate, seconds=seconds, folder=Path(folder), watching=watching)
                turns[kind].append(judged(once, seconds))
    noise = compared(turns["alone"], turns["again"])
    verdicts = {kind: verdict(compared(turns["alone"], turns[kind]), noise) for kind in ("live", "stuck")}
    lost = lost_in(turns)
    return {"rate": rate, "seconds": seconds, "turns": turns, "noise": noise, "verdicts": verdicts, "lost": lost}


@contextmanager
def _watching(kind: str, engine: Child) -> Iterator[Child | None]:
    """Have somebody watch, if anybody, for as long as the block lasts."""
    if kind in {"alone", "again"}:
        yield None
        return
    assert engine.process.stdout
    port = engine.process.stdout.readline().rpartition(":")[2].strip(" /\n")
    with running(str(HERE / "watcher.py"), kind, port) as watcher:
        yield watcher


def compared(alone: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of each figure and their ratio, over the rounds of which neither turn is void."""
    rounds = [pair for pair in zip(alone, other, strict=True) if not (pair[0]["void"] or pair[1]["void"])]
    found: dict[str, Any] = {"rounds": len(rounds)}
    for key in UNITS if rounds else ():
        before, after = (statistics.median(pair[place][key] for pair in rounds) for place in (0, 1))
        ratio = statistics.median(pair[1][key] / pair[0][key] for pair in rounds)
        found[key] = {"alone": before, "watched": after, "ratio": round(ratio, 3)}
    return found


def verdict(found: dict[str, Any], noise: dict[str, Any]) -> dict[str, Any]:
    """Return *found* with what is kept of it: True, False, or None where nothing can be said."""
    kept: dict[str, bool | None] = {}
    for key in UNITS:
        said = found["rounds"] and noise["rounds"] and abs(noise[key]["ratio"] - 1) < COST
        kept[key] = found[key]["ratio"] < 1 + COST if said else None
    return found | {"kept": kept}


def table(result: dict[str, Any]) -> str:
    """Return *result* for a person."""
    lines = [
        f"at {result['rate']:g} events a second, < {COST:.0%} more than while nobody watches; {result['lost']} lost"
    ]
    for kind, name in (("live", "somebody who watches"), ("stuck", "a browser that is stuck")):
        one = result["verdicts"][kind]
        lines.append(f"{name}, median of {one['rounds']} rounds:")
        if not one["rounds"]:
            lines.append(f"  void in every round: {VOID}")
            continue
        for key, unit in UNITS.items():
            figures = one[key]
            noise = result["noise"].get(key, {}).get("ratio", float("nan"))
            said = {True: "kept", False: "BROKEN", None: "undecided"}[one["kept"][key]]
            lines.append(
                f"  {key.removesuffix('_us'):4} {figures['alone']:>8} → {figures['watched']:>8} {unit}"
                f"  {figures['ratio']:.3f}x (nobody, twice: {noise:.3f}x)  {said}"
            )
    return "\n".join(lines)
