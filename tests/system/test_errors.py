"""Archived deliveries are sent again or ended by commands, beside an engine that runs: real processes."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import Any

import trio

from engine.client import connect
from engine.messages import Reply
from tests.support.child import command
from tests.support.engine import Running, unbalanced
from tests.support.sink import Sink

EVENTS = 60


async def cli(engine: Running, *argv: str) -> tuple[int, str]:
    """Run a command beside the engine; return its exit code and what it printed."""
    done = await trio.to_thread.run_sync(partial(command, [*argv, "-c", "config.toml"], engine.folder))
    return done.returncode, done.stdout + done.stderr


async def entries(engine: Running, *argv: str) -> list[dict[str, Any]]:
    code, said = await cli(engine, "errors", "list", "--json", *argv)
    assert code == 0, said
    return [json.loads(line) for line in said.splitlines()]


async def test_archived_deliveries_go_out_again_or_end_while_the_engine_runs(engine_for, sink: Sink):
    engine: Running = engine_for()
    sink.judge = lambda body: Reply(status={0: 400, 1: 422, 2: 200}[int(body[5:-1]) % 3])
    await engine.start()
    await engine.start()  # now its ports are in its configuration, where the commands look for them
    async with connect(engine.url, "key", buffer=EVENTS, roll=lambda: 0.1) as client:
        for number in range(EVENTS):
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
        await client.flush()
    await engine.settled()
    third = EVENTS // 3
    sink.judge = lambda _body: Reply(status=200)

    asked = ("errors", "retry", "--reason", "rejected_400")
    assert await cli(engine, *asked, "--dry-run") == (0, f"{third} entries to retry\n")
    assert await cli(engine, *asked, "--yes") == (0, f"{third} entries to retry\n{third} go out again\n")
    await sink.took(2 * third)
    await engine.settled()
    assert await cli(engine, *asked, "--yes") == (0, "0 entries to retry\n")

    one, two, *_ = [entry["id"] for entry in await entries(engine, "--reason", "rejected_422")]
    said = "1 entry to discard\n1 is discarded\n"
    assert await cli(engine, "errors", "discard", one, "--yes") == (0, said)
    assert await cli(engine, "errors", "retry", two, "--yes") == (0, "1 entry to retry\n1 goes out again\n")
    rest = third - 2
    said = f"{rest} entries to discard\n{rest} are discarded\n"
    await sink.took(2 * third + 1)
    await engine.settled()
    assert await cli(engine, "errors", "discard", "--sync", "orders", "--yes") == (0, said)
    code, said = await cli(engine, "errors", "retry", one, "--yes")
    status = await engine.settled()

    assert (code, said.splitlines()[1]) == (0, "0 go out again")
    keys = {number: {each.key for each in sink.arrivals if each.number == number} for number in range(EVENTS)}
    assert all(len(own) == 1 for own in keys.values())
    assert sorted(Counter(each.number for each in sink.arrivals).values()) == [1] * (2 * third - 1) + [2] * (third + 1)
    sync = status.syncs[0]
    assert (sync.created, sync.delivered, sync.archived, sync.discarded) == (EVENTS, 2 * third + 1, 0, third - 1)
    assert unbalanced(status) == []
    assert await engine.terminate() == 0
