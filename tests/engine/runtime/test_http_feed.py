from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from engine.runtime.http_server import Limits, Request, Response, Service, serve

Send = Callable[[bytes], Awaitable[None]]


class Fountain:
    """A service whose answer is a feed of the test's own making."""

    def __init__(self, feed: Callable[[Send], Awaitable[None]]) -> None:
        self.feed = feed
        self.stop = trio.Event()
        self.crashes: list[Exception] = []
        self.ended = trio.Event()

    async def answer(self, request: Request) -> Response:
        return Response(status=200, headers=[("content-type", "text/plain")], feed=self._watched)

    async def _watched(self, send: Send) -> None:
        try:
            await self.feed(send)
        finally:
            self.ended.set()

    async def connect(self, nursery: trio.Nursery, write: float = 30.0) -> trio.SocketStream:
        service = Service(handler=self.answer, crashed=self.crashes.append, limits=Limits(write=write))
        port = await nursery.start(partial(serve, "127.0.0.1", 0, service, stop=self.stop))
        return await trio.open_tcp_stream("127.0.0.1", port)


async def everything(stream: trio.SocketStream) -> bytes:
    async with stream:
        return b"".join([part async for part in stream])


async def ask(stream: trio.SocketStream, method: bytes = b"GET") -> None:
    await stream.send_all(method + b" / HTTP/1.1\r\nhost: x\r\n\r\n")


async def two_parts(send: Send) -> None:
    await send(b"one")
    await send(b"two")


async def first_and_no_more(send: Send) -> None:
    await send(b"one")
    await trio.sleep_forever()


async def without_end(send: Send) -> None:
    while True:
        await send(b"x" * 65536)


async def test_a_feed_is_sent_part_by_part_and_ends_its_connection(nursery):
    fountain = Fountain(two_parts)
    stream = await fountain.connect(nursery)
    await ask(stream)

    head, _, body = (await everything(stream)).partition(b"\r\n\r\n")

    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    assert b"connection: close" in head.lower()
    fountain.stop.set()


async def test_a_head_of_a_feed_has_no_body(nursery):
    fountain = Fountain(first_and_no_more)
    stream = await fountain.connect(nursery)
    await ask(stream, b"HEAD")

    assert (await everything(stream)).endswith(b"\r\n\r\n")
    fountain.stop.set()


@pytest.mark.parametrize("feed", [first_and_no_more, without_end])
async def test_a_client_that_goes_ends_the_feed(nursery, feed):
    fountain = Fountain(feed)
    stream = await fountain.connect(nursery)
    await ask(stream)
    await stream.receive_some()

    await stream.aclose()

    await fountain.ended.wait()
    fountain.stop.set()
    assert fountain.crashes == []


@pytest.mark.parametrize("feed", [first_and_no_more, without_end])
async def test_a_stop_ends_the_feed_of_a_client_that_does_not_read(nursery, feed):
    fountain = Fountain(feed)
    stream = await fountain.connect(nursery)
    await ask(stream)

    fountain.stop.set()

    await fountain.ended.wait()
    assert fountain.crashes == []
    await stream.aclose()


async def test_a_client_that_does_not_read_is_hung_up_on(nursery):
    fountain = Fountain(without_end)
    stream = await fountain.connect(nursery, write=0.05)
    await ask(stream)

    await fountain.ended.wait()

    fountain.stop.set()
    assert fountain.crashes == []
    await stream.aclose()
