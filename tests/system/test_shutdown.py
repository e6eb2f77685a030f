"""The end: what SIGTERM promises, and what a start refuses."""

from __future__ import annotations

import signal
import socket

import trio

from engine.client import connect
from engine.messages import Reply
from engine.runtime.beside import Beside
from engine.runtime.websocket import WebSocket
from engine.runtime.websocket import connect as open_socket
from engine.wire import SUBPROTOCOL
from tests.support.child import Child
from tests.support.engine import Running, unbalanced
from tests.support.frames import hold
from tests.support.sink import Sink
from tests.support.standing import ending


async def open_stream(engine: Running, nursery: trio.Nursery) -> WebSocket:
    """Return a WebSocket on which nothing is sent."""
    url = f"{engine.url}/v1/stream?writeKey=key"
    socket = await open_socket(url, nursery=nursery, subprotocols=[SUBPROTOCOL])
    nursery.start_soon(hold, socket._stream)
    return socket


async def send(engine: Running, numbers: range) -> None:
    async with connect(engine.url, "key") as client:
        for number in numbers:
            await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
        await client.flush()


async def test_sigterm_drains_and_the_next_start_goes_on(engine_for, sink: Sink) -> None:
    engine: Running = engine_for()
    await engine.start()
    async with Beside() as nursery:
        socket = await open_stream(engine, nursery)
        async with connect(engine.url, "key", roll=lambda: 0.1) as client:
            for number in range(1000):
                await client.track("u1", "Seen", {"n": number}, messageId=f"m{number}")
            await sink.took(100)
            engine.child.signal(signal.SIGTERM)
            code, reason = await ending(socket)
            exit_code = await engine.ended()
            await engine.start()
            await client.flush()
    status = await engine.settled()

    assert (code, reason, exit_code) == (1001, "draining; connect again", 0)
    assert sink.taken == set(range(1000))
    assert len(sink.arrivals) == 1000  # an orderly end repeats nothing
    assert (status.last, status.syncs[0].delivered) == (1000, 1000)
    assert unbalanced(status, door=False) == []


async def test_a_request_in_flight_is_finished_before_the_end(engine_for, sink: Sink) -> None:
    engine: Running = engine_for()
    await engine.start()
    asked, go_on = trio.Event(), trio.Event()
    sink.before = asked.set, go_on.wait
    await send(engine, range(1))
    await asked.wait()
    engine.child.signal(signal.SIGTERM)
    go_on.set()

    assert await engine.ended() == 0
    await engine.start()
    status = await engine.settled()
    assert status.syncs[0].delivered == 1
    assert len(sink.arrivals) == 1


async def test_a_second_sigterm_ends_it_at_once(engine_for, sink: Sink) -> None:
    engine: Running = engine_for('timeout = "60s"')
    await engine.start()
    sink.judge = lambda _body: None
    await send(engine, range(10))
    await sink.asked(1)
    async with Beside() as nursery:
        socket = await open_stream(engine, nursery)
        engine.child.signal(signal.SIGTERM)
        await ending(socket)  # it drains: two signals at once would be one
    began = trio.current_time()
    code = await engine.terminate()

    assert code == 0
    assert trio.current_time() - began < 3.0
    sink.judge = lambda _body: Reply(status=200)
    await engine.start()
    await engine.settled()
    assert sink.taken == set(range(10))


async def test_a_dead_destination_does_not_hold_up_the_end(engine_for, sink: Sink) -> None:
    engine: Running = engine_for('breaker = { failures = 5, probe = "60s" }\nretry = { backoff = "1s..1s" }')
    await engine.start()
    sink.down()
    await send(engine, range(500))
    began = trio.current_time()
    code = await engine.terminate()

    assert code == 0
    assert trio.current_time() - began < 8.0
    sink.up()
    await engine.start()
    status = await engine.settled()
    assert sink.taken == set(range(500))
    assert unbalanced(status, door=False) == []


async def test_a_port_that_is_taken_is_told(engine_for, sink: Sink) -> None:
    engine: Running = engine_for()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        engine.receiver = f"127.0.0.1:{taken.getsockname()[1]}"
        child = await refused(engine)

    assert child.wait() == 1
    assert child.errors() == (
        f"cannot listen on {engine.receiver}: Address already in use\n"
        "    stop who listens there, or change [receiver] listen\n"
    )


async def test_a_console_port_that_is_taken_is_told(engine_for, sink: Sink) -> None:
    engine: Running = engine_for()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        engine.console = f"127.0.0.1:{taken.getsockname()[1]}"
        child = await refused(engine)

    assert child.wait() == 1
    assert child.errors() == (
        f"cannot listen on {engine.console}: Address already in use\n"
        "    stop who listens there, or change [console] listen\n"
    )


async def test_a_store_that_another_engine_uses_is_told(engine_for, sink: Sink) -> None:
    engine: Running = engine_for()
    await engine.start()
    second: Running = engine_for()
    second.folder = engine.folder
    child = await refused(second)

    assert (child.wait(), child.errors()) == (
        1,
        f"data/lock: the store is used by process {engine.child.pid}; stop it, or use another folder\n",
    )
    assert (await engine.status()).running


async def refused(engine: Running) -> Child:
    """Return the process of an engine that does not start."""
    try:
        await engine.start()
    except AssertionError:
        return engine.child
    raise AssertionError("it started")
