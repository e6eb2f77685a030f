"""A real engine, in a process of its own, among sick destinations; and what a long outage leaves behind."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import trio

from actors.archiver import PLACES
from actors.tree import DECODED_EVENTS, LANE_PLACES
from engine.observe.status import Status
from tests.support import rogue
from tests.support.engine import Running, unbalanced
from tests.support.figures import tell
from tests.support.posting import post
from tests.support.rogue import Manner, Rogue, answering, reply, well

EVENTS = 150
CONCURRENCY = 4
SICK: dict[str, Manner | None] = {  # without 401, whose probes come every 30 s: see test_destinations.py
    "dead": None,
    "hanging": rogue.hang,
    "dripping": rogue.drip,
    "interim": rogue.interim,
    "resetting": rogue.reset_at_once,
    "resetting-later": rogue.reset_in_the_reply,
    "truncating": rogue.truncate,
    "silent": rogue.close,
    "nonsense": rogue.talk_nonsense,
    "limiting": answering(reply(429, b"", "Retry-After: 1")),
    "failing": answering(reply(500)),
}
SYNC = """
[destinations.{name}]
type = "webhook"
url = "{url}"
allow_private = true
timeout = "500ms"
retry = {{ backoff = "100ms..1s" }}
breaker = {{ probe = "500ms" }}
[syncs.to-{name}]
source = "shop"
destination = "{name}"
[[syncs.to-{name}.event_types]]
mapping = {{ n = "properties.n" }}
"""
OUTAGE = """
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
batch = 100
concurrency = 1
retry = {{ backoff = "1s..1s" }}
breaker = {{ probe = "1s" }}
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""
FAILED = 20 * 100
"""Deliveries that failed before the breaker opened: these have rows."""
GROWTH = 64 << 20
"""Bytes that a backlog may add to the engine's memory, however long it is: lanes, inboxes, rows of what failed,
SQLite's caches, and what the allocator keeps of a burst of requests."""
REMEMBERED = 200
"""Bytes for each messageId that the door remembers, whatever becomes of the event; bounded by ``dedup.max``."""


def files(engine: Running) -> int:
    return len(list(Path(f"/proc/{engine.child.pid}/fd").iterdir()))


async def rogues(nursery: trio.Nursery) -> dict[str, Rogue]:
    """Return a destination of each sort, and a healthy one."""
    made = {name: Rogue(well) for name in (*SICK, "healthy")}
    for name, each in made.items():
        await nursery.start(each.run)
        if name in SICK:
            manner = SICK[name]
            each.vanish() if manner is None else each.behave(manner)
    return made


async def test_one_engine_among_a_dozen_sick_destinations(nursery, tmp_path):
    sinks = await rogues(nursery)
    unknown = SYNC.format(name="unknown", url="http://no-such-host.invalid/in")
    text = "".join(SYNC.format(name=name, url=f"http://127.0.0.1:{each.port}/in") for name, each in sinks.items())
    engine = Running(tmp_path, text + unknown)
    await engine.start()
    try:
        before = files(engine)
        await trio.to_thread.run_sync(post, engine.receiver, range(EVENTS))
        await sinks["healthy"].came(EVENTS)
        status = await engine.status()
        told = {sync.destination: sync for sync in status.syncs}
        assert {name for name, sync in told.items() if sync.delivered} <= {"healthy"}
        assert sorted(sinks["healthy"].numbers) == list(range(EVENTS))

        await trio.to_thread.run_sync(post, engine.receiver, range(EVENTS, 2 * EVENTS))
        await sinks["healthy"].came(2 * EVENTS)
        assert files(engine) <= before + CONCURRENCY * (len(sinks) + 1)
        for name in SICK:
            sinks[name].behave(well)
        status = await healed(engine)
        for name, each in sinks.items():
            assert set(each.numbers) == set(range(2 * EVENTS)), name
            assert len(each.keys) == 2 * EVENTS, name
        states = {one.name: one.state for one in status.destinations if one.name != "unknown"}
        assert set(states.values()) == {"closed"}, states
        assert max(each.open for each in sinks.values()) <= CONCURRENCY
        assert files(engine) <= before + CONCURRENCY * (len(sinks) + 1)
        assert not status.restarts
        tell(
            "a healthy destination among a dozen sick ones", requests=sum(len(each.requests) for each in sinks.values())
        )
        assert await engine.terminate() == 0
    finally:
        engine.kill()


async def healed(engine: Running) -> Status:
    """Return the status when everything but what has no address has arrived; its books balance."""
    with trio.fail_after(60):
        while True:
            status = await engine.status()
            told = [sync for sync in status.syncs if sync.destination != "unknown"]
            if all((sync.delivered, sync.pending, sync.archived) == (2 * EVENTS, 0, 0) for sync in told):
                assert unbalanced(status) == []
                return status
            await trio.sleep(0.1)


@pytest.mark.parametrize(
    "total", [pytest.param(50_000, id="short"), pytest.param(200_000, id="full", marks=pytest.mark.full)]
)
async def test_a_backlog_lies_in_the_log_and_is_sent_in_its_order(nursery, tmp_path, total):
    sink = Rogue(well)
    await nursery.start(sink.run)
    engine = Running(tmp_path, OUTAGE.format(port=sink.port))
    await engine.start()
    try:
        await trio.to_thread.run_sync(post, engine.receiver, range(5000))
        await engine.settled()
        memory = [engine.memory()]
        sink.vanish()
        await trio.to_thread.run_sync(partial(post, engine.receiver), range(5000, total))
        memory.append(engine.memory())
        [sync] = (await engine.status()).syncs
        assert sync.delivered == 5000
        assert sync.lag >= total - 5000 - LANE_PLACES - DECODED_EVENTS - FAILED - PLACES
        assert sync.pending - sync.open <= FAILED + 100  # rows: what failed before the breaker opened, and probes
        assert sync.open <= LANE_PLACES + PLACES

        sink.behave(well)
        status = await engine.settled(within=120.0 if total <= 50_000 else 600.0)
        memory.append(engine.memory())
        tell(
            f"backlog of {total - 5000:,}",
            **{f"MB_{when}": size >> 20 for when, size in zip(("before", "held", "after"), memory, strict=True)},
        )
        assert Counter(sink.numbers) == dict.fromkeys(range(total), 1)
        live = late = -1
        due = 0
        for number in sink.numbers:
            live, late = (number, late) if number > live else (live, number)
            due += number == late
        assert due <= FAILED + 100  # whatever has no row comes in the order of the log
        assert max(memory) - memory[0] < GROWTH + total * REMEMBERED
        assert (status.syncs[0].delivered, status.syncs[0].archived) == (total, 0)
        assert unbalanced(status) == []
        assert await engine.terminate() == 0
    finally:
        engine.kill()
