"""Vector's open reload bugs, each with what we do: https://github.com/vectordotdev/vector/issues/NUMBER."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from tests.support.grown import ORDERS, always, grow, hang, unbalanced

LOST = ORDERS.replace("concurrency = 1", "concurrency = 1\n[destinations.crm.breaker]\nfailures = 9999\nratio = 1.0")
WEB = '[sources.web]\nwrite_keys = ["web"]\n'

Shown = Callable[[trio.Nursery], Awaitable[None]]


async def failing(nursery: trio.Nursery) -> None:
    engine = await grow(nursery, LOST)
    engine.desk().answer = always(500)
    await engine.send(50)
    await trio.sleep(5)
    began = trio.current_time()
    made = await engine.reload(LOST.replace("{ n =", "{ number ="))
    assert made.refused == ""
    assert trio.current_time() - began < 5.0


async def hanging(nursery: trio.Nursery) -> None:
    engine = await grow(nursery, LOST)
    engine.desk().answer = hang
    await engine.send(5)
    await engine.desk().called(1)
    made = await engine.reload("")
    assert made.refused == ""
    assert [one.position for one in await engine.archived()] == [1, 2, 3, 4, 5]


async def old_settings(nursery: trio.Nursery) -> None:
    engine = await grow(nursery, LOST)
    old = engine.desk()
    old.answer = always(500)
    await engine.send(3)
    await old.called(3)
    await engine.reload(LOST.replace("concurrency = 1", "concurrency = 1\nbatch = 2"))
    before = len(old.calls)
    await engine.settled(3600)
    assert len(old.calls) == before
    assert set(engine.desk().positions) == {1, 2, 3}


async def lost(nursery: trio.Nursery) -> None:
    engine = await grow(nursery, ORDERS)
    desks = [engine.desk()]
    async with trio.open_nursery() as beside:
        beside.start_soon(_trickle, engine.send, 200)
        for number in range(20):
            await engine.reload(ORDERS.replace("concurrency = 1", f"concurrency = {1 + number % 3}"))
            desks.append(engine.desk())
            await trio.sleep(0.01)
    status = await engine.settled(3600)
    came = [position for desk in {id(desk): desk for desk in desks}.values() for position in desk.positions]
    assert sorted(came) == list(range(1, 201))
    assert unbalanced(status) == []


async def _trickle(send: Callable[[], Awaitable[None]], times: int) -> None:
    for _ in range(times):
        await send()
        await trio.sleep(0.001)


async def lingering(nursery: trio.Nursery) -> None:
    text = ORDERS.replace("concurrency = 1", 'concurrency = 1\nbatch = 10\nlinger = "10m"')
    engine = await grow(nursery, text)
    old = engine.desk()
    await engine.send(3)
    await trio.sleep(1)
    assert old.calls == []
    began = trio.current_time()
    await engine.reload(text.replace("10m", "0s"))
    await engine.settled()
    assert trio.current_time() - began < 60.0
    assert sorted(old.positions + engine.desk().positions) == [1, 2, 3]


async def stalled(nursery: trio.Nursery) -> None:
    engine = await grow(nursery, LOST)
    await engine.tree.operator.pause("destinations", "crm")
    for _ in range(20):
        await engine.send(256)
    await trio.sleep(1)
    await engine.reload(LOST.replace("concurrency = 1", "concurrency = 4"))
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled(3600)
    assert status.syncs[0].delivered == 20 * 256
    assert sorted(engine.desk().positions) == list(range(1, 20 * 256 + 1))


async def other_sources(nursery: trio.Nursery) -> None:
    visits = ORDERS.replace('"shop"', '"web"')
    engine = await grow(nursery, WEB + ORDERS)
    await engine.send(3)
    await engine.reload(WEB + visits)
    await engine.send(3, source="web")
    status = await engine.settled()
    assert engine.failure is None
    assert sorted(engine.desk().positions) == [1, 2, 3, 4, 5, 6]
    assert [(one.name, one.source) for one in status.syncs] == [("orders", "web")]


BUGS: list[tuple[str, str, str, Shown]] = [
    ("24125", "a reload is stuck while a sink has failing events", "what fails waits in the ledger", failing),
    ("24125", "the same, with one that does not answer", "its requests have its time-out, then are cut off", hanging),
    ("23098", "retries go by the old configuration", "a retry is sent as the plan of today says", old_settings),
    ("5795", "events that come meanwhile are lost", "they are in the log, and read by who comes next", lost),
    ("18133", "a batch that waits is flushed at its timer", "it is handed to the sender of today", lingering),
    ("18933", "a disk buffer is not taken along", "what waits is lag in the log, which belongs to the sync", stalled),
    ("24948", "a buffered sink stalls after a reload", "the router goes on where it stood", stalled),
    ("3854", "it ends when all sources change", "nothing ends but what was removed", other_sources),
]


@pytest.mark.parametrize(("issue", "bug", "we", "shown"), BUGS, ids=[f"{bug[0]}-{bug[3].__name__}" for bug in BUGS])
async def test_what_is_open_elsewhere_is_shut_here(
    nursery: trio.Nursery, autojump_clock: trio.abc.Clock, issue: str, bug: str, we: str, shown: Shown
) -> None:
    await shown(nursery)
