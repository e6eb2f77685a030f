"""A saved function file takes effect by a reload, and by nothing else; a broken one leaves the function as it was."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
import trio

from engine.client import connect
from tests.support.engine import LOOK, Running
from tests.support.sink import Sink

CONFIG = """
functions = ["f"]
[functions.f]
file = "{file}"
isolation = "{isolation}"
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""
PYTHON = """
def transform_events(events):
    return [{{**event, "properties": {{"n": event["properties"]["n"] + {more}}}}} for event in events]
"""
SCRIPT = """
function transformEvents(events) {{
    return events.map((event) => ({{ ...event, properties: {{ n: event.properties.n + {more} }} }}));
}}
"""
KINDS = [("f.py", PYTHON, "process"), ("f.js", SCRIPT, "process"), ("f.py", PYTHON, "inline")]
BROKEN = {"f.py": "def transform_events(events):\n    return [oops", "f.js": "function transformEvents(events) {"}


class World:
    """Events go in one by one, each when what came of the last has arrived."""

    def __init__(self, engine: Running, sink: Sink) -> None:
        self.engine = engine
        self.sink = sink
        self._sent = 0

    async def more(self) -> int:
        """Return what the function adds to the next event's number."""
        self._sent += 1
        before = set(self.sink.taken)
        async with connect(self.engine.url, "key") as client:
            await client.track("u1", "Seen", {"n": self._sent})
            await client.flush()
        with trio.fail_after(30):
            await self.sink.took(len(before) + 1)
        [came] = self.sink.taken - before
        return came - self._sent

    async def until(self, more: int) -> None:
        """Return when the function adds *more*."""
        with trio.fail_after(60):
            while True:
                if await self.more() == more:
                    return
                await trio.sleep(LOOK)

    async def refused(self, file: str) -> None:
        """Return when the engine has found by itself that *file* is wrong."""
        with trio.fail_after(60):
            while True:
                if file in (await self.engine.status()).problems:
                    return
                await trio.sleep(LOOK)


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


async def kill_children(pid: int) -> None:
    """Kill the processes that *pid* has started; return when they have ended."""
    for child in children(pid):
        watched = os.pidfd_open(child)
        signal.pidfd_send_signal(watched, signal.SIGKILL)
        with trio.fail_after(20):
            await trio.lowlevel.wait_readable(watched)
        os.close(watched)


@pytest.mark.parametrize(("file", "text", "isolation"), KINDS)
async def test_an_edit_takes_effect_by_watch_and_a_broken_one_never(
    tmp_path: Path, sink: Sink, file: str, text: str, isolation: str
) -> None:
    (tmp_path / file).write_text(text.format(more=100))
    engine = Running(tmp_path, CONFIG.format(file=file, isolation=isolation, port=sink.port))
    await engine.start()
    try:
        world = World(engine, sink)
        assert await world.more() == 100
        (tmp_path / file).write_text(text.format(more=200))
        await world.until(200)

        (tmp_path / file).write_text(BROKEN[file])
        await world.refused(file)
        assert await world.more() == 200
        await kill_children(engine.child.pid)
        assert [await world.more() for _ in range(3)] == [200, 200, 200]

        (tmp_path / file).write_text(text.format(more=300))
        await world.until(300)
    finally:
        engine.kill()


async def test_a_function_that_needs_attention_is_mended_by_an_edit(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "f.py").write_text("def transform_events(events):\n    while True: pass\n")
    text = CONFIG.format(file="f.py", isolation="process", port=sink.port)
    engine = Running(tmp_path, text.replace('isolation = "process"', 'timeout = "200ms"'))
    await engine.start()
    try:
        async with connect(engine.url, "key") as client:
            for number in range(60):
                await client.track("u1", "Seen", {"n": number})
                await client.flush()
        await state(engine, "attention")
        (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
        await state(engine, "running")
        status = await engine.settled()
    finally:
        engine.kill()

    [source] = status.sources
    assert source.passed > 0
    assert source.passed + source.failed == 60
    assert len(sink.taken) == source.passed


async def state(engine: Running, wanted: str) -> None:
    """Return when the source's validator is so."""
    with trio.fail_after(60):
        while True:
            if (await engine.status()).sources[0].state == wanted:
                return
            await trio.sleep(LOOK)
