"""A disk that is really full, under a real engine: nothing acknowledged is lost, and it goes on by itself."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import trio

from engine.messages import Reply
from tests.support.engine import Running, unbalanced
from tests.support.small_disk import SmallDisk

MIB = 1 << 20
STORE = """
[store]
reserve = "6 MiB"
"""
PATIENT = 'retry = { backoff = "50ms..500ms" }\nbreaker = { failures = 1_000_000, ratio = 1.0, probe = "50ms" }'
BULK = "x" * 10_000

Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def on_a_disk_of(engine_for) -> Iterator[Callable[[int], tuple[Running, SmallDisk]]]:
    """Return what makes an engine whose data folder is a disk of so many bytes."""
    mounted: list[SmallDisk] = []

    def make(size: int) -> tuple[Running, SmallDisk]:
        engine = engine_for(PATIENT, head=STORE)
        (engine.folder / "data").mkdir()
        mounted.append(SmallDisk(engine.folder / "data", size))
        return engine, mounted[-1]

    yield make
    for disk in mounted:
        disk.unmount()


def asked(address: str, method: str, path: str, body: Any = None) -> Answer:
    """Return status and body of one answer."""
    connection = http.client.HTTPConnection(address, timeout=30)
    key = base64.b64encode(b"key:").decode()
    try:
        connection.request(method, path, msgspec.json.encode(body), {"Authorization": f"Basic {key}"})
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    finally:
        connection.close()


async def post(engine: Running, numbers: range) -> Answer:
    """Send these numbers in one batch."""
    batch = [
        {
            "type": "track",
            "event": "Seen",
            "userId": "u",
            "messageId": f"m{number}",
            "properties": {"n": number, "bulk": BULK},
        }
        for number in numbers
    ]
    return await trio.to_thread.run_sync(asked, engine.receiver, "POST", "/v1/batch", {"batch": batch})


async def health(engine: Running) -> tuple[Answer, Answer]:
    """Return what both ports say of the engine's health."""
    ports = (engine.receiver, engine.console)
    first, second = [await trio.to_thread.run_sync(asked, port, "GET", "/healthz") for port in ports]
    return first, second


async def told(engine: Running, words: str) -> None:
    """Wait until *words* are in its log; a line that is written to a file wakes nobody, so this looks again."""
    with trio.fail_after(30):
        while words not in engine.child.errors():  # noqa: ASYNC110 - as above
            await trio.sleep(0.05)


async def filled(engine: Running) -> tuple[int, Answer]:
    """Send until nothing more is accepted; return the last number that was acknowledged, and the refusal."""
    last = 0
    while True:
        answer = await post(engine, range(last + 1, last + 51))
        if answer[0] != 200:
            return last, answer
        last += 50


async def test_a_disk_with_the_reserve_left_takes_outcomes_and_no_events(on_a_disk_of, sink):
    engine, disk = on_a_disk_of(24 * MIB)
    await engine.start()

    last, (status, refusal) = await filled(engine)

    assert last > 200
    assert (status, refusal["code"]) == (503, "store_full")
    assert refusal["message"].endswith(f"bytes left, and {6 * MIB} are the reserve; make room on the disk")
    for status, said in await health(engine):
        assert (status, said["code"]) == (503, "store_full")
    done = await engine.settled()
    assert done.full
    assert (done.last, done.syncs[0].delivered) == (last, last)
    assert unbalanced(done) == []

    engine.kill()
    await engine.start()  # what is left of the disk is enough to start again
    assert (await post(engine, range(last + 1, last + 2)))[0] == 503
    disk.resize(64 * MIB)
    assert (await post(engine, range(last + 1, last + 51)))[0] == 200
    assert [status for status, _ in await health(engine)] == [200, 200]
    again = await engine.settled()
    assert unbalanced(again, door=False) == []
    assert sink.taken == set(range(1, last + 51))
    assert len({arrival.key for arrival in sink.arrivals}) == last + 50


async def test_a_disk_without_a_byte_left_loses_nothing_and_goes_on_when_there_is_room(on_a_disk_of, sink):
    engine, disk = on_a_disk_of(24 * MIB)
    sink.judge = lambda _body: Reply(status=503)
    await engine.start()
    assert (await post(engine, range(1, 101)))[0] == 200
    await sink.asked(100)

    ballast = await trio.to_thread.run_sync(disk.fill)
    assert disk.free == 0
    assert (await post(engine, range(101, 151)))[0] == 503
    sink.judge = lambda _body: Reply(status=200)
    await told(engine, "store.full")
    assert (await post(engine, range(101, 151)))[0] == 503
    ballast.unlink()
    assert (await post(engine, range(101, 151)))[0] == 200
    status = await engine.settled()

    assert unbalanced(status) == []
    assert sink.taken == set(range(1, 151))
    taken = [arrival for arrival in sink.arrivals if arrival.status == 200]
    assert len(taken) == 150  # nobody crashed, so nothing that arrived was sent again
