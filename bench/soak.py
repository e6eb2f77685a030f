"""The soak bench: half of what the engine can, for half an hour, beside a destination that is sick every ten seconds.

Every event goes to one destination that is always well, every tenth also to one that is fine, dead, answers 500,
hangs, answers 429 and is slow, in turn. Nothing may grow: memory, threads, open files, and what an ack and an arrival
take. A slot of ten seconds is void if more than one in a hundred of its sends was late by 10 ms, or if the host of a
virtual machine gave more than 5 % of its time to others; latencies are void if more than half of the slots of the first
third are, or of the last. Where neighbours come and go, thirds say little: so in the end, when the sick one has had
all, the engine stands beside a fresh one (`bench.aged`). The books must balance, and nothing may be lost.
"""

from __future__ import annotations

import http.client
import json
import math
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench import aged
from bench.children import HERE, Child, running
from bench.judged import APART, DELAYED, LATE, RATIO, STOLEN
from bench.pipeline import KEY, STEP, STEPS, SUSTAINED
from engine.observe.balance import equations
from engine.observe.status import Status

SLOT = 10.0
"""Seconds of one mood, and of one slot."""
PATIENCE = 60.0
"""Seconds without any progress, after the load, until what has no fate by then, or a book, is given up."""
WARM = 300.0
"""Seconds before which memory says nothing: caches fill, and so does the door's memory of 100,000 messageIds."""
GROWTH = 0.10
"""The part by which memory may be higher in the last third than in the first."""
SLACK = 16 << 20
"""Bytes by which it may be higher however little it was."""
HANDLES = 16
"""Threads and open files by which the last third may exceed the first."""
VOID = (
    f"too short, or more than half of the first or last third was disturbed (sends late by {LATE:g} ms, or more than"
    f" {STOLEN:.0%} of the time given to others)"
)

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[receiver.dedup]
max = 100_000
[console]
listen = "127.0.0.1:0"
[store]
path = "data"
retention = {{ age = "{age}" }}
[sources.shop]
write_keys = ["{key}"]
[destinations.well]
type = "webhook"
url = "http://127.0.0.1:{well}/in"
allow_private = true
batch = 100
concurrency = 4
[destinations.moody]
type = "webhook"
url = "http://127.0.0.1:{moody}/in"
allow_private = true
batch = 100
concurrency = 4
timeout = "2s"
retry = {{ backoff = "100ms..2s" }}
breaker = {{ probe = "1s" }}
[syncs.every]
source = "shop"
destination = "well"
[[syncs.every.event_types]]
mapping = {{ sent = "properties.sent", customer = "userId", products = "properties.products" }}
[syncs.tenth]
source = "shop"
destination = "moody"
[[syncs.tenth.event_types]]
filter = 'ends_with(messageId, "0")'
mapping = {{ sent = "properties.sent", customer = "userId" }}
"""


def soak(
    *, rate: float, minutes: float, tell: Callable[[str], None], slot: float = SLOT, pairs: int = aged.PAIRS
) -> dict[str, Any]:
    """Run for so many minutes at *rate* events a second (0: at half of the most that is sustained)."""
    with tempfile.TemporaryDirectory(prefix="headrace-soak-") as name:
        rate = rate or _most(Path(name), tell) / 2
        figures = _run(Load(rate, minutes * 60, slot, pairs), Path(name), tell)
    found = verdicts(figures) | aged.verdicts(figures["turns"], pairs)
    return {"rate": round(rate), "minutes": minutes, **figures, "verdicts": found}


def _most(folder: Path, tell: Callable[[str], None]) -> float:
    """Return the last rate, of growing ones, at which everything arrives, 99 of 100 events within half a second."""
    rate, most = 1000.0, 0.0
    for _ in range(STEPS):
        figures = _run(Load(rate, seconds=4.0, slot=2.0, pairs=0), folder, tell)
        slow = max((one["p99"] for one in figures["well"][:2]), default=SUSTAINED)
        if figures["unacked"] or figures["lost"] or slow >= SUSTAINED:
            break
        most, rate = rate, rate * STEP
    return most or rate


class Load(msgspec.Struct, frozen=True):
    """What is asked of the engine: events a second, seconds, seconds of a slot, and pairs beside a fresh one."""

    rate: float
    seconds: float
    slot: float
    pairs: int


def _run(load: Load, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    far = str(HERE / "moody.py")
    with running(far, "well", str(load.slot)) as well, running(far, "moody", str(load.slot)) as moody:
        age = f"{max(int(load.seconds / 6), 30)}s"  # so that retention works, too
        config = CONFIG.format(key=KEY, well=well.port, moody=moody.port, age=age)
        with _engine(folder, config) as engine:
            console = console_of(engine)
            generated, looks = _loaded(engine, load, tell)
            moody.process.send_signal(signal.SIGUSR1)
            behind, ended = max(sync.lag for sync in status_of(console).syncs), time.monotonic()
            _settled(console)
            took = time.monotonic() - ended
            with _engine(folder, config) as fresh:
                turns = aged.compare(engine, fresh, rate=load.rate, slot=load.slot, pairs=load.pairs, tell=tell)
                ends = [_settled(console), _settled(console_of(fresh))]
                fresh.stop()
            engine.stop()
        arrived, tenth = json.loads(well.stop()), json.loads(moody.stop())
    both = [*turns["aged"], *turns["fresh"]]
    sent = sum(one["sent"] for one in (generated, *both))
    first = round((generated["began"] - arrived["began"]) / (load.slot * 1e9))
    return {
        "seconds": load.seconds,
        "sent": generated["sent"],
        "sent_in_turns": sum(one["sent"] for one in both),
        "unacked": sum(one["unacked"] for one in (generated, *both)),
        "lost": sent - sum(sync.delivered for end in ends for sync in end.syncs if sync.name == "every"),
        "twice": arrived["events"] - sent,
        "behind": behind,
        "drained_in": round(took, 1),
        "moody_requests": tenth["requests"],
        "moody_events": tenth["events"],
        "books": [f"{line.scope}: {line.text()}" for end in ends for line in equations(end) if not line.balanced],
        "acks": generated["slots"],
        "well": arrived["slots"][first : first + len(generated["slots"])],
        "looks": looks,
        "turns": aged.with_arrivals(turns, arrived, load.slot),
    }


@contextmanager
def _engine(folder: Path, config: str) -> Iterator[Child]:
    """Run one in a folder of its own."""
    own = Path(tempfile.mkdtemp(dir=folder))
    (own / "config.toml").write_text(config)
    with running("-m", "engine", "run", "-c", "config.toml", cwd=own, log="error") as engine:
        yield engine


def console_of(engine: Child) -> str:
    """Return where its status is asked for, from the second line that it says."""
    assert engine.process.stdout
    return engine.process.stdout.readline().split("//")[1].partition("/")[0].strip()


def _loaded(engine: Child, load: Load, tell: Callable[[str], None]) -> tuple[dict[str, Any], list[dict[str, int]]]:
    """Send for so long, and look at the engine once a slot."""
    looks: list[dict[str, int]] = []
    with aged.steady(engine, rate=load.rate, seconds=load.seconds, slot=load.slot) as generator:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < load.seconds:
            time.sleep(min(load.slot, load.seconds - passed))
            looks.append(_look(engine.process.pid))
            minutes = f"{passed / 60:.1f} of {load.seconds / 60:g} min"
            tell(f"{load.rate:g}/s, {minutes}, {looks[-1]['memory'] >> 20} MiB")
        return aged.said(generator), looks


def _look(pid: int) -> dict[str, int]:
    folder = Path(f"/proc/{pid}")
    return {
        "memory": int((folder / "statm").read_text().split()[1]) * 4096,
        "threads": len(list((folder / "task").iterdir())),
        "files": len(list((folder / "fd").iterdir())),
    }


def _settled(console: str) -> Status:
    """Return the status once nothing is on its way, or as it is when nothing moves any more."""
    least = math.inf
    ends = time.monotonic() + PATIENCE
    while True:
        status = status_of(console)
        source = status.sources[0]
        left = source.lag + status.last - source.passed
        left += sum(sync.lag + sync.open + sync.pending for sync in status.syncs)
        left += sum(not line.balanced for line in equations(status))  # counts are as of the last transaction
        if not left or time.monotonic() > ends:
            return status
        if left < least:
            least, ends = left, time.monotonic() + PATIENCE
        time.sleep(0.25)


def status_of(console: str) -> Status:
    """Ask an engine how it is."""
    connection = http.client.HTTPConnection(console, timeout=10)
    try:
        connection.request("GET", "/api/v1/status")
        return msgspec.json.decode(connection.getresponse().read(), type=Status)
    finally:
        connection.close()


def verdicts(figures: dict[str, Any]) -> dict[str, Any]:
    """Return for each promise its figures and whether it is kept; None for one that the run says nothing about."""
    looks = figures["looks"]
    memory = _thirds([one["memory"] for one in looks]) if figures["seconds"] >= WARM else None
    found: dict[str, Any] = {
        "memory": None
        if memory is None
        else {
            "first_mib": round(memory[0] / 2**20, 1),
            "last_mib": round(memory[1] / 2**20, 1),
            "kept": memory[1] - memory[0] <= max(memory[0] * GROWTH, SLACK),
        },
        "lost": {"events": figures["lost"], "kept": figures["lost"] == 0 and figures["unacked"] == 0},
        "books": {"unbalanced": figures["books"], "kept": not figures["books"]},
    }
    for name in ("threads", "files"):
        most = _thirds([one[name] for one in looks], max)
        kept = None if most is None else {"first": most[0], "last": most[1], "kept": most[1] - most[0] <= HANDLES}
        found[name] = kept
    good = [one["late"] <= DELAYED and one["stolen"] <= STOLEN for one in figures["acks"]]
    for name in ("acks", "well"):
        for part in ("p50", "p99"):
            pair = _thirds(list(zip(good, figures[name], strict=False)), partial(_typical, part))
            found[f"{name}_{part}"] = None if pair is None or None in pair else _flat(*pair)
    return found


def _typical(part: str, slots: list[tuple[bool, dict[str, float]]]) -> float | None:
    """Return the median of *part* over the slots that are not void; None if more than half of them are."""
    values = [one[part] for good, one in slots if good and one["count"]]
    return statistics.median(values) if len(values) * 2 >= len(slots) else None


def _thirds(values: list[Any], of: Callable[[list[Any]], Any] = statistics.median) -> tuple[Any, Any] | None:
    """Return what *of* makes of the first and of the last third, the first slot left out; None if there are too few."""
    third = (len(values) - 1) // 3
    return (of(values[1 : 1 + third]), of(values[-third:])) if third else None


def _flat(first: float, last: float) -> dict[str, Any]:
    kept = last <= first * RATIO or last - first <= APART
    return {"first_ms": round(first, 2), "last_ms": round(last, 2), "kept": kept}


def table(result: dict[str, Any]) -> str:
    """Return *result* for a person."""
    soaked = f"{result['sent']:,} events at {result['rate']:,}/s in {result['minutes']:g} min"
    moody = f"the moody one, asked {result['moody_requests']:,} times, was {result['behind']:,} behind at the end"
    lines = [f"{soaked}, {result['twice']} arrived twice; {moody} and had all {result['drained_in']:g} s later"]
    for name, one in result["verdicts"].items():
        if one is None:
            lines.append(f"{name:14} void: {aged.VOID if name.startswith('aged') else VOID}")
            continue
        figures = ", ".join(f"{key} {value}" for key, value in one.items() if key != "kept")
        lines.append(f"{name:14} {figures:52} {'kept' if one['kept'] else 'BROKEN'}")
    return "\n".join(lines)
