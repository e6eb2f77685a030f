"""One WebSocket connection's frames: the only file that knows trio-websocket, and that it is 0.12.

Its public calls cost twice the time per message, close with 1009 where this house says 4413, hang when a handshake
fails in the middle, and let a ping that meets our own close kill the nursery. So `Connection` overrides two of its
private methods and reads some private attributes, which is why pyproject.toml holds it below 0.13.
"""

from __future__ import annotations

from collections.abc import Callable

import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.utilities import LocalProtocolError

from engine.runtime.ended import Refused
from engine.runtime.replay import ReplayStream

__all__ = ["Connection", "ConnectionClosed", "Take"]

HANDED = 64
"""Messages that are handed over together at most, before others have their turn."""

Take = Callable[[list[str | bytes]], int]
"""Takes as many of some messages as it can without waiting, and returns how many, from the first."""


class Connection(WebSocketConnection):
    """trio-websocket's connection with another end of the reader.

    Attributes:
        waiting: bytes that may wait to be received.
        oversize: a message was too large: it and all after it are read and dropped.
        opened: the handshake had succeeded when it ended.
        ended: nothing is read any more.
        refusal: why it did not.
        take: gets what comes, instead of who receives; see `WebSocket.divert`.
    """

    waiting = 0
    oversize = False
    opened = False
    ended = False
    refusal: Refused | None = None
    take: Take | None = None

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._fresh: list[str | bytes] = []
        self._held = 0
        self._room = trio.Event()

    async def run(self) -> None:
        """Read until the connection is over; whoever waits for a handshake then learns that there is none."""
        try:
            await self._reader_task()
        except ConnectionRejected as error:
            body = error.body or b""
            self.refusal = Refused(f"the server answered {error.status_code}", error.status_code, body)
        except (LocalProtocolError, h11.LocalProtocolError):
            # A ping came after our own close, or a server's handshake was none: there is nothing to say any more.
            await self._abort_web_socket()
        finally:
            self.ended = True
            self.opened = self._open_handshake.is_set()
            self._open_handshake.set()
            if self._connection_proposal is not None:
                self._connection_proposal.set_value(None)  # type: ignore[arg-type]

    def took(self, message: str | bytes) -> None:
        """Note that *message* waits no longer."""
        self._held -= len(message)
        self._room.set()

    def let_go(self) -> None:
        """Stop holding the reader back: what it still brings goes nowhere."""
        self.waiting = 1 << 62
        self._room.set()

    def send_at_once(self, message: str | bytes) -> bytes:
        """Send *message* as far as the kernel takes it now, and return the rest of its frame.

        Raises:
            ConnectionClosed: it is closed, or being closed.
        """
        if self._close_reason:
            raise ConnectionClosed(self._close_reason)
        data = self._wsproto.send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))
        if self._stream_lock.locked() or not isinstance(self._stream, ReplayStream):
            return data
        return data[self._stream.write_at_once(data) :]

    def post(self, message: str) -> bool:
        """Send *message* as far as the kernel takes it now; return whether there is nothing left to `send_rest`."""
        if self._close_reason or self._wsproto.state is not ConnectionState.OPEN:
            return True
        data = self._wsproto.send(TextMessage(message))
        assert isinstance(self._stream, ReplayStream)
        if self._stream_lock.locked():
            self._stream.keep(data)
            return False
        return self._stream.post(data)

    async def send_rest(self, data: bytes) -> None:
        """Send what `send_at_once` or `post` could not.

        Raises:
            ConnectionClosed: the peer went.
        """
        async with self._stream_lock:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await self._abort_web_socket()
                assert self._close_reason is not None
                raise ConnectionClosed(self._close_reason) from None

    async def _handle_message_event(self, event: TextMessage | BytesMessage) -> None:
        if self.oversize:
            return
        data = event.data
        self._message_size += len(data) if isinstance(data, bytes | bytearray) or data.isascii() else len(data.encode())
        if self._message_size > self._max_message_size:
            self.oversize = True
            self._message_parts = []
            await self.hand_over()
            await self._send_channel.aclose()
            return
        self._message_parts.append(data)  # type: ignore[arg-type]
        if event.message_finished:
            parts, self._message_parts, self._message_size = self._message_parts, [], 0
            message = "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)  # type: ignore[arg-type]
            await self._deliver(message)

    async def hand_over(self) -> None:
        """Give what came to who takes it at once; what is left waits to be received."""
        if not self._fresh:
            return
        fresh, self._fresh = self._fresh, []
        taken = self.take(fresh) if self.take is not None else 0
        if taken < len(fresh):
            self.take = None
            for message in fresh[taken:]:
                await self._hold(message)

    async def _deliver(self, message: str | bytes) -> None:
        if self.take is None and not self._fresh:
            await self._hold(message)
            return
        self._fresh.append(message)
        if len(self._fresh) >= HANDED:
            await self.hand_over()

    async def _hold(self, message: str | bytes) -> None:
        """Let *message* wait to be received, as soon as there is room."""
        self._held += len(message)
        while self._held > self.waiting and self._held > len(message):
            self._room = trio.Event()
            await self._room.wait()
        try:
            self._send_channel.send_nowait(message)
        except trio.WouldBlock:
            try:
                await self._send_channel.send(message)
            except trio.BrokenResourceError:
                return  # closed by us while it waited
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return  # closed by us: nobody wants it

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        await self.hand_over()
        if self._wsproto.state is ConnectionState.OPEN:
            # Not a close frame: wsproto says so when it cannot read what came. trio-websocket only hangs up then;
            # the peer is told why (RFC 6455, section 7.1.7).
            await self._send(CloseConnection(code=event.code, reason=event.reason))
        await super()._handle_close_connection_event(event)
