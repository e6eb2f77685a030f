"""A service manager is told when the engine accepts events, that it lives, reloads and stops; over a real socket."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest
import trio

from tests.support.child import Child

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
[sources.shop]
write_keys = ["key"]
[destinations.events]
type = "log"
[syncs.everything]
source = "shop"
destination = "events"
[[syncs.everything.event_types]]
mapping = { user = "userId" }
"""


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(60)
        yield line


async def test_a_manager_hears_that_it_is_ready_lives_and_stops(manager, tmp_path: Path):
    (tmp_path / "config.toml").write_text(CONFIG)
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "200000"}
    child = Child(["run"], tmp_path, env=told)
    try:
        heard = [await trio.to_thread.run_sync(manager.recv, 4096) for _ in range(3)]
        assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        child.signal(signal.SIGTERM)
        while heard[-1] == b"WATCHDOG=1":
            heard.append(await trio.to_thread.run_sync(manager.recv, 4096))
        assert heard[-1] == b"STOPPING=1"
        assert await trio.to_thread.run_sync(child.wait) == 0
    finally:
        child.kill()


async def test_a_manager_hears_when_a_reload_begins_and_when_it_is_over(manager, tmp_path: Path):
    (tmp_path / "config.toml").write_text(CONFIG)
    child = Child(["run"], tmp_path, env={"NOTIFY_SOCKET": manager.getsockname()})
    try:
        assert await trio.to_thread.run_sync(manager.recv, 4096) == b"READY=1"
        for text in (CONFIG.replace("user =", "who ="), CONFIG.replace('source = "shop"', 'source = "shpo"')):
            (tmp_path / "config.toml").write_text(text)  # the second is refused, which ends a reload, too
            asked = time.monotonic()
            child.signal(signal.SIGHUP)
            heard = [await trio.to_thread.run_sync(manager.recv, 4096) for _ in range(2)]
            what, _, since = heard[0].partition(b"\nMONOTONIC_USEC=")
            assert [what, heard[1]] == [b"RELOADING=1", b"READY=1"]
            assert asked <= (int(since) + 1) / 1e6 <= time.monotonic()
    finally:
        child.kill()
