"""WebSocket, both ends: how to open one, and what can be done with it."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence

import httpx
import msgspec
import trio
from wsproto import ConnectionType, WSConnection

from engine.runtime.ended import ABNORMAL, Closed, Refused, TooLarge
from engine.runtime.frames import Connection, ConnectionClosed, Take
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

    def __init__(self, connection: Connection, stream: trio.abc.AsyncResource, bounds: Bounds) -> None:
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

    def divert(self, take: Take | None) -> None:
        """Hand over what comes from now on by calling *take* in the reader's own turn, which saves one; None ends that.

        `receive` then gives what *take* left, and *take* is not called again before the next `divert`. What has come
        already must have been received. For connections made by `accept` only.
        """
        self._connection.take = take

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
        try:
            rest = self._connection.send_at_once(message)
        except ConnectionClosed:
            await self._drop()
            raise self._over() from None
        if rest:
            await self._push(rest)

    async def _push(self, rest: bytes) -> None:
        sent = False
        try:
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

    def post(self, message: str) -> bool:
        """Send *message* without waiting; return False if `flush` must follow, for the peer takes nothing right now.

        For connections made by `accept` only; one that is over swallows it.
        """
        return self._connection.post(message)

    async def flush(self) -> None:
        """Send what `post` could not; as `send` otherwise."""
        await self._push(b"")

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
    connection = Connection(
        replay,
        WSConnection(ConnectionType.SERVER),
        message_queue_size=bounds.messages,
        max_message_size=bounds.max_message,
        receive_buffer_size=READ_SIZE,
    )
    connection.waiting = bounds.waiting
    replay.before_read = connection.hand_over
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
        connection = Connection(
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
