"""A peer on a real socket that plays a script: one script per connection, in the order they come in."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import trio

Script: TypeAlias = "Callable[[Line], Awaitable[None]]"


class HungUp(Exception):
    """The other side closed while the script waited for it."""


class Line:
    """The peer's end of one connection.

    Args:
        stream: what it speaks over; TLS or not.
        requests: where whole requests are noted.
    """

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream], requests: list[bytes]) -> None:
        self.stream = stream
        self.requests = requests
        self.reads = 0
        self._buffer = b""

    async def request(self) -> bytes:
        """Read one request with a Content-Length (or without a body) and note it."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            await self._more()
        head = self._buffer[:end].lower()
        length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0] or b"0")
        while len(self._buffer) < end + 4 + length:
            await self._more()
        request, self._buffer = self._buffer[: end + 4 + length], self._buffer[end + 4 + length :]
        self.requests.append(request)
        return request

    async def head(self) -> None:
        """Read until the end of a request's head, and leave the rest where it is."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()

    async def say(self, data: bytes) -> None:
        """Send *data* as it is."""
        await self.stream.send_all(data)

    async def drain(self) -> None:
        """Read and forget until the other side closes."""
        while await self.stream.receive_some(65536):
            pass

    async def hush(self) -> None:
        """Send no more, but keep reading possible."""
        assert isinstance(self.stream, trio.SocketStream)
        await self.stream.send_eof()

    def reset(self) -> None:
        """Close so that the other side sees a reset, not an end."""
        assert isinstance(self.stream, trio.SocketStream)
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise HungUp
        self.reads += 1
        self._buffer += data


class Peer:
    """A server on 127.0.0.1 that gives each new connection the next script, and then closes it.

    Connections beyond the last script are closed at once, and counted.

    Args:
        scripts: one per expected connection.
        tls: speaks TLS with it, if given.
    """

    def __init__(self, scripts: Iterable[Script], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self._scripts = iter(scripts)
        self._tls = tls

    async def serve(self, task_status: trio.TaskStatus[Peer] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; ``nursery.start`` returns the peer once it listens."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(self._play, listeners)

    async def _play(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        script = next(self._scripts, None)
        secured = stream if self._tls is None else trio.SSLStream(stream, self._tls, server_side=True)
        try:
            if script is not None:
                await script(Line(secured, self.requests))
        except (HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(secured)


def replying(*replies: bytes, stay: bool = True) -> Script:
    """Return a script that answers one request with each of *replies*, then stays open or closes."""

    async def script(line: Line) -> None:
        for reply in replies:
            await line.request()
            await line.say(reply)
        if stay:
            await trio.sleep_forever()

    return script


async def dead_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens."""
    with trio.socket.socket() as probe:
        await probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
