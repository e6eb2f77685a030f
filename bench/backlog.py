"""The backlog bench: what a million events that are held for a dead destination cost, and how fast they drain.

One engine, one destination. First the live maximum: events posted as fast as they are taken, to the last arrival. Then
acks at a steady rate, while the destination is well and again with all those events held for it; a turn is void, and
repeated, as in the pipeline bench. Then the destination is well again, and the drain is timed to the last delivery.
"""

from __future__ import annotations

import json
import signal
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.children import HERE, Child, generate, running
from bench.generator import event
from bench.judged import VOID, judged
from bench.pipeline import CONNECTIONS, KEY
from bench.soak import console_of, status_of
from engine.observe.balance import equations
from engine.observe.status import Status

EACH = 250
"""Events in one post, of about 1 KB."""
LIVE = 2000
"""Events at least by which the live maximum is measured; else a twentieth of the backlog."""
TURNS = 3
"""Turns of acks on either side; the median counts."""
P99 = 1.5
"""The ratio of an ack's p99 with the backlog to without, at most."""
DRAIN = 0.7
"""The part of the live maximum at which the backlog drains, at least."""
GROWTH = 96 << 20
"""Bytes that the engine may grow by while it holds the backlog, however long that is."""
PATIENCE = 1800.0
"""Seconds after which what is still on its way is given up."""
SLOT = 1.0

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[receiver.dedup]
max = 100_000
[console]
listen = "127.0.0.1:0"
[store]
path = "data"
[sources.shop]
write_keys = ["{key}"]
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
batch = 100
concurrency = 4
retry = {{ backoff = "1s..5s" }}
breaker = {{ probe = "1s" }}
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ sent = "properties.sent", customer = "userId", products = "properties.products" }}
"""


class Run:
    """One engine and its destination, and what was asked of them.

    Args:
        engine: the process.
        far: its destination's.
    """

    def __init__(self, engine: Child, far: Child) -> None:
        self.engine = engine
        self.far = far
        self.console = console_of(engine)
        self.posted = 0

    def post(self, many: int, tell: Callable[[str], None]) -> None:
        """Send so many events over one connection, each post when the one before was acknowledged."""
        head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-Write-Key: %b\r\nContent-Length: %d\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.engine.port)) as sock:
            for first in range(0, many, EACH):
                now = time.perf_counter_ns()
                events = [event(self.posted + n, now) for n in range(min(EACH, many - first))]
                body = b'{"batch":[' + b",".join(events) + b"]}"
                sock.sendall(head % (KEY.encode(), len(body)) + body)
                said = b""
                while not said.endswith(b"}"):
                    said += sock.recv(4096)
                if b" 200 " not in said[:16]:
                    raise SystemExit(f"refused: {said!r}")
                self.posted += len(events)
                tell(f"{first + len(events):,} of {many:,} posted")

    def acks(self, *, rate: float, seconds: float) -> dict[str, Any]:
        """Return the p99 of acks in ms, of a turn that is not void if there is one."""
        return judged(partial(self._acks, rate=rate, seconds=seconds), seconds)

    def _acks(self, *, rate: float, seconds: float) -> dict[str, Any]:
        told = generate(
            port=self.engine.port, path="/v1/stream", key=KEY, rate=rate, seconds=seconds, connections=CONNECTIONS
        )
        self.posted += told["sent"]
        took = sorted(took / 1e6 for took, _ in told["acks"])
        p99 = round(took[int(0.99 * len(took))], 3)
        return {"p99": p99, "late_ms": round(told["late_ms"], 2), "void": bool(told["unacked"])}

    def drained(self, tell: Callable[[str], None]) -> Status:
        """Return the status once everything that was posted is delivered, or as it is when patience ends."""
        ends = time.monotonic() + PATIENCE
        while True:
            status = status_of(self.console)
            sync = status.syncs[0]
            tell(f"{sync.delivered:,} of {self.posted:,} delivered")
            if sync.delivered == self.posted or time.monotonic() > ends:
                return status
            time.sleep(0.1)

    def memory(self) -> int:
        """Return the engine's bytes."""
        return int(Path(f"/proc/{self.engine.process.pid}/statm").read_text().split()[1]) * 4096


def backlog(*, events: int, rate: float, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """Hold so many events for a dead destination and return figures and verdicts."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        with running(str(HERE / "moody.py"), "well", str(SLOT)) as far:
            (folder / "config.toml").write_text(CONFIG.format(key=KEY, port=far.port))
            with running("-m", "engine", "run", "-c", "config.toml", cwd=folder, log="error") as engine:
                figures = _run(Run(engine, far), events=events, rate=rate, seconds=seconds, tell=tell)
                engine.stop()
            figures["arrived"] = json.loads(far.stop())["events"]
    return {"events": events, "rate": rate, **figures, "verdicts": verdicts(figures)}


def _run(run: Run, *, events: int, rate: float, seconds: float, tell: Callable[[str], None]) -> dict[str, Any]:
    live, began = max(events // 20, LIVE), time.monotonic()
    run.post(live, tell)
    run.drained(tell)
    live_rate = live / (time.monotonic() - began)
    before = [run.acks(rate=rate, seconds=seconds) for _ in range(TURNS)]
    run.drained(tell)
    memory = [run.memory()]
    run.far.process.send_signal(signal.SIGUSR2)  # it is dead
    run.post(events, tell)
    during = [run.acks(rate=rate, seconds=seconds) for _ in range(TURNS)]
    memory.append(run.memory())
    status = status_of(run.console)
    held = run.posted - status.syncs[0].delivered
    began = time.monotonic()
    run.far.process.send_signal(signal.SIGUSR1)  # and well again
    status = run.drained(tell)
    took = time.monotonic() - began
    memory.append(run.memory())
    return {
        "live_per_second": round(live_rate),
        "before": before,
        "during": during,
        "memory": memory,
        "held": held,
        "drain_per_second": round(held / took),
        "lost": run.posted - status.syncs[0].delivered,
        "books": [f"{line.scope}: {line.text()}" for line in equations(status) if not line.balanced],
    }


def verdicts(figures: dict[str, Any]) -> dict[str, Any]:
    """Return for each promise its figures and whether it is kept; None for one that the run says nothing about."""
    grown = figures["memory"][1] - figures["memory"][0]
    sides = [[one["p99"] for one in figures[side] if not one["void"]] for side in ("before", "during")]
    before, during = (statistics.median(side) if side else None for side in sides)
    ratio = during / before if before and during else None
    drain = figures["drain_per_second"] / figures["live_per_second"]
    return {
        "memory": {
            "before_mib": figures["memory"][0] >> 20,
            "held_mib": figures["memory"][1] >> 20,
            "kept": grown <= GROWTH,
        },
        "ack_p99": None
        if ratio is None
        else {"before_ms": before, "held_ms": during, "ratio": round(ratio, 2), "kept": ratio <= P99},
        "drain": {
            "per_second": figures["drain_per_second"],
            "live": figures["live_per_second"],
            "part": round(drain, 2),
            "kept": drain >= DRAIN,
        },
        "lost": {"events": figures["lost"], "kept": not figures["lost"]},
        "books": {"unbalanced": figures["books"], "kept": not figures["books"]},
    }


def table(result: dict[str, Any]) -> str:
    """Return *result* for a person."""
    lines = [f"{result['held']:,} events were held"]
    for name, one in result["verdicts"].items():
        if one is None:
            lines.append(f"{name:10} void in every turn: {VOID}")
            continue
        told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in one.items() if key != "kept")
        lines.append(f"{name:10} {told:60} {'kept' if one['kept'] else 'BROKEN'}")
    return "\n".join(lines)
