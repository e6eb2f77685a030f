"""A receiver of the WebSocket protocol that plays a script: one script per connection, in the order they come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import trio

from engine.runtime.beside import Beside
from engine.runtime.websocket import Closed, WebSocket, accept
from engine.wire import SUBPROTOCOL, Ack, Ready, Refused

Part = Callable[["Ear"], Awaitable[None]]


class Ear:
    """The receiver's end of one connection."""

    def __init__(self, socket: WebSocket, head: bytes) -> None:
        self.socket = socket
        self.head = head
        self.read = 0

    async def ready(self, **limits: int) -> None:
        """Say that the key was good."""
        await self.socket.send(msgspec.json.encode(Ready(source="shop", **limits)).decode())

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """Return the next events, at least *count*."""
        events: list[dict[str, Any]] = []
        while len(events) < count:
            events += msgspec.json.decode(await self.socket.receive())["batch"]
        self.read += len(events)
        return events

    async def ack(self, upto: int | None = None, *refused: Refused) -> None:
        """Acknowledge up to *upto*, or all that was heard."""
        upto = self.read if upto is None else upto
        await self.socket.send(msgspec.json.encode(Ack(upto=upto, refused=refused)).decode())


class Receiving:
    """A server on 127.0.0.1; connections beyond the last script are closed at once, and counted."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.connections = 0
        self.port = 0
        self._parts = iter(parts)

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"ws://127.0.0.1:{self.port}"

    async def serve(self, task_status: trio.TaskStatus[Receiving] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; ``nursery.start`` returns this once it listens."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started(self)
        await trio.serve_listeners(self._play, listeners)

    async def _play(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        part = next(self._parts, None)
        try:
            if part is not None:
                await self._listen(stream, part)
        except (Closed, trio.BrokenResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _listen(self, stream: trio.SocketStream, part: Part) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some() or b"\r\n\r\n"
        async with Beside() as nursery:
            socket = await accept(stream, head, nursery=nursery, subprotocols=[SUBPROTOCOL])
            await part(Ear(socket, head))
