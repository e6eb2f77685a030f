"""A mapping is mended, the archive replayed, the engine killed in the middle; and a user is erased: real processes."""

from __future__ import annotations

import json
from functools import partial

import trio

from engine.client import connect
from engine.messages import Reply
from tests.support.child import command
from tests.support.engine import Running, unbalanced
from tests.support.sink import Sink

EVENTS = 3000
RATE = 1500
WINDOW = 1024 + 2048 + 2000
"""The in-flight window, see test_kill."""
SECRET = "person-4711@shop.example"


async def cli(engine: Running, *argv: str) -> tuple[int, str]:
    """Run a command beside the engine; return its exit code and what it printed."""
    done = await trio.to_thread.run_sync(partial(command, [*argv, "-c", "config.toml"], engine.folder))
    return done.returncode, done.stdout + done.stderr


async def fill(engine: Running, numbers: range, user: str = "u1") -> None:
    async with connect(engine.url, "key", buffer=len(numbers), roll=lambda: 0.1) as client:
        for number in numbers:
            await client.track(user, "Seen", {"n": number}, messageId=f"m{number}")
        await client.flush()


def mend(engine: Running) -> None:
    """Let the mapping ask for what the events have."""
    engine._text = engine._text.replace('"properties.number"', '"properties.n"')


async def test_a_mended_mapping_is_replayed_once_though_the_engine_is_killed(engine_for, sink: Sink):
    engine: Running = engine_for()
    engine._text = engine._text.replace('"properties.n"', '{ from = "properties.number", when_missing = "fail" }')
    await engine.start()
    await fill(engine, range(EVENTS))
    status = await engine.settled()
    assert (status.syncs[0].archived, len(sink.arrivals)) == (EVENTS, 0)
    assert await engine.terminate() == 0

    mend(engine)
    await engine.start()
    code, said = await cli(engine, "replay", "start", "--sync", "orders", "--dry-run", "--json")
    assert code == 0, said
    assert json.loads(said)["became"]["orders"]["sent"] == EVENTS
    code, said = await cli(engine, "replay", "start", "--sync", "orders", "--rate", f"{RATE}/s", "--yes")
    assert code == 0, said
    for moment in (EVENTS // 4, EVENTS // 2):
        await sink.took(moment)
        engine.kill()
        await engine.start()
    await sink.took(EVENTS)
    status = await engine.settled()

    assert sorted(sink.taken) == list(range(EVENTS))
    keys = {arrival.number: arrival.key for arrival in sink.arrivals}
    assert all(keys[arrival.number] == arrival.key for arrival in sink.arrivals)
    assert len(sink.arrivals) - EVENTS <= 2 * WINDOW
    sync = status.syncs[0]
    assert (sync.created, sync.delivered, sync.archived) == (EVENTS, EVENTS, 0)
    assert unbalanced(status, door=False) == []
    _, said = await cli(engine, "replay", "list", "--json")
    (replay,) = json.loads(said)["kept"]
    assert (replay["state"], replay["became"]["orders"]["sent"]) == ("done", EVENTS)
    before = len(sink.arrivals)
    code, said = await cli(engine, "replay", "start", "--sync", "orders", "--yes")
    assert (code, said) == (0, "nothing matches\n")
    assert len(sink.arrivals) == before
    code, said = await cli(engine, "trace", "m7")
    assert code == 0
    assert "orders (custom) → crm: delivered" in said
    assert await engine.terminate() == 0


async def test_nothing_of_an_erased_user_is_left_in_the_files(engine_for, sink: Sink):
    def judge(body: bytes) -> Reply:
        number = int(body.split(b'"n":')[1].split(b"}")[0].split(b",")[0])
        return Reply(status={0: 200, 1: 400, 2: 503}[number % 3])

    sink.judge = judge
    engine: Running = engine_for('retry = { backoff = "60s..60s" }\nbreaker = { failures = 1_000_000, ratio = 1.0 }')
    engine._text = engine._text.replace('{ n = "properties.n" }', '{ n = "properties.n", who = "userId" }')
    await engine.start()
    await engine.start()  # now its ports are in its configuration, where the commands look for them
    await fill(engine, range(300), SECRET)
    await fill(engine, range(300, 600), "somebody-else")
    await sink.asked(600)
    with trio.fail_after(30):
        while (await engine.status()).syncs[0].open:  # noqa: ASYNC110 - the last outcomes are being written
            await trio.sleep(0.05)

    code, said = await cli(engine, "erase", "--user-id", SECRET, "--yes", "--json")
    assert code == 0, said
    report = json.loads(said)
    assert (report["events"], report["rows_erased"]) == (300, {"archived": 100, "retrying": 100})
    left = {path.name: SECRET.encode() in path.read_bytes() for path in (engine.folder / "data").iterdir()}
    assert not any(left.values()), left

    status = await engine.status()
    sync = status.syncs[0]
    assert (sync.created, sync.delivered, sync.archived, sync.erased, sync.pending) == (600, 200, 100, 200, 100)
    assert unbalanced(status, door=False) == []
    assert any(b"somebody-else" in path.read_bytes() for path in (engine.folder / "data").iterdir())
    code, said = await cli(engine, "trace", "m1")
    assert (code, said.splitlines()[0]) == (
        1,
        "no event with messageId 'm1' is in the log, which reaches back to position 1",
    )
    engine.kill()
    code, said = await cli(engine, "erase", "--user-id", "somebody-else", "--yes")
    assert code == 0, said
    assert not any(b"somebody-else" in path.read_bytes() for path in (engine.folder / "data").iterdir())
