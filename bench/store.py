"""What a durable append costs: the store's group commit beside appending to a file and fsync."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import trio

from engine.messages import Envelope, Logged
from engine.store.base import Store
from engine.store.opening import open_store

RAW = b'{"type":"track","event":"Order Completed","properties":{"filler":"' + b"x" * 800 + b'"}}'
GROUPS = (1, 10, 100)


def file_floor(folder: Path, group: int, commits: int) -> float:
    """Return µs per event of writing and fsyncing groups to a plain file."""
    with (folder / f"floor-{group}").open("wb") as file:
        start = time.perf_counter()
        for _ in range(commits):
            file.write(RAW * group)
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - start) / commits / group * 1e6


async def append(store: Store, group: int, commits: int) -> float:
    """Return µs per event of appending groups one after another, each awaited until durable."""
    start = time.perf_counter()
    for _ in range(commits):
        durable = trio.Event()
        first = store.last + 1
        envelope = Envelope(message_id="m", received_at=0.0)
        events = [
            Logged(position=position, source="shop", raw=RAW, envelope=envelope)
            for position in range(first, first + group)
        ]
        store.append(events, partial(_set, durable))
        await durable.wait()
    return (time.perf_counter() - start) / commits / group * 1e6


def _set(durable: trio.Event, error: BaseException | None) -> None:
    assert error is None, error
    durable.set()


async def _measure(folder: Path, commits: int) -> dict[str, float | str]:
    store = await open_store("sqlite", folder)
    rows: dict[str, float | str] = {}
    for group in GROUPS:
        floor = file_floor(folder, group, commits)
        took = await append(store, group, commits)
        rows[f"file + fdatasync, groups of {group}, µs per event"] = round(floor, 1)
        rows[f"store, groups of {group}, µs per event"] = round(took, 1)
        rows[f"store / file, groups of {group}"] = round(took / floor, 2)
    await store.aclose()
    return rows


def measure(*, smoke: bool) -> dict[str, float | str]:
    """Return µs per durable event for several group sizes, and ratios to a plain file on the same disk."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        return trio.run(_measure, Path(name), 20 if smoke else 1000)
