"""Whoever abuses the door is refused with a reason; the others' events keep flowing, and memory stays bounded."""

from __future__ import annotations

import gzip
import json
import re
import resource
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.client import connect
from tests.support.engines import Engine

GROWTH = 160 << 20
"""Bytes by which the engine may grow under attack: a few bodies of 16 MiB, and what the allocator keeps of them."""
HALF_OPEN = 5000
IDLE = 48 << 10
"""Bytes that an idle WebSocket holds, at most."""

KEY = b"Authorization: Bearer shop-key\r\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    running = Engine(tmp_path_factory.mktemp("engine"), "shop", "steady")
    yield running
    running.end()


def memory(engine: Engine, what: str) -> int:
    status = Path(f"/proc/{engine.child.pid}/status").read_text()
    (kilobytes,) = re.findall(rf"{what}:\s+(\d+) kB", status)
    return int(kilobytes) << 10


def anew(engine: Engine) -> int:
    """Return what memory the engine has now, and let its highest mark begin there."""
    Path(f"/proc/{engine.child.pid}/clear_refs").write_text("5")
    return memory(engine, "VmRSS")


def post(body: bytes, headers: bytes = KEY) -> bytes:
    return b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), headers, body)


async def answer(engine: Engine, request: bytes) -> tuple[int, dict[str, Any]]:
    """Return status and body of what is answered to *request*, however it ends."""
    async with await trio.open_tcp_stream("127.0.0.1", engine.port) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(_send, stream, request)
        said = b""
        with trio.move_on_after(15):
            while not (b"\r\n\r\n" in said and said.endswith(b"}")):
                try:
                    data = await stream.receive_some(65536)
                except trio.BrokenResourceError:
                    break
                if not data:
                    break
                said += data
        nursery.cancel_scope.cancel()
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):  # it was refused before it had said all
        await stream.send_all(data)


@asynccontextmanager
async def steady(engine: Engine, growth: int = GROWTH) -> Any:
    """Let an honest client send all the while, one event after the other; what is acknowledged is in the store."""
    acked = 0
    over = trio.Event()

    async def send(done: trio.Event) -> None:
        nonlocal acked
        async with connect(engine.url, "steady-key") as client:
            while not over.is_set():
                await client.track("u1", "tick", {})
                await client.flush()
                acked += 1
        done.set()

    before, earlier = anew(engine), len(engine.accepted("steady"))
    async with trio.open_nursery() as nursery:
        done = trio.Event()
        nursery.start_soon(send, done)
        yield lambda: acked
        over.set()
        await done.wait()
    assert acked > 20
    assert len(engine.accepted("steady")) - earlier == acked
    assert memory(engine, "VmHWM") - before < growth


async def at_once(engine: Engine, count: int, request: bytes) -> set[tuple[int, str]]:
    """Return what *count* clients are answered that send *request* together."""
    seen: set[tuple[int, str]] = set()

    async def one() -> None:
        status, body = await answer(engine, request)
        assert body["message"]
        seen.add((status, body["code"]))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(one)
    return seen


def event(properties: bytes) -> bytes:
    return b'{"type":"track","event":"x","userId":"u1","properties":{"a":%b}}' % properties


