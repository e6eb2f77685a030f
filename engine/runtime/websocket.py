"""WebSocket, both ends: the only file that knows trio-websocket, and that it is 0.12.

Its public calls cost twice the time per message, close with 1009 where this house says 4413, hang when a handshake
fails in the middle, and let a ping that meets our own close kill the nursery. So `_Connection` overrides two of its
private methods and reads some private attributes, which is why pyproject.toml holds it below 0.13.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence

import h11
import httpx
import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.utilities import LocalProtocolError

from engine.runtime.ended import ABNORMAL, Closed, Refused, TooLarge
from engine.runtime.http_connection import READ_SIZE, Guard, Wire, open_stream
from engine.runtime.mask import quicken
from engine.runtime.replay import ReplayStream

__all__ = ["ABNORMAL", "TOO_LARGE", "Bounds", "Closed", "Refused", "TooLarge", "WebSocket", "accept", "connect"]

TOO_LARGE = 4413
"""The close code for a message above `Bounds.max_message`; ours, after HTTP's 413."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much a connection may hold, and how long it may take.

    Attributes:
        max_message: bytes of one message.
        messages: messages that wait to be received; beyond it, nothing more is read, and pings go unanswered.
        waiting: bytes of such messages.
        open: seconds for TCP, TLS and the handshake together.
        send: seconds for one message to be taken by the peer.
        close: seconds for the peer to answer our close.
    """

    max_message: int = 1024 * 1024
    messages: int = 256
    waiting: int = 8 * 1024 * 1024
    open: float = 10.0
    send: float = 30.0
    close: float = 5.0


class WebSocket:
    """An open connection; made by `accept` or `connect`. One task receives; any may send."""

    def __init__(self, connection: _Connection, stream: trio.abc.AsyncResource, bounds: Bounds) -> None:
        self._connection = connection
        self._stream = stream
        self._bounds = bounds
        self._closed: Closed | None = None

    @property
    def subprotocol(self) -> str | None:
        """What both ends agreed to speak, or None."""
        return self._connection.subprotocol

    @property
    def closed_code(self) -> int | None:
        """The close code, ours or the peer's; None while the connection is open."""
        if self._closed is not None:
            return self._closed.code
        return None if self._connection.closed is None else self._connection.closed.code

    async def receive(self) -> str | bytes:
        """Return the next message. What came before the peer's close can still be received.

        Raises:
            TooLarge: a message is too large, and those before it were received; close now, when all is said.
            Closed: there is none, and none will come.
        """
        connection = self._connection
        try:
            message = await connection._recv_channel.receive()  # noqa: SLF001
        except (trio.ClosedResourceError, trio.EndOfChannel):
            if connection.oversize and self.closed_code is None:
                raise TooLarge(TOO_LARGE, f"a message is larger than {self._bounds.max_message} bytes") from None
            raise self._over() from None
        connection.took(message)
        return message

    def receive_nowait(self) -> str | bytes | None:
        """Return a message that is already here, or None; after the last one, `receive` says why."""
        connection = self._connection
        try:
            message = connection._recv_channel.receive_nowait()  # noqa: SLF001
        except (trio.WouldBlock, trio.ClosedResourceError, trio.EndOfChannel):
            return None
        connection.took(message)
        return message

    async def send(self, message: str | bytes) -> None:
        """Send *message*; waits while the peer takes nothing.

        To be cancelled in here ends the connection: half a frame may be on its way.

        Raises:
            Closed: the connection is over, or the peer took nothing for `Bounds.send` seconds.
        """
        sent = False
        try:
            rest = self._connection.send_at_once(message)
            if not rest:
                sent = True
                return
            with trio.move_on_after(self._bounds.send):
                await self._connection.send_rest(rest)
                sent = True
        except ConnectionClosed:
            raise self._over() from None
        finally:
            if not sent:
                await self._drop()
        if not sent:
            self._closed = self._closed or Closed(ABNORMAL, f"the peer took nothing for {self._bounds.send:g} s")
            raise self._closed

    async def ping(self, seconds: float) -> None:
        """Return when the peer has shown that it is there; messages that come meanwhile can still be received.

        Raises:
            Closed: it has not, for *seconds*; or the connection is over.
        """
        try:
            with trio.move_on_after(seconds):
                await self._connection.ping()
                return
        except ConnectionClosed:
            raise self._over() from None
        self._closed = self._closed or Closed(ABNORMAL, f"the peer did not answer a ping for {seconds:g} s")
        await self._drop()
        raise self._closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say that it is over, wait a bounded time for the answer, and close the stream; harmless when over.

        Args:
            code: 1000 to 1003, 1007 to 1014, or 3000 to 4999; `TOO_LARGE` after `TooLarge`, whatever is given.
            reason: what the peer's user should know; cut at 123 bytes.
        """
        if self._connection.oversize and code != TOO_LARGE:
            code, reason = TOO_LARGE, f"a message is larger than {self._bounds.max_message} bytes"
        if self.closed_code is None:
            self._closed = Closed(code, reason)
        self._connection.let_go()
        with trio.move_on_after(self._bounds.close):
            await self._connection.aclose(code, reason or None)
        await self._drop()

    async def _drop(self) -> None:
        await trio.aclose_forcefully(self._stream)

    def _over(self) -> Closed:
        theirs = self._connection.closed
        if self._closed is not None or theirs is None:
            return self._closed or Closed(ABNORMAL)
        return Closed(theirs.code, theirs.reason or "")


async def accept(
    stream: trio.abc.Stream,
    head: bytes,
    *,
    nursery: trio.Nursery,
    subprotocols: Sequence[str] = (),
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
) -> WebSocket:
    """Answer a request to upgrade that was already read.

    Args:
        stream: where it came from; owned from now on.
        head: everything read from it so far.
        nursery: where the reader task runs; it ends with the connection, and never with an error.
        subprotocols: what we speak, the preferred first; the first that the peer offers is agreed.
        bounds: what the connection may hold and take.

    Raises:
        Closed: the request was not a proper handshake (it was answered with 400), or the peer went.
    """
    quicken()
    replay = ReplayStream(stream, head)
    connection = _Connection(
        replay,
        WSConnection(ConnectionType.SERVER),
        message_queue_size=bounds.messages,
        max_message_size=bounds.max_message,
        receive_buffer_size=READ_SIZE,
    )
    connection.waiting = bounds.waiting
    nursery.start_soon(connection.run)
    with trio.move_on_after(bounds.open):
        request = await connection._get_request()  # noqa: SLF001
        if request is not None:
            offered = request.proposed_subprotocols
            agreed = next((name for name in subprotocols if name in offered), None)
            try:
                await request.accept(subprotocol=agreed)
            except ConnectionClosed:
                raise Closed(ABNORMAL, "the peer went during the handshake") from None
            return WebSocket(connection, replay, bounds)
    await trio.aclose_forcefully(replay)
    raise Closed(ABNORMAL, "the request was not a WebSocket handshake")


async def connect(
    url: str,
    *,
    nursery: trio.Nursery,
    subprotocols: Sequence[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    tls: ssl.SSLContext | None = None,
    bounds: Bounds = Bounds(),  # noqa: B008 - frozen
) -> WebSocket:
    """Open a connection to *url*.

    Args:
        url: starts with ``ws://`` or ``wss://``.
        nursery: where the reader task runs; it ends with the connection, and never with an error.
        subprotocols: what we speak, the preferred first.
        headers: go with the handshake, for example an Authorization.
        tls: for ``wss://``; Python's defaults if None.
        bounds: what the connection may hold and take.

    Raises:
        Refused: nobody there, no TLS, another answer than 101, or none in `Bounds.open` seconds.
    """
    quicken()
    parts = httpx.URL(url)
    with trio.move_on_after(bounds.open):
        stream = await _dial(parts, tls)
        connection = _Connection(
            stream,
            WSConnection(ConnectionType.CLIENT),
            host=parts.netloc.decode("ascii"),
            path=parts.raw_path.decode("ascii"),
            client_subprotocols=subprotocols,
            client_extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            message_queue_size=bounds.messages,
            max_message_size=bounds.max_message,
            receive_buffer_size=READ_SIZE,
        )
        connection.waiting = bounds.waiting
        opened = False
        nursery.start_soon(connection.run)
        try:
            await connection._open_handshake.wait()  # noqa: SLF001
            opened = connection.opened or not connection.ended
        finally:
            if not opened:
                await trio.aclose_forcefully(stream)
        if not opened:
            raise connection.refusal or Refused(f"{parts.host} closed the connection during the handshake")
        return WebSocket(connection, stream, bounds)
    raise Refused(f"{parts.host} did not answer in {bounds.open:g} s")


async def _dial(url: httpx.URL, tls: ssl.SSLContext | None) -> Wire:
    if url.scheme not in {"ws", "wss"}:
        raise Refused(f"the URL must start with ws:// or wss://, not {url.scheme}://")
    try:
        return await open_stream(url, Guard(allow_private=True, tls=tls))
    except httpx.ConnectError as error:
        raise Refused(str(error)) from error


class _Connection(WebSocketConnection):
    """trio-websocket's connection with another end of the reader.

    Attributes:
        waiting: bytes that may wait to be received.
        oversize: a message was too large: it and all after it are read and dropped.
        opened: the handshake had succeeded when it ended.
        ended: nothing is read any more.
        refusal: why it did not.
    """

    waiting = 0
    oversize = False
    opened = False
    ended = False
    refusal: Refused | None = None

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
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

    async def send_rest(self, data: bytes) -> None:
        """Send what `send_at_once` could not.

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
            await self._send_channel.aclose()
            return
        self._message_parts.append(data)  # type: ignore[arg-type]
        if event.message_finished:
            parts, self._message_parts, self._message_size = self._message_parts, [], 0
            message = "".join(parts) if isinstance(event, TextMessage) else b"".join(parts)  # type: ignore[arg-type]
            await self._deliver(message)

    async def _deliver(self, message: str | bytes) -> None:
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
        if self._wsproto.state is ConnectionState.OPEN:
            # Not a close frame: wsproto says so when it cannot read what came. trio-websocket only hangs up then;
            # the peer is told why (RFC 6455, section 7.1.7).
            await self._send(CloseConnection(code=event.code, reason=event.reason))
        await super()._handle_close_connection_event(event)
