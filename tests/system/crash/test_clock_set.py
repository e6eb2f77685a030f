"""The machine's clock is set by an hour while the engine runs, or between two lives."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import trio

from engine.client import connect
from engine.messages import Reply
from engine.store.opening import open_store
from tests.support.engine import Running, unbalanced
from tests.support.faults import CLOCK, set_clock
from tests.support.sink import Sink

GUARD = 30.0
"""Seconds after which what is waited for will not happen: an hour's stall would take a hundred times as long."""
HOUR = 3600.0
TRIES = """
retry = { backoff = "500ms..1s" }
breaker = { failures = 1_000_000, ratio = 1.0 }
"""
STORE = """
[store]
retention = { age = "2h" }
"""


def moody(sink: Sink) -> None:
    """Let every first attempt fail, some with a word on when to come again."""
    met: set[bytes] = set()

    def judge(body: bytes) -> Reply:
        if body in met:
            return Reply(status=200)
        met.add(body)
        told = int(body[5:-1]) % 50 == 0  # each holds everybody back for a second
        return Reply(status=429, headers=(("retry-after", "1"),)) if told else Reply(status=503)

    sink.judge = judge


async def send(engine: Running, numbers: range) -> None:
    async with connect(engine.url, "key", buffer=1000) as client:
        for number in numbers:
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
        await client.flush()
        assert client.statistics().refused == 0


async def times(folder: Path) -> list[float]:
    """Return when each event was received, by position; the engine has ended."""
    store = await open_store("sqlite", folder / "data")
    found = await store.accepted(0.0, 10**6)
    await store.aclose()
    return [one.received_at for one in found]


@pytest.fixture
def engine_on(engine_for, tmp_path: Path):
    """Return an engine on a machine whose clock can be set by `set_clock` and this file."""
    file = tmp_path / "clock"
    set_clock(file, 0.0)
    engine: Running = engine_for(TRIES + STORE, module="tests.support.faults")
    engine.env = {CLOCK: str(file)}
    return engine, file


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_a_clock_that_is_set_while_the_engine_runs_delays_and_forgets_nothing(engine_on, sink, jump) -> None:
    engine, file = engine_on
    moody(sink)
    await engine.start()
    await send(engine, range(100))
    await sink.asked(100)
    set_clock(file, jump)
    await send(engine, range(200))
    with trio.fail_after(GUARD):
        await sink.took(200)
    status = await engine.settled()

    sync = status.syncs[0]
    assert (status.last, status.sources[0].duplicate) == (200, 100)
    assert (sync.created, sync.delivered, sync.archived) == (200, 200, 0)
    assert status.destinations[0].state == "closed"
    assert unbalanced(status) == []
    assert await engine.terminate() == 0
    received = await times(engine.folder)
    assert len(received) == 200, "retention took none of them"
    assert all(before <= after for before, after in itertools.pairwise(received))


@pytest.mark.parametrize("jump", [-HOUR, -48 * HOUR])
async def test_a_clock_that_is_set_between_two_lives_delays_and_forgets_nothing(engine_on, sink, jump) -> None:
    engine, file = engine_on
    sink.judge = lambda _body: Reply(status=503)
    await engine.start()
    await send(engine, range(100))
    await sink.asked(100)
    await trio.sleep(0.5)  # two maintenance transactions: the retries are in the ledger, by the clock of this life
    engine.kill()
    set_clock(file, jump)
    sink.judge = lambda _body: Reply(status=200)
    await engine.start()
    await send(engine, range(200))
    with trio.fail_after(GUARD):
        await sink.took(200)
    status = await engine.settled()

    sync = status.syncs[0]
    assert (status.last, status.sources[0].duplicate) == (200, 100)
    assert (sync.created, sync.delivered, sync.archived) == (200, 200, 0)
    assert unbalanced(status, door=False) == []
    assert await engine.terminate() == 0
    assert len(await times(engine.folder)) == 200, "retention took none of them"
