"""``kill -9`` in the middle, five times: what was acknowledged arrives, and what comes twice was on its way."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
import trio

from engine.client import connect
from tests.support.engine import Running, unbalanced
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


@pytest.mark.parametrize(
    "total", [pytest.param(2000, id="short"), pytest.param(20_000, id="full", marks=pytest.mark.full)]
)
async def test_an_engine_that_is_killed_again_and_again_loses_nothing(
    engine_for, sink: Sink, total: int, record_property
) -> None:
    engine: Running = engine_for()
    await engine.start()
    dice = random.Random(SEED)
    moments = sorted(dice.sample(range(total // 20, total * 9 // 10), KILLS))
    kills: list[tuple[float, float]] = []

    async def sends(own: range) -> None:
        async with connect(engine.url, "key", buffer=total, roll=lambda: 0.1) as client:
            for number in own:
                await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
                await trio.sleep(PACE)
            await client.flush()
            assert client.statistics().refused == 0

    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(sends, range(total)[first::CONNECTIONS])
        for moment in moments:
            await sink.took(moment)
            engine.kill()
            killed = trio.current_time()
            await engine.start()
            kills.append((killed - RECENT, trio.current_time()))
    status = await engine.settled()

    by_number: dict[int, list[Arrival]] = defaultdict(list)
    for arrival in sink.arrivals:
        by_number[arrival.number].append(arrival)
    again = {number: arrivals for number, arrivals in by_number.items() if len(arrivals) > 1}
    record_property("duplicates", len(sink.arrivals) - total)
    assert sorted(by_number) == list(range(total))
    assert all(len({arrival.key for arrival in arrivals}) == 1 for arrivals in by_number.values())
    assert len({arrivals[0].key for arrivals in by_number.values()}) == total
    assert len(sink.arrivals) - total <= KILLS * WINDOW
    long_ago = [
        number
        for number, arrivals in again.items()
        if not any(since <= arrivals[0].at <= upto for since, upto in kills)
    ]
    assert long_ago == [], f"written down before the kill, and sent again; kills at {kills}"
    sync = status.syncs[0]
    assert (status.last, status.sources[0].passed, sync.matched, sync.created, sync.delivered) == (total,) * 5
    assert unbalanced(status, door=False) == []
    assert await engine.terminate() == 0
