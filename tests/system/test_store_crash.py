"""The store's process is killed in the middle of its work, again and again on the same file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio

from engine.messages import Logged, State
from engine.store.base import Selection
from engine.store.opening import open_reader, open_store

DEATHS = int(os.environ.get("HEADRACE_CRASHES", "50"))
"""Lives of the process that appends; the one that maintains has half as many."""

ROOT = Path(__file__).parents[2]


class Batch(msgspec.Struct):
    first: int
    last: int


class Victims:
    """Makes processes that write, and kills them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lived = False
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.support.store_victim"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def live_and_die(self, what: str, seed: int) -> dict[str, int]:
        """Return the highest number of each kind that the process saw acknowledged before it was killed."""
        chance = random.Random(seed)
        assert self._mother.stdin is not None
        assert self._mother.stdout is not None
        print(what, seed, self._folder, file=self._mother.stdin)
        seen: dict[str, int] = {}
        mercy = chance.randint(1 if self._lived else 2, 40)  # never before there is a store at all
        self._lived = True
        for line in self._mother.stdout:
            if line == "over\n":
                break
            kind, number = line.split()
            seen[kind] = max(seen.get(kind, 0), int(number))
            mercy -= 1
            if mercy == 0:
                time.sleep(chance.random() * 0.004)  # so that it dies anywhere, not just after an acknowledgement
                os.kill(seen["pid"], signal.SIGKILL)
        return seen

    def end(self) -> None:
        """End the mother; her children are dead."""
        self._mother.communicate()
        assert self._mother.returncode == 0


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    made = Victims(tmp_path)
    yield made
    made.end()


def log_of(folder: Path) -> list[Logged]:
    """Open the store as the next engine would, and return its whole log."""

    async def read() -> list[Logged]:
        store = await open_store("sqlite", folder)
        try:
            logs = [await store.read(source, 0, store.last, 10**9) for source in ("shop", "app")]
            return sorted((event for log in logs for event in log), key=lambda event: event.position)
        finally:
            await store.aclose()

    return trio.run(read)


def test_no_acknowledged_event_is_missing_after_a_kill(victims: Victims, tmp_path: Path) -> None:
    last = 0
    for seed in range(DEATHS):
        seen = victims.live_and_die("append", seed)
        with open_reader(tmp_path) as reader:
            end = reader.last()
            assert end >= max(seen.get("durable", 0), last)
            assert all(sync.high <= end for sync in reader.progress())
            assert all(cursor.position <= end for cursor in reader.cursors())
        last = end
    log = log_of(tmp_path)

    assert [event.position for event in log] == list(range(1, last + 1))
    batches = [msgspec.json.decode(event.raw, type=Batch) for event in log]
    assert all(batch.first <= event.position <= batch.last <= last for batch, event in zip(batches, log, strict=True))
    assert last > DEATHS * 10


def test_counts_progress_and_rows_agree_after_a_kill(victims: Victims, tmp_path: Path) -> None:
    matched = 0
    for seed in range(DEATHS // 2):
        seen = victims.live_and_die("maintain", 1000 + seed)
        with open_reader(tmp_path) as reader:
            counts = {name: many for (scope, name), many in reader.counts().items() if scope == "sync:orders"}
            [sync] = reader.progress() or [None]
            rows = reader.list(Selection(limit=10**9))
            end = reader.last()
        states = [row.state for row in rows]
        waiting = states.count(State.RETRYING)
        if sync is None:  # it died before its first commit
            assert (counts, rows, matched, seen.get("matched")) == ({}, [], 0, None)
            continue
        assert counts["matched"] == sync.high <= end
        assert counts["matched"] >= max(matched, seen.get("matched", 0))
        assert counts.get("archived", 0) == states.count(State.ARCHIVED)
        assert counts.get("discarded", 0) == states.count(State.DISCARDED)
        ended = sum(counts.get(name, 0) for name in ("delivered", "archived", "discarded"))
        assert counts["matched"] == ended + waiting + len(sync.open)
        matched = counts["matched"]

    assert matched > DEATHS
