"""``kill -9`` at every point where an engine can die, and at random moments: under load, on one store."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections import Counter

import pytest
import trio

from tests.support.faults import FAULT, POINTS
from tests.support.figures import tell
from tests.support.hail import WINDOW, World

SEED = int(os.environ.get("HEADRACE_SEED", "20261123"))
RANDOM = "at random"
LATEST = 20.0
"""Seconds within which an engine passes its point often enough."""
SELDOM = {"beginning": 1, "trimming": 3, "claimed": 5, "books-uncommitted": 6, "books-committed": 6}
"""Passes among which the deadly one is chosen, where they are few; 20 elsewhere."""


def fates(chance: random.Random, kills: int) -> list[str]:
    """Return how each engine dies: one in four at random, the others at every point in turn."""
    some = chance.sample(list(POINTS), len(POINTS))
    points = itertools.cycle(sorted(some, key="trimming".__eq__))  # last: what may go must be old first
    return [RANDOM if number % 4 == 3 else next(points) for number in range(kills)]


async def lives_and_dies(world: World, how: str, chance: random.Random) -> None:
    """Let one engine live until it dies as it was told at its start."""
    engine = world.engine
    passes = chance.randint(1, SELDOM.get(how, 20))
    engine.env = {} if how == RANDOM else {FAULT: f"{how}:{passes}"}
    try:
        await world.start()
    except AssertionError:  # before it accepted anything
        assert engine.child.wait() == -signal.SIGKILL, engine.child.errors()
        world.died(how)
        return
    with trio.move_on_after(chance.uniform(0.1, 1.0) if how == RANDOM else LATEST):
        await gone(engine.child.pid)
        assert how != RANDOM, engine.child.errors()
        world.died(how)
        return
    assert how == RANDOM, f"{how} was not passed {passes} times within {LATEST:g} s"
    world.died(how)


async def gone(pid: int) -> None:
    """Wait for the end of a process."""
    handle = os.pidfd_open(pid)
    try:
        await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)


@pytest.mark.parametrize("kills", [pytest.param(20, id="short"), pytest.param(200, id="full", marks=pytest.mark.full)])
async def test_an_engine_that_dies_wherever_it_can_loses_nothing_and_repeats_little(world_for, kills) -> None:
    world: World = world_for()
    chance = random.Random(SEED)
    await world.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.load)
        await world.crm.took(1)
        world.died(RANDOM)
        for how in fates(chance, kills - 1):
            await lives_and_dies(world, how, chance)
        world.engine.env = {}
        await world.start()
        world.over = True
    status = await world.engine.settled(within=60.0 + 6.0 * kills)  # an engine that dies all the time falls behind

    twice = world.check(status)
    assert max(twice.values()) <= kills * 2 * WINDOW  # of two syncs each
    hit = Counter(death.how for death in world.deaths)
    took = sorted(world.recoveries[1:])  # a death's own time says more of those that die while they start
    tell(
        f"{kills} kills, seed {SEED}",
        points=len(hit) - 1,
        events=world.sent,
        lost=0,
        sent_again=sum(twice.values()),
        recovery_p50_s=took[len(took) // 2],
        recovery_worst_s=took[-1],
    )
    assert await world.engine.terminate() == 0
