"""The isolation bench: what one destination that hangs, and one that answers 429, cost a third that is well.

Turns take turns: in one the third is alone, in the next every event goes to the two sick ones as well, and each pair
begins with the other kind. (Beside two that are well it would look better than alone: these cost requests.) The verdict
is the median over the pairs of the p95 from send to arrival at the third; a turn is void, and repeated, as in the
pipeline bench, and a pair of which one stays void makes room for another.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.children import HERE, generate, running
from bench.judged import APART, RATIO, SMOKE, VOID, judged, lost_in
from bench.pipeline import CONNECTIONS, KEY, WARM_UP

PAIRS = 5
TIMES = 3
"""How many times as many pairs are tried, at most, until so many are not void."""
SLOT = 1.0
"""Seconds by which the sick ones count; nobody reads it."""

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
[store]
path = "data"
[sources.shop]
write_keys = ["{key}"]
"""
DESTINATION = """
[destinations.{name}]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
batch = 100
concurrency = 4
timeout = "1s"
[syncs.to-{name}]
source = "shop"
destination = "{name}"
[[syncs.to-{name}.event_types]]
mapping = {{ sent = "properties.sent", customer = "userId", products = "properties.products" }}
"""


def isolation(*, rate: float, seconds: float, pairs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run all pairs and return turns, ratio and verdict."""
    turns: dict[str, list[dict[str, Any]]] = {"alone": [], "sick": []}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for pair in range(pairs * TIMES if seconds > SMOKE else pairs):
            if len(good := clean(turns)) == pairs:
                break
            for others in ("alone", "sick") if pair % 2 else ("sick", "alone"):
                tell(f"pair {pair + 1}, {len(good)} of {pairs} good: {others}")
                once = partial(_turn, others, rate=rate, seconds=seconds, folder=Path(folder))
                turns[others].append(judged(once, seconds))
    lost = lost_in(turns)
    verdicts = {"p95": verdict(turns), "lost": {"events": lost, "kept": not lost}}
    return {"rate": rate, "seconds": seconds, "turns": turns, "verdicts": verdicts}


def _turn(others: str, *, rate: float, seconds: float, folder: Path) -> dict[str, Any]:
    own = Path(tempfile.mkdtemp(dir=folder))
    far = str(HERE / "moody.py")
    with (
        running(str(HERE / "sink.py")) as third,
        running(far, "hang", str(SLOT)) as hanging,
        running(far, "429", str(SLOT)) as limiting,
    ):
        ports = {"third": third.port}
        if others == "sick":
            ports |= {"hanging": hanging.port, "limiting": limiting.port}
        tables = "".join(DESTINATION.format(name=name, port=port) for name, port in ports.items())
        (own / "config.toml").write_text(CONFIG.format(key=KEY) + tables)
        with running("-m", "engine", "run", "-c", "config.toml", cwd=own, log="error") as engine:
            generated = generate(
                port=engine.port,
                path="/v1/stream",
                key=KEY,
                rate=rate,
                seconds=seconds + WARM_UP,
                connections=CONNECTIONS,
            )
            engine.stop()
        arrived, told = json.loads(third.stop()), [json.loads(one.stop()) for one in (hanging, limiting)]
    return _figures(generated, arrived["arrivals"], told)


def _figures(generated: dict[str, Any], arrivals: list[list[int]], others: list[dict[str, Any]]) -> dict[str, Any]:
    begin = min(at for _, at in generated["acks"]) + int(WARM_UP * 1e9)
    took = sorted(took / 1e6 for took, at in arrivals if at - took >= begin)
    return {
        "sent": generated["sent"],
        "arrived": len(arrivals),
        "late_ms": round(generated["late_ms"], 2),
        "p50": round(took[len(took) // 2], 3),
        "p95": round(took[int(0.95 * len(took))], 3),
        "requests_of_others": [one["requests"] for one in others],
    }


def clean(turns: dict[str, list[dict[str, Any]]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the pairs of which neither turn is void."""
    pairs = zip(turns["alone"], turns["sick"], strict=True)
    return [(alone, sick) for alone, sick in pairs if not (alone["void"] or sick["void"])]


def verdict(turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the medians over the clean pairs; None for all if there is none."""
    pairs = clean(turns)
    if not pairs:
        return {"pairs": 0, "kept": None}
    ratio = statistics.median(sick["p95"] / alone["p95"] for alone, sick in pairs)
    apart = statistics.median(sick["p95"] - alone["p95"] for alone, sick in pairs)
    return {
        "pairs": len(pairs),
        "alone_p95_ms": statistics.median(alone["p95"] for alone, _ in pairs),
        "sick_p95_ms": statistics.median(sick["p95"] for _, sick in pairs),
        "ratio": round(ratio, 2),
        "apart_ms": round(apart, 2),
        "kept": ratio <= RATIO or apart <= APART,
    }


def table(result: dict[str, Any]) -> str:
    """Return *result* for a person."""
    one, lost = result["verdicts"]["p95"], result["verdicts"]["lost"]["events"]
    if one["kept"] is None:
        return f"void in every pair: {VOID}; {lost} lost"
    return (
        f"p95 of the third: {one['alone_p95_ms']} ms alone, {one['sick_p95_ms']} ms beside two sick ones; "
        f"median of {one['pairs']} pairs: ratio {one['ratio']} (≤ {RATIO:g}) or {one['apart_ms']} ms apart "
        f"(≤ {APART:g}); {'kept' if one['kept'] else 'BROKEN'}; {lost} lost"
    )
