"""The order of each key, with a destination that fails now and then and an engine that is killed now and then."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
import trio

from engine.client import connect
from engine.messages import Reply
from engine.runtime import turns
from engine.store.opening import open_store
from tests.support.engine import Running, unbalanced
from tests.support.grown import each, grow
from tests.support.order import Came, disorder
from tests.support.sink import Sink

SEED = 20261123
CONNECTIONS = 10
KEYS = 40
PACE = 0.01
"""Seconds between two events of one connection: together a thousand a second."""
TROUBLE = """
concurrency = 4
retry = { backoff = "20ms..200ms" }
breaker = { failures = 1_000_000, ratio = 1.0 }
"""
ORDER = 'order_by = "properties.user"'
LENGTHS = pytest.mark.parametrize(
    ("total", "kills"), [pytest.param(2000, 3, id="short"), pytest.param(20_000, 20, id="full", marks=pytest.mark.full)]
)


async def sends(engine: Running, numbers: range) -> None:
    """Send these over one connection, which is all that the events of their keys come by."""
    async with connect(engine.url, "key", buffer=len(numbers), roll=lambda: 0.1) as client:
        for number in numbers:
            await client.track("u1", "Seen", {"n": number, "user": f"u{number % KEYS}"}, messageId=f"m{number}")
            await trio.sleep(PACE)
        await client.flush()


def came(sink: Sink) -> list[Came]:
    return [Came(one.number % KEYS, one.key, one.number) for one in sink.arrivals]


@LENGTHS
async def test_each_key_stays_in_order_when_the_engine_is_killed_again_and_again(engine_for, sink, total, kills):
    chance = random.Random(SEED)
    sick = {number for number in range(total) if chance.random() < 0.05}
    failures = {number: chance.randrange(1, 4) for number in sick}

    def judge(body: bytes) -> Reply:
        number = int(re.findall(rb'"n":(\d+)', body)[0])
        left = failures.get(number, 0)
        failures[number] = left - 1
        return Reply(status=503 if left > 0 else 200)

    sink.judge = judge
    engine: Running = engine_for(TROUBLE, sync=ORDER)
    await engine.start()
    moments = sorted(chance.sample(range(total // 20, total * 8 // 10), kills))
    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(sends, engine, range(total)[first::CONNECTIONS])
        for moment in moments:
            await sink.took(moment)
            engine.kill()
            await engine.start()
    status = await engine.settled()

    assert disorder(came(sink)) == []
    assert sink.taken == set(range(total))
    assert sum(one.status == 503 for one in sink.arrivals) >= len(sick)
    sync = status.syncs[0]
    assert (sync.created, sync.delivered) == (total, total)
    assert unbalanced(status, door=False) == []
    assert await engine.terminate() == 0


async def test_what_is_parked_in_a_file_comes_back_in_order_after_every_death(
    nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns.Turns.__init__, "__defaults__", (10, 30))
    text = f"""
    [destinations.crm]
    type = "desk"
    {TROUBLE}
    [syncs.orders]
    source = "shop"
    destination = "crm"
    {ORDER}
    [[syncs.orders.event_types]]
    mapping = {{ n = "properties.n", user = "properties.user" }}
    """
    well = [False]
    arrived: list[Came] = []
    for life in range(4):
        store = await open_store("sqlite", tmp_path)
        engine = await grow(nursery, text, store)
        engine._sent = life * 400
        engine.desk().answer = each(lambda one: 200 if well[0] or one.position % 97 else 503)
        for number in range(20 if life < 3 else 0):
            await engine.send(20, user=f"u{number % 5}")
        if life < 3:
            with trio.fail_after(60):  # until so many wait in the file that the next life begins with them
                while engine.tree.orderings.of("orders").turns.parked <= 20:  # noqa: ASYNC110 - nobody is told when something is parked
                    await trio.sleep(0.02)
        if life == 3:
            assert engine.tree.orderings.of("orders").turns.parked > 20
            well[0] = True
            status = await engine.settled()
        else:
            await engine.crash()
        arrived += [
            Came(one.body()["user"], one.key, one.position) for call in engine.desk().calls for one in call.batch
        ]
        if life < 3:
            await store.aclose()

    assert disorder(arrived) == []
    assert status.syncs[0].delivered == status.last == 1200
    assert status.syncs[0].pending == 0
    await engine.stop()
    await store.aclose()
