"""A WebSocket peer that speaks in single frames, so that it can also speak badly."""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from wsproto import frame_protocol

from engine.runtime.websocket import Closed, WebSocket, accept

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = b"\x01\x02\x03\x04"
HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = True) -> bytes:
    """Return one frame as a client sends it."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    else:
        length = b"\x7e" + struct.pack("!H", size) if size <= 0xFFFF else b"\x7f" + struct.pack("!Q", size)
    first = bytes([(0x80 if fin else 0) | opcode])
    if not masked:
        return first + length + payload
    hidden = frame_protocol.XorMaskerSimple(KEY).process(bytearray(payload))
    return first + bytes([length[0] | 0x80]) + length[1:] + KEY + hidden


def closing(code: int, reason: str = "") -> bytes:
    """Return the payload of a close frame."""
    return struct.pack("!H", code) + reason.encode()


class Client:
    """The client's end of a connection to our server."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def say(self, data: bytes) -> None:
        """Send *data* as it is."""
        await self.stream.send_all(data)

    async def upgrade(self, *headers: bytes, then: bytes = b"") -> bytes:
        """Make the handshake, *then* in the same write, and return the head of the reply."""
        await self.say(HANDSHAKE % b"".join(header + b"\r\n" for header in headers) + then)
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head

    async def hear(self) -> tuple[int, bytes] | None:
        """Return opcode and payload of the next frame; None at the end."""
        try:
            first, size = await self._take(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self._take(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", await self._take(8))
            return first & 0x0F, await self._take(size)
        except EOFError:
            return None

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError
        self._buffer += data


async def visit(nursery: trio.Nursery, handler: Callable[[WebSocket], Awaitable[None]], **options: Any) -> Client:
    """Serve WebSocket with *handler* on a port of its own and return a client that has connected to it."""
    answer = partial(_answer, handler, options)
    listeners: list[trio.SocketListener] = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    stream = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
    nursery.start_soon(hold, stream)
    return Client(stream)


async def hold(stream: trio.abc.AsyncResource) -> None:
    """Close *stream* when the test is over."""
    async with stream:
        await trio.sleep_forever()


async def _answer(
    handler: Callable[[WebSocket], Awaitable[None]], options: dict[str, Any], stream: trio.SocketStream
) -> None:
    head = b""
    async with trio.open_nursery() as nursery:
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        try:
            websocket = await accept(stream, head, nursery=nursery, **options)
        except Closed:
            return
        await handler(websocket)
        await websocket.close()
