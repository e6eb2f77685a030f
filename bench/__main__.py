"""``python -m bench NAME``: every bench reports ratios to a floor measured in the same run, and can print JSON."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from typing import Any

from bench import backlog, console, isolation, pipeline, soak

NAMES = ("pipeline", "backlog", "console", "functions", "hop", "ingest", "isolation", "language", "soak", "store")

COUNTED = ("lost", "books")
"""Verdicts that are counts, and so hold on every machine."""


def main() -> int:
    """Run one bench; 1 if it lost something or its books do not balance, 0 whatever its times are."""
    parser = argparse.ArgumentParser(prog="headrace bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    rate = "events a second offered (soak: half of the most it finds; pipeline: 1000, console: 2000, others: 500)"
    parser.add_argument("--rate", type=float, default=0.0, help=rate)
    parser.add_argument("--minutes", type=float, default=30, help="how long (soak)")
    turns = "seconds each turn is measured (pipeline, console, backlog, isolation)"
    parser.add_argument("--seconds", type=float, default=10, help=turns)
    parser.add_argument("--pairs", type=int, default=0, help="pairs of turns (pipeline: 3, console, isolation: 5)")
    parser.add_argument("--events", type=int, default=1_000_000, help="held for a dead destination (backlog)")
    parser.add_argument("--no-max", action="store_true", help="leave out the highest sustained rate (pipeline)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--smoke", action="store_true", help="the shortest run that shows that it works")
    wish = parser.parse_args()
    result, text = _run(wish)
    print(json.dumps(result) if wish.json else text)
    wrong = [name for name in COUNTED if result.get("verdicts", {}).get(name, {}).get("kept") is False]
    if wrong:
        print(f"{wish.name}: {' and '.join(wrong)}: see above", file=sys.stderr)
    return 1 if wrong else 0


def _run(wish: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if wish.name == "pipeline":
        seconds, pairs = (1.0, 1) if wish.smoke else (wish.seconds, wish.pairs or 3)
        search = not (wish.smoke or wish.no_max)
        result = pipeline.pipeline(rate=wish.rate or 1000.0, seconds=seconds, pairs=pairs, search=search, tell=_tell)
        return result, pipeline.table(result)
    if wish.name == "soak":
        short = {"rate": 200.0, "minutes": 0.1, "slot": 1.0, "pairs": 1} if wish.smoke else {}
        result = soak.soak(**{"rate": wish.rate, "minutes": wish.minutes, "tell": _tell} | short)
        return result, soak.table(result)
    if wish.name == "console":
        short = {"rate": 200.0, "seconds": 1.0, "pairs": 1} if wish.smoke else {}
        usual = {"rate": wish.rate or console.RATE, "seconds": wish.seconds, "pairs": wish.pairs or console.ROUNDS}
        result = console.console(**{**usual, "tell": _tell} | short)
        return result, console.table(result)
    if wish.name == "isolation":
        short = {"rate": 200.0, "seconds": 1.0, "pairs": 1} if wish.smoke else {}
        usual = {"rate": wish.rate or 500.0, "seconds": wish.seconds, "pairs": wish.pairs or isolation.PAIRS}
        result = isolation.isolation(**{**usual, "tell": _tell} | short)
        return result, isolation.table(result)
    if wish.name == "backlog":
        short = {"events": 5000, "rate": 200.0, "seconds": 1.0} if wish.smoke else {}
        usual = {"events": wish.events, "rate": wish.rate or 500.0, "seconds": wish.seconds}
        result = backlog.backlog(**{**usual, "tell": _tell} | short)
        return result, backlog.table(result)
    module = import_module(f"bench.{wish.name}")
    rows = module.measure(smoke=wish.smoke)
    return rows, "\n".join(f"{name:52} {value}" for name, value in rows.items())


def _tell(text: str) -> None:
    """Show progress on a terminal; be quiet when piped."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


if __name__ == "__main__":
    sys.exit(main())
