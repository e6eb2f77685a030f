"""A running engine takes up changed files, under load, by every way there is, and loses and doubles nothing."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections import Counter
from pathlib import Path

import msgspec
import pytest
import trio

from engine.client import ClientError, connect
from engine.observe.reloaded import Reloaded
from tests.support.child import command
from tests.support.engine import LOOK, Running, unbalanced
from tests.support.sink import Sink

CONFIG = """
[reload]
watch = false
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/in"
allow_private = true
{more}
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""
SECOND = """
[syncs.second]
source = "shop"
destination = "crm"
[[syncs.second.event_types]]
mapping = { n = "properties.n" }
"""


def write(engine: Running, text: str) -> None:
    """Let the engine's configuration be *text*, with the address at which it can be asked."""
    (engine.folder / "config.toml").write_text(
        f'[receiver]\nlisten = "{engine.receiver}"\n[console]\nlisten = "{engine.console}"\n'
        f'[sources.shop]\nwrite_keys = ["key"]\n{text}'
    )


def posted(engine: Running) -> Reloaded:
    """Ask the engine itself, which is quicker than a command."""
    connection = http.client.HTTPConnection(engine.console, timeout=60)
    try:
        connection.request("POST", "/api/v1/reload")
        return msgspec.json.decode(connection.getresponse().read(), type=Reloaded)
    finally:
        connection.close()


