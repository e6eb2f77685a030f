"""``kill -9`` in the middle, five times: what was acknowledged arrives, and what comes twice was on its way."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
import trio

from engine.client import connect
from engine.messages import Reply
from tests.support.engine import Running, unbalanced
from tests.support.figures import tell
from tests.support.sink import Arrival, Sink

CONNECTIONS = 10
KILLS = 5
SEED = 20261123
PACE = 0.01
"""Seconds between two events of one connection: together a thousand a second."""
RECENT = 1.0
"""Seconds before a kill: what arrived earlier was written down (every 250 ms, and the machine may be busy)."""
WINDOW = 1024 + 2048 + 2000
"""The in-flight window: what lanes hold, outcomes that wait to be written, outcomes of one maintenance transaction."""


LENGTHS = pytest.mark.parametrize(
    "total", [pytest.param(2000, id="short"), pytest.param(20_000, id="full", marks=pytest.mark.full)]
)
FUNCTION = """
functions = ["busy"]
[functions.busy]
file = "busy.py"
"""
BUSY = """
def transform_events(events):
    made = []
    for event in events:
        n = event["properties"]["n"]
        if n % 10:
            made.append(event)
        if n % 10 == 1:
            made.append(event | {"properties": {"n": n + 1_000_000}})
    return made
"""
"""Drops every tenth event and derives another from every tenth."""
TROUBLE = """
retry = { backoff = "50ms..500ms" }
breaker = { failures = 1_000_000, ratio = 1.0 }
"""


async def sends(engine: Running, numbers: range) -> None:
    """Send these numbers at our pace over one connection, again and again what was not acknowledged."""
    async with connect(engine.url, "key", buffer=len(numbers), roll=lambda: 0.1) as client:
        for number in numbers:
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
            await trio.sleep(PACE)
        await client.flush()
        assert client.statistics().refused == 0


async def hail(engine: Running, sink: Sink, total: int) -> list[tuple[float, float]]:
    """Send so many events and kill the engine at random moments; return from when to when each death reaches."""
    moments = sorted(random.Random(SEED).sample(range(total // 20, total * 8 // 10), KILLS))
    deaths: list[tuple[float, float]] = []
    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(sends, engine, range(total)[first::CONNECTIONS])
        for moment in moments:
            await sink.took(moment)
            engine.kill()
            killed = trio.current_time()
            await engine.start()
            deaths.append((killed - RECENT, trio.current_time()))
    return deaths


def told_apart(sink: Sink) -> dict[int, list[Arrival]]:
    """Return the arrivals of each number; all of one number have the same key, and no two numbers have."""
    by_number: dict[int, list[Arrival]] = defaultdict(list)
    for arrival in sink.arrivals:
        by_number[arrival.number].append(arrival)
    keys = [{arrival.key for arrival in arrivals} for arrivals in by_number.values()]
    assert all(len(own) == 1 for own in keys)
    assert len(set().union(*keys)) == len(by_number)
    return by_number


@LENGTHS
async def test_an_engine_that_is_killed_again_and_again_loses_nothing(engine_for, sink, total):
    engine: Running = engine_for()
    await engine.start()
    deaths = await hail(engine, sink, total)
    status = await engine.settled()

    by_number = told_apart(sink)
    tell(f"{KILLS} kills at random moments", events=total, lost=0, sent_again=len(sink.arrivals) - total)
    assert sorted(by_number) == list(range(total))
    assert len(sink.arrivals) - total <= KILLS * WINDOW
    for number, (first, *again) in by_number.items():
        recent = any(since <= first.at <= upto for since, upto in deaths)
        assert not again or recent, f"{number} was written down at {first.at} and sent again; deaths at {deaths}"
    sync = status.syncs[0]
    assert (status.last, status.sources[0].passed, sync.matched, sync.created, sync.delivered) == (total,) * 5
    assert unbalanced(status, door=False) == []
    assert await engine.terminate() == 0


@LENGTHS
async def test_functions_retries_and_archive_survive_every_death(engine_for, sink, total):
    met: set[bytes] = set()

    def judge(body: bytes) -> Reply:
        number = int(body[5:-1])
        if number % 50 == 5:
            return Reply(status=400)
        fine = number % 7 != 3 or body in met
        met.add(body)
        return Reply(status=200 if fine else 503)

    sink.judge = judge
    engine: Running = engine_for(TROUBLE, head=FUNCTION)
    (engine.folder / "busy.py").write_text(BUSY)
    await engine.start()
    await hail(engine, sink, total)
    status = await engine.settled()

    told_apart(sink)
    bad = {number for number in range(total) if number % 50 == 5}
    derived = {number + 1_000_000 for number in range(total) if number % 10 == 1}
    good = {number for number in range(total) if number % 10} - bad | derived
    assert sink.taken == good
    source, sync = status.sources[0], status.syncs[0]
    assert (status.last, source.dropped, source.derived) == (total, total // 10, total // 10)
    assert (sync.created, sync.delivered, sync.archived) == (total, len(good), len(bad))
    assert unbalanced(status, door=False) == []
    assert await engine.terminate() == 0
