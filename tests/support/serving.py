"""Our HTTP server on a port of its own, and ways to talk to it in bytes."""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
import trio.testing

from engine.runtime.http_server import Request, Response, Service, json_response, serve
from tests.support.frames import hold


class Server:
    """A server under test: what it was asked, what crashed in it, and a way to talk to it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.requests: list[Request] = []
        self.crashes: list[Exception] = []
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.held = trio.Event()
        self.port = 0

    async def handler(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path == "/wait":
            await self.held.wait()
        if request.path == "/crash":
            raise ValueError(request.query)
        if request.path == "/bad-header":
            return Response(status=200, headers=[("x", "a\r\nb: c")])
        if request.path == "/empty":
            return Response(status=204)
        return json_response(200, {"got": len(request.body)})

    async def start(self, **options: Any) -> None:
        service = Service(handler=self.handler, crashed=self.crashes.append, **options)
        self.port = await self.nursery.start(partial(self._serve, service))

    async def _serve(self, service: Service, task_status: trio.TaskStatus[int]) -> None:
        await serve("127.0.0.1", 0, service, stop=self.stop, task_status=task_status)
        self.ended.set()

    async def visit(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.nursery.start_soon(hold, stream)
        return stream

    async def tell(self, data: bytes) -> bytes:
        """Send *data* on a new connection and return all that is answered until the server rests."""
        return await tell(await self.visit(), data)


async def tell(stream: trio.SocketStream, data: bytes) -> bytes:
    await stream.send_all(data)
    await trio.testing.wait_all_tasks_blocked()
    return bytes(await stream.receive_some(1_000_000))


async def ended(stream: trio.SocketStream) -> bool:
    """Return whether the server has closed, without waiting for it to."""
    await trio.testing.wait_all_tasks_blocked()
    return stream.socket.is_readable() and await stream.receive_some() == b""


def post(body: bytes = b"{}", path: bytes = b"/v1/track", headers: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (path, len(body), headers, body)


OK2 = b'HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"got":2}'
OK3 = OK2.replace(b":2}", b":3}")
