"""SIGSTOP of the engine, or of who receives: as if the machine had slept."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from tests.support.figures import tell
from tests.support.hail import RECENT, Death, World
from tests.support.sink_child import FarSink

LENGTHS = pytest.mark.parametrize(
    "seconds", [pytest.param(2.0, id="short"), pytest.param(30.0, id="full", marks=pytest.mark.full)]
)
IMPATIENT = 'timeout = "500ms"\nretry = { backoff = "50ms..500ms" }'
GUARD = 60.0
"""Seconds after which what is waited for will not happen."""


async def freeze(world: World, frozen: int, seconds: float) -> None:
    """Stop a process for a while; what was on its way then may come again."""
    at = trio.current_time()
    signal.pidfd_send_signal(frozen, signal.SIGSTOP)
    await trio.sleep(seconds)  # how long it stands: it is what the test is about
    signal.pidfd_send_signal(frozen, signal.SIGCONT)
    # Who wakes up still reads what was asked, and given up, while it stood.
    world.deaths.append(Death(how="frozen", at=at, back=trio.current_time() + RECENT))


@LENGTHS
async def test_an_engine_that_stands_still_for_a_while_goes_on_where_it_stood(world_for, pidfd, seconds) -> None:
    world: World = world_for()
    await world.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.load)
        await world.crm.took(300)
        await freeze(world, pidfd(world.engine.child.pid), seconds)
        came = len(world.crm.taken)
        with trio.fail_after(GUARD):
            await world.crm.took(came + 300)
        world.over = True
    status = await world.engine.settled()

    twice = world.check(status)
    tell(f"engine frozen for {seconds:g} s", events=world.sent, lost=0, sent_again=sum(twice.values()))
    assert status.restarts == {}
    assert [source.state for source in status.sources] == ["running"]
    assert await world.engine.terminate() == 0


@LENGTHS
async def test_a_destination_that_stands_still_holds_nobody_else_up(
    tmp_path: Path, sinks, pidfd, world_for, seconds
) -> None:
    world: World = world_for(crm=(far := FarSink(tmp_path)), more=IMPATIENT)
    await world.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.load)
        await world.flaky.took(50)
        async with trio.open_nursery() as beside:
            beside.start_soon(freeze, world, pidfd(far.child.pid), seconds)
            came = len(world.flaky.taken)
            with trio.fail_after(GUARD):
                await world.flaky.took(came + 50)  # while the other one stands
            assert not world.deaths
        world.over = True
    status = await world.engine.settled()

    far.read()
    twice = world.check(status)
    tell(f"destination frozen for {seconds:g} s", events=world.sent, lost=0, sent_again=twice["crm"])
    assert (twice["flaky"], twice["alerts"]) == (0, 0)
    assert {one.name: one.state for one in status.destinations} == dict.fromkeys(("crm", "flaky", "alerts"), "closed")
    assert await world.engine.terminate() == 0
