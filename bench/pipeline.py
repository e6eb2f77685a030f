"""The pipeline bench: client send to arrival at a webhook, as ratios to the trio floor of the same run.

One event per frame; contract, inline function, filter, a mapping of 15 fields, and an acknowledgement after fsync.
Floor and engine take turns. A turn is void, and repeated, if its generator was late by more than 10 ms or if the host
of a virtual machine gave more than 5 % of its time to others. The verdict is the median over the pairs.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from bench.children import HERE, Child, generate, running
from bench.judged import VOID, judged

CONNECTIONS = 10
IN_FLIGHT = 4
BATCH = 100
WARM_UP = 1.0
"""Seconds at the beginning that do not count."""
STEP = 1.25
"""The factor between two rates while the highest sustained one is looked for."""
STEPS = 14
"""Rates tried at most, beginning at the offered one."""
SUSTAINED = 500.0
"""Milliseconds: a rate is sustained if everything arrives, 99 of 100 events within this."""
KEY = "bench-key"

TARGETS = {"p50": 3.0, "p99": 4.0, "ack_p50": 5.0, "max": 1.0}
"""What to be at least as good as: at most, and for ``max`` at least."""

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[receiver.limits]
window = 2000
[console]
listen = "127.0.0.1:0"
[store]
path = "data"
[sources.shop]
write_keys = ["{key}"]
contract = "shop"
functions = ["normalise"]
[functions.normalise]
file = "normalise.py"
isolation = "inline"
[[contracts.shop.events]]
type = "track"
name = "Order Completed"
[contracts.shop.events.schema]
type = "object"
required = ["event", "properties", "userId"]
[contracts.shop.events.schema.properties.properties]
type = "object"
required = ["order_id", "total", "currency", "products"]
[contracts.shop.events.schema.properties.properties.properties]
order_id = {{ type = "string", minLength = 8 }}
affiliation = {{ type = "string" }}
total = {{ type = "string", pattern = "^[0-9.]+$" }}
revenue = {{ type = "number", minimum = 0 }}
shipping = {{ type = "number", minimum = 0 }}
tax = {{ type = "number", minimum = 0 }}
currency = {{ enum = ["EUR", "USD", "GBP"] }}
coupon = {{ type = "string" }}
discount = {{ type = "number" }}
sent = {{ type = "integer" }}
[contracts.shop.events.schema.properties.properties.properties.products]
type = "array"
[contracts.shop.events.schema.properties.properties.properties.products.items]
type = "object"
required = ["product_id", "price"]
[contracts.shop.events.schema.properties.properties.properties.products.items.properties]
product_id = {{ type = "string" }}
sku = {{ type = "string" }}
name = {{ type = "string" }}
price = {{ type = "number", minimum = 0 }}
quantity = {{ type = "integer", minimum = 1 }}
category = {{ type = "string" }}
url = {{ type = "string" }}
image_url = {{ type = "string" }}
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
batch = {batch}
concurrency = {in_flight}
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "purchase"
filter = 'type = "track" and event = "Order Completed" and properties.revenue > 1'
[syncs.orders.event_types.mapping]
sent = "properties.sent"
customer = "userId"
anonymous = "anonymousId"
order = "properties.order_id"
total = "{{{{ row['properties'].total | cast: 'number' }}}}"
revenue = "properties.revenue"
shipping = "properties.shipping"
tax = "properties.tax"
discount = "properties.discount"
coupon = "{{{{ row['properties'].coupon | upcase }}}}"
currency = "{{{{ row['properties'].currency | downcase }}}}"
first_sku = "properties.products[0].sku"
page = "context.page.url"
at = "timestamp"
channel = {{ value = "web" }}
[[syncs.orders.event_types]]
name = "other"
mapping = {{ event = "event" }}
"""

FUNCTION = '''"""Trusted, and a few microseconds long."""


def transform_events(events):
    """Mark what passed."""
    for event in events:
        event["properties"]["seen"] = True
    return events
'''


Watching = Callable[[Child], AbstractContextManager[Child | None]]
"""Has somebody look at a subject for as long as the block lasts; what that one prints at its end are figures, too."""


def _nobody(_child: Child) -> AbstractContextManager[Child | None]:
    return nullcontext()


def turn(subject: str, *, rate: float, seconds: float, folder: Path, watching: Watching = _nobody) -> dict[str, Any]:
    """Run one subject (``floor`` or ``engine``) once, and return its figures in milliseconds."""
    with running(str(HERE / "sink.py")) as sink:
        if subject == "floor":
            argv, cwd = [str(HERE / "floors/trio_floor.py"), str(sink.port), str(IN_FLIGHT)], folder
        else:
            cwd = Path(tempfile.mkdtemp(dir=folder))
            config = CONFIG.format(key=KEY, port=sink.port, batch=BATCH, in_flight=IN_FLIGHT)
            (cwd / "config.toml").write_text(config)
            (cwd / "normalise.py").write_text(FUNCTION)
            argv = ["-m", "engine", "run", "-c", "config.toml"]
        with running(*argv, cwd=cwd) as child, watching(child) as watcher:
            before = child.cpu()
            generated = generate(
                port=child.port,
                path="/v1/stream",
                key=KEY,
                rate=rate,
                seconds=seconds + WARM_UP,
                connections=CONNECTIONS,
            )
            cpu = child.cpu() - before
            saw = json.loads(watcher.stop()) if watcher else {}
            child.stop()
        arrived = json.loads(sink.stop())
    return figures(generated, arrived, cpu, seconds) | saw


