"""Alerts: one post per change to a real socket, tried again while nobody takes it, and not repeated after a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.alerts import Alerts
from engine.config.outward import Alerts as Settings
from engine.errors import StoreFull
from engine.observe.alerts import GRACE
from engine.observe.status import DestinationStatus, Status, SyncStatus
from engine.plugin import Secret
from engine.runtime.clock import SystemClock
from engine.signing import Signer
from engine.store.base import Store
from engine.store.opening import open_store
from engine.units import Wait
from tests.support.peer import Line, Peer

NOW = 1_767_225_600.0
SECRET = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


class Watch(SystemClock):
    """A clock that stands in 2026, and whose monotonic time a test moves on."""

    ahead = 0.0

    def wall(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return trio.current_time() + self.ahead


class Ops:
    """Whoever is told: takes or refuses posts on a real socket, and hands them to the test."""

    def __init__(self) -> None:
        self.peer = Peer(iter(lambda: self._take, None))
        self.answers: list[bytes] = []
        self._in, self._out = trio.open_memory_channel[bytes](100)

    async def _take(self, line: Line) -> None:
        request = await line.request()
        await line.say(self.answers.pop(0) if self.answers else b"HTTP/1.1 204 No Content\r\n\r\n")
        await self._in.send(request)

    async def told(self) -> dict[str, Any]:
        body: dict[str, Any] = msgspec.json.decode((await self.raw()).partition(b"\r\n\r\n")[2])
        return body

    async def raw(self) -> bytes:
        with trio.fail_after(20):
            return await self._out.receive()


class Told:
    """An `Alerts` whose engine's status is what the test says, and whoever it tells."""

    def __init__(self, ops: Ops, store: Store) -> None:
        self.ops = ops
        self.clock = Watch()
        self.crm: dict[str, Any] = {}
        self.used = 0
        self._news = trio.Event()
        self.settings: dict[str, Any] | None = {}
        self.alerts = Alerts(self._settings, self._status, store.meta, self.clock)

    async def looked(self, times: int) -> None:
        with trio.fail_after(20):
            while self.used < times:
                await self._news.wait()

    def _settings(self) -> Settings | None:
        if self.settings is None:
            return None
        url = Secret(f"http://127.0.0.1:{self.ops.peer.port}/ops")
        usual: dict[str, Any] = {"url": url, "allow_private": True, "every": Wait("10ms")}
        return Settings(**(usual | self.settings))

    async def _status(self) -> Status:
        self.used += 1
        self._news.set()
        self._news = trio.Event()
        sync = SyncStatus(name="orders", source="shop", destination="crm", last_delivery=NOW)
        crm = DestinationStatus(**({"name": "crm", "state": "closed"} | self.crm))
        return Status(running=True, last=0, used=0, free=1 << 40, syncs=(sync,), destinations=(crm,))


@pytest.fixture
async def ops(nursery) -> Ops:
    made = Ops()
    await nursery.start(made.peer.serve)
    return made


@pytest.fixture
async def store() -> Store:
    return await open_store("memory", Path())


class Full:
    """The facts of a store on a disk that is full to the last byte."""

    def __init__(self) -> None:
        self.asked = 0

    async def get(self, _key: str) -> None:
        await trio.lowlevel.checkpoint()

    async def put(self, _key: str, _value: bytes, _revision: int) -> bool:
        self.asked += 1
        raise StoreFull("there is no room left on the disk")


async def test_on_a_full_disk_a_change_is_told_once_all_the_same(nursery, ops, store, monkeypatch):
    told, full = Told(ops, store), Full()
    monkeypatch.setattr(told.alerts, "meta", full)
    told.crm = {"state": "open", "reason": "x"}
    nursery.start_soon(told.alerts.run)
    first = await ops.told()
    await told.looked(told.used + 3)
    told.crm = {}
    told.clock.ahead = GRACE
    last = await ops.told()

    assert [(one["state"], one["alert"]) for one in (first, last)] == [
        ("raised", "destination_down"),
        ("recovered", "destination_down"),
    ]
    assert full.asked


async def test_a_change_and_its_end_are_told_once(nursery, ops, store):
    told = Told(ops, store)
    nursery.start_soon(told.alerts.run)
    told.crm = {"state": "open", "reason": "20 failures in a row"}
    raised = await ops.told()
    told.clock.ahead = GRACE
    told.crm = {}
    recovered = await ops.told()
    told.crm = {"state": "attention", "reason": "it refuses us"}
    other = await ops.told()

    assert raised | {"id": ""} == {
        "id": "",
        "state": "raised",
        "alert": "destination_down",
        "subject": "crm",
        "text": "destination 'crm' is down (20 failures in a row)",
        "since": NOW,
        "at": NOW,
    }
    assert (recovered["state"], recovered["alert"], recovered["text"]) == (
        "recovered",
        "destination_down",
        "over: destination 'crm' is down (20 failures in a row)",
    )
    assert (other["state"], other["alert"]) == ("raised", "destination_needs_attention")
    assert len({raised["id"], recovered["id"], other["id"]}) == 3


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 Go\r\nLocation: /x\r\n\r\n", b"nonsense\r\n\r\n"],
)
async def test_what_was_not_taken_is_posted_again_with_the_same_id(nursery, ops, store, answer):
    told = Told(ops, store)
    ops.answers = [answer, answer]
    nursery.start_soon(told.alerts.run)
    told.crm = {"state": "open"}
    posts = [await ops.told() for _ in range(3)]
    told.clock.ahead = GRACE
    told.crm = {}

    assert len({post["id"] for post in posts}) == 1
    assert (await ops.told())["state"] == "recovered"


async def test_a_restart_repeats_nothing(nursery, ops, store):
    first = Told(ops, store)
    first.crm = {"state": "open", "reason": "x"}
    async with trio.open_nursery() as life:
        life.start_soon(first.alerts.run)
        await ops.told()
        first.alerts.stop()
    second = Told(ops, store)
    second.crm = {"state": "open", "reason": "y"}
    second.clock.ahead = GRACE
    nursery.start_soon(second.alerts.run)
    second.crm = {"state": "attention", "reason": "z"}

    assert [(await ops.told())["alert"] for _ in range(2)] == ["destination_needs_attention", "destination_down"]


async def test_a_post_is_signed(nursery, ops, store):
    told = Told(ops, store)
    told.settings = {"secret": SECRET}
    nursery.start_soon(told.alerts.run)
    told.crm = {"state": "open"}
    head, _, body = (await ops.raw()).partition(b"\r\n\r\n")
    headers = dict(re.findall(r"(?m)^([\w-]+): ([^\r]*)", head.decode()))

    assert head.startswith(b"POST /ops HTTP/1.1")
    assert headers["webhook-id"] == msgspec.json.decode(body)["id"]
    assert Signer(SECRET).signed(headers.get, NOW, body)


async def test_a_private_address_is_not_posted_to_unless_allowed(nursery, ops, store):
    told = Told(ops, store)
    told.settings = {"allow_private": False}
    nursery.start_soon(told.alerts.run)
    told.crm = {"state": "open"}
    await told.looked(2)
    assert ops.peer.connections == 0
    told.settings = {}

    assert (await ops.told())["alert"] == "destination_down"


async def test_who_wants_no_alerts_is_not_looked_at(nursery, ops, store, autojump_clock):
    told = Told(ops, store)
    told.settings = None
    nursery.start_soon(told.alerts.run)
    await trio.sleep(3600)
    assert told.used == 0
    told.alerts.stop()
    await trio.testing.wait_all_tasks_blocked()

    assert told.used == 0
