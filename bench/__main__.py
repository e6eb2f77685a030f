"""``python -m bench NAME``: every bench reports ratios to a floor measured in the same run, and can print JSON."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from typing import Any

from bench import pipeline, soak

NAMES = ("pipeline", "functions", "hop", "ingest", "language", "soak", "store")


def main() -> int:
    """Run one bench; 0 when it ran, whatever the figures."""
    parser = argparse.ArgumentParser(prog="headrace bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    rate = "events a second offered (pipeline: 1000 unless given; soak: half of the most it finds)"
    parser.add_argument("--rate", type=float, default=0.0, help=rate)
    parser.add_argument("--minutes", type=float, default=30, help="how long (soak)")
    parser.add_argument("--seconds", type=float, default=10, help="seconds each turn is measured (pipeline)")
    parser.add_argument("--pairs", type=int, default=3, help="turns of floor and engine (pipeline)")
    parser.add_argument("--no-max", action="store_true", help="leave out the highest sustained rate (pipeline)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--smoke", action="store_true", help="the shortest run that shows that it works")
    wish = parser.parse_args()
    result, text = _run(wish)
    print(json.dumps(result) if wish.json else text)
    return 0


def _run(wish: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if wish.name == "pipeline":
        seconds, pairs = (1.0, 1) if wish.smoke else (wish.seconds, wish.pairs)
        search = not (wish.smoke or wish.no_max)
        result = pipeline.pipeline(rate=wish.rate or 1000.0, seconds=seconds, pairs=pairs, search=search, tell=_tell)
        return result, pipeline.table(result)
    if wish.name == "soak":
        short = {"rate": 200.0, "minutes": 0.1, "slot": 1.0} if wish.smoke else {}
        result = soak.soak(**{"rate": wish.rate, "minutes": wish.minutes, "tell": _tell} | short)
        return result, soak.table(result)
    module = import_module(f"bench.{wish.name}")
    rows = module.measure(smoke=wish.smoke)
    return rows, "\n".join(f"{name:52} {value}" for name, value in rows.items())


def _tell(text: str) -> None:
    """Show progress on a terminal; be quiet when piped."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")


if __name__ == "__main__":
    sys.exit(main())