def figures(generated: dict[str, Any], arrived: dict[str, Any], cpu: float, seconds: float) -> dict[str, Any]:
    """Return what a turn came to: latencies in milliseconds, without the warm-up."""
    first = min(at for _, at in generated["acks"])
    begin = first + int(WARM_UP * 1e9)
    end = begin + int(seconds * 1e9)
    e2e = sorted(took / 1e6 for took, at in arrived["arrivals"] if begin <= at - took < end)
    acks = sorted(took / 1e6 for took, at in generated["acks"] if begin <= at < end)
    within = sum(begin <= at < end for _, at in arrived["arrivals"])
    return {
        "sent": generated["sent"],
        "arrived": len(arrived["arrivals"]),
        "unacked": generated["unacked"],
        "requests": arrived["requests"],
        "late_ms": round(generated["late_ms"], 2),
        "p50": _part(e2e, 0.5),
        "p99": _part(e2e, 0.99),
        "p999": _part(e2e, 0.999),
        "ack_p50": _part(acks, 0.5),
        "ack_p99": _part(acks, 0.99),
        "per_second": round(within / seconds),
        "cpu_us": round(cpu / max(generated["sent"], 1) * 1e6),
    }


def _part(ordered: list[float], part: float) -> float:
    return round(ordered[min(int(part * len(ordered)), len(ordered) - 1)], 3) if ordered else float("nan")


def sustained(subject: str, *, rate: float, seconds: float, folder: Path, tell: Any) -> dict[str, Any]:
    """Return the last turn whose rate was sustained, as rates grow step by step from *rate*; the first if none was.

    A late generator cannot end the search: it only means that less was offered than was meant.
    """
    best: dict[str, Any] | None = None
    for step in range(STEPS):
        offered = rate * STEP**step
        tell(f"{subject}: the highest sustained rate, {offered:.0f}/s")
        found = turn(subject, rate=offered, seconds=seconds, folder=folder)
        good = found["arrived"] == found["sent"] and found["p99"] <= SUSTAINED
        best = found if good or best is None else best
        if not good:
            break
    assert best is not None
    return best


def pipeline(*, rate: float, seconds: float, pairs: int, search: bool, tell: Any) -> dict[str, Any]:
    """Run all turns and return figures, ratios and verdicts."""
    turns: dict[str, list[dict[str, Any]]] = {"floor": [], "engine": [], "floor_max": [], "engine_max": []}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        for pair in range(pairs):
            for subject in ("floor", "engine"):
                tell(f"pair {pair + 1} of {pairs}: {subject} at {rate:g}/s")
                once = partial(turn, subject, rate=rate, seconds=seconds, folder=folder)
                turns[subject].append(judged(once, seconds))
                if search:
                    most = sustained(subject, rate=2 * rate, seconds=min(seconds, 3.0), folder=folder, tell=tell)
                    turns[f"{subject}_max"].append(most)
    return {"rate": rate, "seconds": seconds, "turns": turns, "ratios": ratios(turns)}


def ratios(turns: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return for each figure the median ratio of engine to floor, its target, and whether it is met."""
    found: dict[str, dict[str, Any]] = {}
    for name, target in TARGETS.items():
        key, suffix = ("per_second", "_max") if name == "max" else (name, "")
        pairs = list(zip(turns[f"engine{suffix}"], turns[f"floor{suffix}"], strict=True))
        good = [(engine, floor) for engine, floor in pairs if not engine.get("void") and not floor.get("void")]
        if not pairs:
            continue
        if not good:
            found[name] = {"ratio": None, "target": target, "met": None, "void": True}
            continue
        ratio = statistics.median(engine[key] / floor[key] for engine, floor in good)
        met = ratio >= target if name == "max" else ratio <= target
        found[name] = {
            "ratio": round(ratio, 2),
            "engine": statistics.median(engine[key] for engine, _ in good),
            "floor": statistics.median(floor[key] for _, floor in good),
            "target": target,
            "met": met,
            "pairs": len(good),
        }
    return found


def table(result: dict[str, Any]) -> str:
    """Return *result* for a person."""
    lines = [f"{'figure':8} {'engine':>10} {'floor':>10} {'ratio':>7} {'target':>8}"]
    for name, one in result["ratios"].items():
        if one.get("void"):
            lines.append(f"{name:8} void in every pair: {VOID}")
            continue
        unit = "/s" if name == "max" else "ms"
        sign = "≥" if name == "max" else "≤"
        lines.append(
            f"{name:8} {one['engine']:>8}{unit} {one['floor']:>8}{unit} {one['ratio']:>6}x "
            f"{sign} {one['target']:g}x  {'met' if one['met'] else 'missed'}"
        )
    return "\n".join(lines)
