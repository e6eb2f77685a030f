"""What user code costs per event: contract, inline, process and JavaScript, beside the same function called by hand."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trio

from actors.functions import Runner
from bench.language import RAW, SCHEMA
from engine.lang.contract import Contract, ContractSpec, EventSpec, compile_contract
from engine.messages import Envelope, Logged
from engine.plan import SourcePlan
from engine.plan.functions import Functions, Step
from engine.results import Hello
from engine.runtime.clock import SystemClock
from plugins.functions.python import Python

PYTHON = """
def transform_events(events):
    return [event | {"seen": event["properties"]["total"] * 2} for event in events if event["type"] == "track"]
"""
SCRIPT = """
function transformEvents(events) {
    return events.filter((event) => event.type === "track")
        .map((event) => ({ ...event, seen: event.properties.total * 2 }));
}
"""
Good = list[tuple[Logged, dict[str, Any]]]


def batch_of(many: int) -> Good:
    """Return *many* events as a validator has them."""
    envelope = Envelope(message_id="m", received_at=0.0)
    found = []
    for at in range(1, many + 1):
        body = msgspec.json.decode(RAW % b"120") | {"messageId": f"m{at}"}
        found.append((Logged(position=at, source="shop", raw=RAW, envelope=envelope), body))
    return found


def measure(*, smoke: bool) -> dict[str, float | str]:
    """Return µs per event, of elapsed time, for batches of 1 and of 256."""
    rounds = 3 if smoke else 60
    contract = compile_contract(
        ContractSpec(name="shop", events=(EventSpec(type="track", name="Order Completed", schema=SCHEMA),))
    )
    with tempfile.TemporaryDirectory() as folder:
        python, script = Path(folder, "f.py"), Path(folder, "f.js")
        python.write_text(PYTHON)
        script.write_text(SCRIPT)
        inline = Python(python, "f.py")
        steps = {
            "inline": Step(inline=inline),
            "process": Step(hello=Hello(plugin="plugins.functions.python:Python", path=str(python), name="f.py")),
            "JavaScript": Step(
                hello=Hello(plugin="plugins.functions.javascript:JavaScript", path=str(script), name="f.js")
            ),
        }
        costs: dict[str, float | str] = {}
        for many in (1, 256):
            batch = batch_of(many)
            bodies = [body for _, body in batch]
            costs[f"by hand, batches of {many}, µs"] = _best(partial(inline.transform, bodies), many, rounds)
            costs[f"contract, batches of {many}, µs"] = _best(partial(_checked, contract, bodies), many, rounds)
            for name, step in steps.items():
                costs[f"{name}, batches of {many}, µs"] = trio.run(_stepped, step, batch, rounds)
    return costs


def _checked(contract: Contract, bodies: list[dict[str, Any]]) -> None:
    for body in bodies:
        contract.check(body)


def _best(call: Callable[[], object], many: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return round(best / many * 1e6, 2)


async def _stepped(step: Step, batch: Good, rounds: int) -> float:
    """Return what one source's validator waits for its function."""
    source = SourcePlan("shop", functions=Functions("shop", [step]))
    runner = Runner(source, SystemClock())
    try:
        return round(await _fastest(lambda: runner.run(batch), rounds) / len(batch) * 1e6, 2)
    finally:
        runner.kill()


async def _fastest(call: Callable[[], Awaitable[object]], rounds: int) -> float:
    await call()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        await call()
        best = min(best, time.perf_counter() - start)
    return best
