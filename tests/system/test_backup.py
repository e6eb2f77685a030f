"""A copy made while the engine runs is an engine's store like any other: what was pending in it is delivered."""

from __future__ import annotations

from pathlib import Path

import trio

from engine.client import connect
from engine.store.sqlite.connect import FILE
from tests.support.child import command
from tests.support.engine import unbalanced

BACKLOG = 500
SICK = 'retry = { backoff = "50ms..500ms" }'


async def test_a_restored_copy_delivers_what_was_pending(engine_for, sink, tmp_path: Path):
    engine = engine_for(SICK)
    await engine.start()
    await _send(engine.url, 1, 100)
    await sink.took(100)
    sink.down()
    await _send(engine.url, 101, 100 + BACKLOG)  # nothing of it can be delivered, and all of it is acknowledged

    done = await trio.to_thread.run_sync(command, ["backup", str(tmp_path / "copy.db")], engine.folder)
    assert (done.returncode, done.stderr) == (0, "    to restore it: headrace backup --help\n")
    await _send(engine.url, 101 + BACKLOG, 110 + BACKLOG)  # after the copy: not in it
    engine.kill()

    data = engine.folder / "data"
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (data / name).unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(data / FILE)
    sink.up()
    await engine.start()
    status = await engine.settled()

    assert {arrival.number for arrival in sink.arrivals} == set(range(1, 101 + BACKLOG))
    assert status.last == 100 + BACKLOG
    assert unbalanced(status, door=False) == []
    keys = {(arrival.number, arrival.key) for arrival in sink.arrivals}
    assert len(keys) == 100 + BACKLOG  # what came twice came with the same key


async def _send(url: str, first: int, last: int) -> None:
    async with connect(url, "key", buffer=last, roll=lambda: 0.1) as client:
        for number in range(first, last + 1):
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
        await client.flush()
