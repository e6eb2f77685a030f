"""What kills an actor is found, put away, and harms nothing else."""

from __future__ import annotations

import trio

import actors.tree
from actors.router import Router
from actors.validator import Validator
from engine.messages import Passed, Span
from tests.support.grown import ORDERS, grow, reopened, unbalanced

BAD = 13


class FragileRouter(Router):
    """Dies of the event at position 13."""

    async def receive(self, passed: Passed, /) -> None:
        if any(event.position == BAD for event in passed.events):
            raise ZeroDivisionError("poison for routers")
        await super().receive(passed)


class FragileValidator(Validator):
    """Dies of the event at position 13."""

    async def receive(self, span: Span, /) -> None:
        if any(logged.position == BAD for logged in span.events):
            raise ZeroDivisionError("poison for validators")
        await super().receive(span)


async def test_a_router_that_dies_of_one_event_archives_it_and_delivers_all_others(
    nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr(actors.tree, "Router", FragileRouter)
    engine = await grow(nursery, ORDERS)
    await engine.send(64)
    status = await engine.settled()

    assert engine.desk().positions == [n for n in range(1, 65) if n != BAD]
    [trouble] = await engine.archived()
    assert (trouble.position, trouble.stage, trouble.reason) == (BAD, "mapping", "router_died")
    assert "ZeroDivisionError: poison for routers" in trouble.error
    assert trouble.trace.startswith("Traceback (most recent call last):")
    assert 'raise ZeroDivisionError("poison for routers")' in trouble.trace
    assert b'"messageId":"m13"' in trouble.event
    assert status.restarts["router.orders"] > 1
    assert unbalanced(status) == []


async def test_a_validator_that_dies_of_one_event_archives_it_and_delivers_all_others(
    nursery, autojump_clock, monkeypatch
):
    monkeypatch.setattr(actors.tree, "Validator", FragileValidator)
    engine = await grow(nursery, ORDERS)
    await engine.send(64)
    status = await engine.settled()

    assert engine.desk().positions == [n for n in range(1, 65) if n != BAD]
    [trouble] = await engine.archived()
    assert (trouble.position, trouble.sync, trouble.reason) == (BAD, "", "validator_died")
    assert 'raise ZeroDivisionError("poison for validators")' in trouble.trace
    assert (status.sources[0].failed, status.sources[0].passed) == (1, 63)
    assert unbalanced(status) == []


async def test_what_validators_died_of_stays_away_from_a_sync_that_lags_too(nursery, autojump_clock, monkeypatch):
    monkeypatch.setattr(actors.tree, "Validator", FragileValidator)
    engine = await grow(nursery, ORDERS)
    await engine.tree.operator.pause("syncs", "orders")
    await engine.send(64)
    await trio.sleep(1)
    await engine.stop()

    again = await grow(nursery, ORDERS, reopened(engine.store))
    await again.tree.operator.resume("syncs", "orders")
    status = await again.settled()

    assert again.desk().positions == [n for n in range(1, 65) if n != BAD]
    [sync], [source] = status.syncs, status.sources
    assert (source.failed, source.passed, sync.matched) == (1, 63, 63)


async def test_what_validators_died_of_stays_judged_if_the_engine_dies_before_it_is_told(
    nursery, autojump_clock, monkeypatch
):
    class Cut(FragileValidator):
        async def poisoned(self, message: Span, error: Exception, /) -> None:
            await self._keep([self.source.unjudged(one, error) for one in message.events])
            await trio.sleep_forever()

    with monkeypatch.context() as patched:
        patched.setattr(actors.tree, "Validator", Cut)
        engine = await grow(nursery, ORDERS)
        await engine.send(64)
        await trio.sleep(60)
        await engine.crash()

    again = await grow(nursery, ORDERS, reopened(engine.store))
    status = await again.settled()

    assert BAD not in again.desk().positions
    [trouble] = await again.archived()
    assert (trouble.position, trouble.stage, trouble.reason) == (BAD, "contract", "validator_died")
    assert trouble.error == "the event could not be examined: ZeroDivisionError: poison for validators"
    [sync], [source] = status.syncs, status.sources
    assert (source.failed, source.passed, sync.matched, sync.delivered) == (1, 63, 63, 63)


async def test_a_router_that_always_dies_is_given_up_and_its_neighbours_go_on(nursery, autojump_clock, monkeypatch):
    class Broken(Router):
        async def started(self) -> None:
            if self.sync.name == "orders":
                raise ZeroDivisionError("broken for good")

    monkeypatch.setattr(actors.tree, "Router", Broken)
    other = ORDERS.replace("orders", "others").replace("crm", "erp")
    engine = await grow(nursery, ORDERS + other)
    await engine.send(500)
    await trio.sleep(60)
    status = await engine.tree.operator.status()

    assert {sync.name: (sync.state, sync.lag, sync.delivered) for sync in status.syncs} == {
        "orders": ("down", 500, 0),
        "others": ("running", 0, 500),
    }
    assert engine.failure is None


async def test_a_validator_that_always_dies_ends_the_engine_in_order(nursery, autojump_clock, monkeypatch):
    class Broken(Validator):
        async def started(self) -> None:
            raise ZeroDivisionError("broken for good")

    monkeypatch.setattr(actors.tree, "Validator", Broken)
    engine = await grow(nursery, ORDERS)
    await engine.over.wait()

    assert str(engine.failure) == (
        "'validator.shop' died more than 3 times within 30 s, last of ZeroDivisionError: broken for good\n"
        "    the tracebacks of all its deaths are in the log"
    )
