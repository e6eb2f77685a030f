"""What a function, a contract or a mapping stopped arrives once when each is mended: in a real engine, by commands."""

from __future__ import annotations

from collections import Counter
from functools import partial

import trio

from engine.client import connect
from tests.support.child import command
from tests.support.engine import Running, unbalanced
from tests.support.sink import Sink

HEAD = """functions = ["busy"]
[functions.busy]
file = "busy.py"
[contracts.shop]
sources = ["shop"]
[[contracts.shop.events]]
type = "track"
name = "Seen"
on_undeclared_fields = "allow"
schema = { properties = { properties = { properties = { vip = { type = "boolean" } } } } }
"""
BROKEN = """
def transform_events(events):
    for event in events:
        if event["properties"]["n"] == 2:
            raise ValueError("two is too many")
    return events
"""
MENDED = "def transform_events(events):\n    return events\n"
FAILS = '{ n = "properties.n", total = { from = "properties.total", when_missing = "fail" } }'


async def cli(engine: Running, *argv: str) -> str:
    """Run a command beside the engine, which must succeed; return what it printed."""
    done = await trio.to_thread.run_sync(partial(command, [*argv, "-c", "config.toml"], engine.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def told(engine: Running, n: int) -> list[str]:
    """Return what trace says of an event's fate, and why."""
    lines = [line.strip().partition("  headrace")[0] for line in (await cli(engine, "trace", f"m{n}")).splitlines()]
    return [line for line in lines if line.startswith(("source:", "orders", "a function", "/properties/vip"))]


def mend(engine: Running) -> None:
    """Mend all three."""
    (engine.folder / "busy.py").write_text(MENDED)
    file = engine.folder / "config.toml"
    text = file.read_text().replace('vip = { type = "boolean" }', 'vip = { type = ["boolean", "string"] }')
    file.write_text(text.replace(FAILS, '{ n = "properties.n", total = "properties.total" }'))


async def test_what_was_stopped_arrives_once_when_its_cause_is_mended(engine_for, sink: Sink):
    engine: Running = engine_for(head=HEAD)
    engine._text = engine._text.replace('{ n = "properties.n" }', FAILS)
    (engine.folder / "busy.py").write_text(BROKEN)
    await engine.start()
    await engine.start()  # now its ports are in its configuration, where the commands look for them
    async with connect(engine.url, "key", roll=lambda: 0.1) as client:
        for n in range(10):
            more = {3: {"total": 3, "vip": "yes"}, 4: {}}.get(n, {"total": n})
            await client.track("u1", "Seen", {"n": n} | more, messageId=f"m{n}")
        await client.flush()
    status = await engine.settled()
    assert sink.taken == set(range(10)) - {2, 3, 4}
    assert (status.sources[0].failed, status.sources[0].blocked, status.syncs[0].archived) == (1, 1, 1)
    assert unbalanced(status) == []
    assert [await told(engine, n) for n in (2, 3, 4)] == [
        ["source: failed: function_failed", "a function of source 'shop' failed: ValueError: two is too many"],
        ["source: blocked: contract_violation", "/properties/vip: 'yes' is not of type 'boolean'"],
        ["source: passed", "orders (custom) → crm: archived: mapping_failed"],
    ]

    mend(engine)
    await cli(engine, "reload")
    await cli(engine, "replay", "start", "--yes", "--wait")
    await sink.took(10)
    status = await engine.settled()

    assert [await told(engine, n) for n in (2, 3, 4)] == [
        ["source: passed", "orders (custom) → crm: delivered"],
        ["source: passed", "orders (custom) → crm: delivered"],
        ["source: passed", "orders (custom) → crm: delivered: replayed"],
    ]
    assert Counter(one.number for one in sink.arrivals) == dict.fromkeys(range(10), 1)
    assert (status.sources[0].failed, status.sources[0].blocked, status.sources[0].passed) == (0, 0, 10)
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (10, 10, 0)
    assert unbalanced(status) == []
    assert await cli(engine, "replay", "start", "--yes") == "nothing matches\n"
    assert await engine.terminate() == 0