DEEP = b"[" * 1_000_000 + b"]" * 1_000_000
BOMB = gzip.compress(bytes(200 << 20), 9)
ATTACKS = {
    "bombs": (20, post(BOMB, KEY + b"Content-Encoding: gzip\r\n"), (400, "too_large")),
    "deep JSON": (20, post(b'{"batch":' + DEEP + b"}"), (400, "invalid_request")),
    "a deep event": (20, post(b'{"batch":[%b]}' % event(b"[" * 150 + b"]" * 150)), (400, "too_deep")),
    "a body of 1 GB": (20, post(b"")[:-2].replace(b": 0", b": 1073741824") + b"\r\nxxxx", (400, "too_large")),
    "endless chunks": (
        20,
        post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"10000\r\n%b\r\n" % bytes(65536) * 80,
        (400, "too_large"),
    ),
    "a flood of headers": (20, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 9000, (431, "head_too_large")),
    "a long header": (20, b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * 40_000, (431, "head_too_large")),
    "garbage": (200, bytes(range(256)) * 4, (400, "bad_request")),
    "TLS without being asked": (50, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), (400, "bad_request")),
    "invalid UTF-8": (20, post(b'{"batch":[%b]}' % event(b'"\xff\xfe"')), (400, "bad_request")),
    "NaN": (20, post(b'{"batch":[%b]}' % event(b"NaN")), (400, "invalid_request")),
    "Infinity": (20, post(b'{"batch":[%b]}' % event(b"-Infinity")), (400, "invalid_request")),
    "a number beyond all": (20, post(b'{"batch":[%b]}' % event(b"1e999")), (400, "bad_request")),
    "a number of 20,000 digits": (20, post(b'{"batch":[%b]}' % event(b"9" * 20_000)), (400, "bad_request")),
    "two million items": (5, post(b'{"batch":[' + b"1," * 2_000_000 + b"1]}"), (400, "invalid_request")),
    "a million empty items": (5, post(b'{"batch":[' + b"{}," * 1_000_000 + b"{}]}"), (400, "invalid_request")),
    "five million items in a bomb": (
        5,
        post(gzip.compress(b'{"batch":[' + b"{}," * 5_000_000 + b"{}]}"), KEY + b"Content-Encoding: gzip\r\n"),
        (400, "invalid_request"),
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_with_a_reason_and_others_go_on(engine: Engine, attack: str) -> None:
    count, request, told = ATTACKS[attack]
    async with steady(engine):
        assert await at_once(engine, count, request) == {told}
        await trio.sleep(0.3)


def needs_files(count: int) -> None:
    """Skip the test if so many sockets cannot be open here."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        pytest.skip(f"{count} sockets are needed, ulimit -n allows {soft}")


async def test_half_open_connections_hold_little_and_nobody_up(engine: Engine) -> None:
    needs_files(HALF_OPEN)
    streams: list[trio.SocketStream] = []
    async with steady(engine) as acked:
        before = memory(engine, "VmRSS")
        for number in range(HALF_OPEN):
            stream = await trio.open_tcp_stream("127.0.0.1", engine.port)
            await stream.send_all((b"", b"POST /v1/ba", b"POST /v1/batch HTTP/1.1\r\nHost: x\r\n")[number % 3])
            streams.append(stream)
        then = acked()
        await trio.sleep(1.0)
        assert acked() - then > 20
        assert (memory(engine, "VmRSS") - before) / HALF_OPEN < 24_000
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def test_a_flood_leaves_room_for_a_trickle(engine: Engine) -> None:
    """Reading is fair: while one connection floods, what another sends is durable after a few of the flood's bites."""
    done = 0
    waited: list[int] = []
    earlier = len(engine.accepted("steady"))
    over = trio.Event()

    async def flood() -> None:
        nonlocal done
        async with connect(engine.url, "shop-key") as client:
            while not over.is_set():
                await client.track("u1", "flood", {})
                done = client.statistics().acked

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        async with connect(engine.url, "steady-key") as client:
            for _ in range(50):
                began = done
                await client.track("u1", "trickle", {})
                await client.flush()
                waited.append(done - began)
        over.set()

    assert done > 1000
    assert sorted(waited)[25] <= 2000  # a window of the flood's
    assert len(engine.accepted("steady")) - earlier == 50


@pytest.mark.full
async def test_ten_thousand_idle_streams_hold_what_is_stated(engine: Engine) -> None:
    count = 9_900
    needs_files(count)
    handshake = (
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + KEY + b"\r\n"
    )
    streams: list[trio.SocketStream] = []
    async with steady(engine, growth=IDLE * count + GROWTH):
        before = memory(engine, "VmRSS")
        for _ in range(count):
            stream = await trio.open_tcp_stream("127.0.0.1", engine.port)
            await stream.send_all(handshake)
            streams.append(stream)
            said = b""
            while b"ready" not in said:
                said += await stream.receive_some(4096)
        assert (memory(engine, "VmRSS") - before) / count < IDLE
        for stream in streams:
            await trio.aclose_forcefully(stream)
