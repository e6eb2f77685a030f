"""What was acknowledged arrives: over ten connections, through one process, to a webhook on a real socket."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
import trio

from engine.client import connect
from engine.observe.status import Status
from engine.store.opening import open_store
from tests.support.engine import Running, unbalanced
from tests.support.figures import tell
from tests.support.sink import Sink

CONNECTIONS = 10
GROWTH = 32 << 20
"""Bytes that a backlog may add to the engine's memory, however long it is: lanes, inboxes and SQLite's cache."""
FAILURES = 200
"""After so many the breaker opens: as many retries as wait beside the live backlog."""
TURNS = 2
"""Live deliveries between two due ones, at most, while due ones wait; 1 unless the scheduler is late."""

ONE_AT_A_TIME = f"""
concurrency = 1
retry = {{ backoff = "1s..1s" }}
breaker = {{ failures = {FAILURES}, ratio = 1.0, probe = "300ms" }}
"""


async def send(engine: Running, numbers: range) -> None:
    """Send events with these numbers over ten connections, and return when all are acknowledged."""

    async def one(own: range) -> None:
        async with connect(engine.url, "key", buffer=1000) as client:
            for number in own:
                await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
            await client.flush()
            assert client.statistics().refused == 0

    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(one, numbers[first::CONNECTIONS])


async def positions(folder: Path) -> dict[int, int]:
    """Return number to log position; the engine has ended."""
    store = await open_store("sqlite", folder / "data")
    found = await store.accepted(0.0, 10**6)
    await store.aclose()
    return {int(one.message_id[1:]): one.position for one in found}


async def test_every_acknowledged_event_arrives_exactly_once_while_all_is_well(engine_for, sink):
    engine = engine_for()
    await engine.start()
    await send(engine, range(3000))
    status = await engine.settled()

    assert Counter(arrival.number for arrival in sink.arrivals) == dict.fromkeys(range(3000), 1)
    assert (status.last, status.syncs[0].delivered) == (3000, 3000)
    assert unbalanced(status) == []
    assert await engine.terminate() == 0


@pytest.mark.parametrize(
    ("total", "seconds"),
    [pytest.param(3000, 3.0, id="short"), pytest.param(20_000, 30.0, id="full", marks=pytest.mark.full)],
)
async def test_a_destination_that_is_down_for_a_while_loses_nothing(engine_for, sink, total, seconds):
    engine = engine_for(ONE_AT_A_TIME)
    await engine.start()
    before = total // 4
    await send(engine, range(before))
    await sink.took(before)
    memory = [engine.memory()]
    sink.down()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, engine, range(before, total))
        await trio.sleep(seconds)  # how long the sink is down: it is what the test is about
    memory.append(engine.memory())
    sink.up()
    looks: list[tuple[float, Status]] = []
    status = await engine.settled(lambda seen: looks.append((trio.current_time(), seen)))
    memory.append(engine.memory())

    mib = [size >> 20 for size in memory]
    tell(f"destination down for {seconds:g} s", events=total, MiB_before=mib[0], MiB_during=mib[1], MiB_after=mib[2])
    assert Counter(arrival.number for arrival in sink.arrivals) == dict.fromkeys(range(total), 1)
    assert max(memory) - memory[0] < GROWTH
    assert unbalanced(status) == []
    assert await engine.terminate() == 0
    places = await positions(engine.folder)
    live, due = told_apart(sink, places)
    assert len(due) >= FAILURES // 2  # some of the failures are of retries that were due at once
    assert live == sorted(live)
    assert longest_wait(sink, places, FAILURES // 2) <= TURNS
    since = [at - look.syncs[0].oldest_pending for at, look in looks if look.syncs[0].oldest_pending]
    assert all(after > before - 0.1 for before, after in itertools.pairwise(since)), since


def told_apart(sink: Sink, places: dict[int, int]) -> tuple[list[int], list[int]]:
    """Return the positions of live deliveries and of due ones, as they arrived: one behind a later one is a retry."""
    live, due = [0], []
    for arrival in sink.arrivals:
        place = places[arrival.number]
        (live if place > live[-1] else due).append(place)
    return live, due


def longest_wait(sink: Sink, places: dict[int, int], many: int) -> int:
    """Return how many live deliveries came between two due ones, at most, of the first *many* due ones."""
    last, run, longest, seen = 0, 0, 0, 0
    for arrival in sink.arrivals:
        place = places[arrival.number]
        if place > last:
            last, run = place, run + 1
            continue
        longest = max(longest, run) if seen else 0
        run, seen = 0, seen + 1
        if seen == many:
            break
    return longest
