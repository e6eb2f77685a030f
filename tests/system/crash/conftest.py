from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.support.hail import World
from tests.support.sink import Sink


@pytest.fixture
async def sinks(nursery: trio.Nursery) -> tuple[Sink, Sink, Sink]:
    """Return three destinations that listen."""
    made = Sink(), Sink(), Sink()
    for one in made:
        await nursery.start(one.run)
    return made


@pytest.fixture
def world_for(tmp_path: Path, sinks: tuple[Sink, Sink, Sink]):
    """Return what makes a busy engine; it is gone when the test is."""
    made: list[World] = []

    def make(**more: str) -> World:
        made.append(World(tmp_path, sinks, **more))
        return made[-1]

    yield make
    for world in made:
        world.engine.kill()