async def command_of(engine: Running, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run one command beside the engine."""
    return await trio.to_thread.run_sync(command, argv, engine.folder)


async def until(engine: Running, syncs: list[str]) -> None:
    """Return when the engine has just these syncs; only its status says when a reload is over that nobody waits for."""
    with trio.fail_after(30):
        while True:
            status = await engine.status()
            if [sync.name for sync in status.syncs] == syncs:
                return
            await trio.sleep(LOOK)


async def load(url: str, sent: list[int], over: trio.Event) -> None:
    """Send events until *over*, and say how many."""
    async with connect(url, "key") as client:
        while not over.is_set():
            for _ in range(20):
                await client.track("u1", "Seen", {"n": len(sent)}, messageId=f"m{len(sent)}")
                sent.append(len(sent))
            await trio.sleep(0.005)
        await client.flush()


@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.full)])
async def test_reloads_under_load_lose_nothing_double_nothing_and_restart_nobody(
    tmp_path: Path, sink: Sink, times: int
) -> None:
    engine = Running(tmp_path, CONFIG.format(port=sink.port, more=""))
    await engine.start()
    sent: list[int] = []
    over = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, engine.url, sent, over)
            for number in range(times):
                write(engine, CONFIG.format(port=sink.port, more=f"concurrency = {1 + number % 4}"))
                made = await trio.to_thread.run_sync(posted, engine)
                assert made.refused == ""
            over.set()
        with trio.fail_after(600):  # more is sent than a busy machine delivers at once
            await sink.took(len(sent))
        status = await engine.settled()

        assert Counter(arrival.number for arrival in sink.arrivals if arrival.status == 200).most_common(1)[0][1] == 1
        assert sink.taken == set(sent)
        assert status.sources[0].duplicate == 0  # the connection held: nothing was sent again
        assert status.restarts == {}
        assert unbalanced(status) == []
    finally:
        engine.kill()


async def test_a_signal_and_a_saved_file_are_heard_and_a_broken_one_is_refused(tmp_path: Path, sink: Sink) -> None:
    plain = CONFIG.format(port=sink.port, more="")
    engine = Running(tmp_path, plain)
    await engine.start()
    try:
        write(engine, plain.replace("watch = false", "watch = true") + SECOND)
        engine.child.signal(signal.SIGHUP)
        await until(engine, ["orders", "second"])
        write(engine, plain.replace('source = "shop"', 'source = "shpo"'))
        refused = await command_of(engine, "reload")
        write(engine, plain.replace("watch = false", "watch = true"))
        await until(engine, ["orders"])  # nobody asked: it was seen
    finally:
        engine.kill()
    assert refused.returncode == 1
    assert "there is no source 'shpo'" in refused.stderr


LAST = 10**9
"""The number of an event that comes after all others."""


def sources(engine: Running, port: int, tables: str, source: str) -> None:
    """Let the engine's configuration have other sources than it began with."""
    text = CONFIG.format(port=port, more="").replace('source = "shop"', f'source = "{source}"')
    head = f'[receiver]\nlisten = "{engine.receiver}"\n[console]\nlisten = "{engine.console}"\n'
    (engine.folder / "config.toml").write_text(head + tables + text)


async def reloaded(engine: Running) -> tuple[str, ...]:
    """Reload, and return what changed."""
    made = await trio.to_thread.run_sync(posted, engine)
    assert made.refused == ""
    return made.changes


async def test_all_sources_may_change_at_once(tmp_path: Path, sink: Sink) -> None:
    engine = Running(tmp_path, CONFIG.format(port=sink.port, more=""))
    await engine.start()
    try:
        async with connect(engine.url, "key") as client:
            await client.track("u1", "Seen", {"n": 1})
            await client.flush()
        await sink.took(1)
        sources(engine, sink.port, '[sources.web]\nwrite_keys = ["web-key"]\n', "web")
        changes = await reloaded(engine)
        async with connect(engine.url, "web-key") as client:
            await client.track("u1", "Seen", {"n": 2})
            await client.flush()
        with trio.fail_after(30):
            await sink.took(2)
        status = await engine.status()
    finally:
        engine.kill()

    assert changes == (
        "source 'shop' is removed",
        "source 'web' is new",
        "sync 'orders' is removed",
        "sync 'orders' is new",
    )
    assert [source.name for source in status.sources] == ["web"]
    assert sink.taken == {1, 2}


async def test_a_write_key_is_changed_without_loss(tmp_path: Path, sink: Sink) -> None:
    engine = Running(tmp_path, CONFIG.format(port=sink.port, more=""))
    await engine.start()
    old: list[int] = []
    over = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, engine.url, old, over)
            for keys in ('["key", "new-key"]', '["new-key", "key"]'):
                sources(engine, sink.port, f"[sources.shop]\nwrite_keys = {keys}\n", "shop")
                assert await reloaded(engine) == ("source 'shop' is changed: write_keys",)
                await sink.took(len(sink.taken) + 20)  # the client with the old key goes on
            over.set()
        async with connect(engine.url, "new-key") as client:
            sources(engine, sink.port, '[sources.shop]\nwrite_keys = ["new-key"]\n', "shop")
            await reloaded(engine)
            await client.track("u1", "Seen", {"n": LAST})
            await client.flush()
        status = await engine.settled()
        with pytest.raises(ClientError):
            async with connect(engine.url, "key") as late:
                await late.opened()
    finally:
        engine.kill()

    assert sink.taken == {*old, LAST}
    assert status.sources[0].duplicate == 0


async def test_what_a_removed_source_had_not_judged_is_dropped_and_says_so(tmp_path: Path, sink: Sink) -> None:
    (tmp_path / "f.py").write_text("def transform_events(events):\n    while True: pass\n")
    stuck = (
        '[sources.web]\nwrite_keys = ["web-key"]\nfunctions = ["f"]\n[functions.f]\nfile = "f.py"\ntimeout = "60s"\n'
    )
    engine = Running(tmp_path, f"{CONFIG.format(port=sink.port, more='')}{stuck}")
    await engine.start()
    try:
        async with connect(engine.url, "web-key") as client:
            for number in range(30):
                await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
            await client.flush()
        sources(engine, sink.port, '[sources.shop]\nwrite_keys = ["key"]\n', "shop")
        changes = await reloaded(engine)
        traced = await command_of(engine, "trace", "m29", "--json")
    finally:
        engine.kill()

    assert changes == ("source 'web' is removed (30 pending not judged yet are dropped: source_removed)",)
    assert '"fate":"dropped","reason":"source_removed"' in traced.stdout
