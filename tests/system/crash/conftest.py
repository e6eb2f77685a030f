from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.support.hail import World
from tests.support.sink import Sink
from tests.support.sink_child import FarSink


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

    def make(crm: Sink | None = None, **more: str) -> World:
        made.append(World(tmp_path, (crm or sinks[0], *sinks[1:]), **more))
        return made[-1]

    yield make
    for world in made:
        world.engine.kill()
        if isinstance(world.crm, FarSink):
            world.crm.child.kill()


@pytest.fixture
def pidfd() -> Iterator[Callable[[int], int]]:
    """Return what opens a process: a signal by it never reaches another one; it goes on when the test is over."""
    opened: list[int] = []

    def take(pid: int) -> int:
        opened.append(os.pidfd_open(pid))
        return opened[-1]

    yield take
    for one in opened:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(one, signal.SIGCONT)
        os.close(one)
