from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio

from engine.runtime.clock import TrioClock
from engine.runtime.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        yield line


def heard(manager: socket.socket) -> list[str]:
    """Return all that was told so far."""
    found = []
    while True:
        try:
            found.append(manager.recv(4096).decode())
        except BlockingIOError:
            return found


async def test_each_state_is_one_datagram(manager, autojump_clock):
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()}, TrioClock(0.0))

    notifier.ready()
    notifier.reloading()
    notifier.ready()
    notifier.stopping()

    first, reloading, *rest = heard(manager)
    assert first == "READY=1"
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert rest == ["READY=1", "STOPPING=1"]


async def test_the_watchdog_hears_of_us_twice_in_its_time(manager, autojump_clock):
    told = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}

    with trio.move_on_after(21):
        await Notifier(told, TrioClock(0.0)).live()

    assert heard(manager) == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize("more", [{"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, {}])
async def test_a_watchdog_that_is_not_ours_hears_nothing(manager, more):
    await Notifier({"NOTIFY_SOCKET": manager.getsockname()} | more, TrioClock(0.0)).live()

    assert heard(manager) == []


async def test_an_abstract_socket_is_one_too(autojump_clock):
    name = f"headrace-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(f"\0{name}")
        line.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}, TrioClock(0.0)).ready()
        assert heard(line) == ["READY=1"]


async def test_without_a_manager_or_with_one_that_is_gone_nothing_happens(tmp_path: Path):
    Notifier({}, TrioClock(0.0)).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, TrioClock(0.0)).ready()
