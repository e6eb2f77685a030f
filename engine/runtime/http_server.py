"""A small HTTP/1.1 server: h11 on trio streams, and a door for WebSocket on the same port."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

import h11
import msgspec
import trio

from engine.runtime.http_connection import READ_SIZE
from engine.runtime.http_feed import Line
from engine.runtime.http_message import (
    BadRequest,
    Limits,
    Request,
    Response,
    failed,
    json_response,
    understand,
    unpack,
    wants_websocket,
)

__all__ = ["BadRequest", "Limits", "Request", "Response", "Service", "Upgrade", "json_response", "serve"]

LINGER = 2.0
"""Seconds a refused client has to read the answer: closing at once would reset it away with what it still sends."""

NO_CONTENT = frozenset({204, 304})


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """A connection on its way to WebSocket, for `websocket.accept`.

    Attributes:
        request: the handshake, a proper one.
        stream: the connection; closed by the server when the upgrader returns.
        head: everything read from it so far.
        nursery: for tasks of this connection; cancelled when the upgrader returns.
    """

    request: Request
    stream: trio.abc.Stream
    head: bytes
    nursery: trio.Nursery


Handler: TypeAlias = Callable[[Request], Awaitable[Response | None]]
Upgrader: TypeAlias = Callable[[Upgrade], Awaitable[None]]
Refuser: TypeAlias = Callable[[BadRequest, Request | None], Response]


def plainly(bad: BadRequest, _request: Request | None) -> Response:
    """Return the answer to *bad* as it is; what a service does that has no words of its own."""
    return bad.response()


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does.

    Attributes:
        handler: answers one request; requests of one connection are handled one after the other. None hangs up
            without an answer, for clients that take any answer for success.
        crashed: told of an exception out of *handler* (answered with 500) or *upgrade*; the server goes on.
        upgrade: takes over a connection that becomes a WebSocket; without it such a request is one like any other.
        refused: answers what no handler sees; given the request's head, its peer and scheme, if there was one.
        seen: returns the request as it is to be understood, for example by what a proxy says of its client.
        limits: what a client may send.
        tls: the server's certificate; None speaks in the clear.
    """

    handler: Handler
    crashed: Callable[[Exception], None]
    upgrade: Upgrader | None = None
    refused: Refuser = plainly
    seen: Callable[[Request], Request] | None = None
    limits: Limits = Limits()
    tls: ssl.SSLContext | None = None


async def serve(
    host: str,
    port: int,
    service: Service,
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until *stop* is set and every connection has come to its end; cancel to end at once.

    After *stop* nothing is accepted, idle connections are closed, and each request under way is answered with
    ``Connection: close``. A WebSocket is its upgrader's to close.

    Args:
        host: the address to listen on.
        port: 0 for any free one; ``nursery.start`` returns which.
        service: what to do.
        stop: begins the drain.
        task_status: told the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    task_status.started(listeners[0].socket.getsockname()[1])
    await serve_on(listeners, service, stop)


async def serve_on(listeners: list[trio.SocketListener], service: Service, stop: trio.Event) -> None:
    """Serve what *listeners* accept, as `serve` does; they are closed at the end."""
    house = House(service, stop)
    doors = [_Door(listener, house) for listener in listeners]
    try:
        async with trio.open_nursery() as guests:
            async with trio.open_nursery() as doormen:
                doormen.start_soon(partial(trio.serve_listeners, house.receive, doors, handler_nursery=guests))
                await stop.wait()
                doormen.cancel_scope.cancel()
            _close(listeners)
            house.close_idle()
    finally:
        _close(listeners)


def _close(listeners: list[trio.SocketListener]) -> None:
    # Not aclose, which is a checkpoint: cancelled, it would close the first one only.
    for listener in listeners:
        listener.socket.close()


class House:
    """Who is connected, and who of them is idle.

    Args:
        service: what is done for them.
        stop: once set, nobody stays for another request.
    """

    def __init__(self, service: Service, stop: trio.Event) -> None:
        self.service = service
        self.stop = stop
        self.guests = 0
        self._idle: dict[trio.CancelScope, None] = {}  # a dict for its order: the longest idle comes first
        self._room = trio.Event()
        self._wanted = False

    @property
    def full(self) -> bool:
        """Whether one more connection would be too many."""
        return self.guests >= self.service.limits.connections

    async def receive(self, stream: trio.abc.Stream) -> None:
        """Serve one connection that `_Door` let in to its end, and close it."""
        tls = self.service.tls
        try:
            if tls is not None:
                stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
                with trio.fail_after(self.service.limits.head_time):
                    await stream.do_handshake()
            await Conversation(stream, self).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the client went; there is nobody to tell
        except Exception as error:  # noqa: BLE001 - one connection must not end the service of all others
            self.service.crashed(error)
        finally:
            self.guests -= 1
            self._wanted = False
            self._room.set()
            await trio.aclose_forcefully(stream)

    async def room(self) -> None:
        """Return when one more connection may be accepted; the longest idle one, or the next to be idle, must go."""
        while self.full:
            if self._room.is_set():
                self._room = trio.Event()
            self._wanted = True
            for scope in self._idle:
                scope.cancel()
                break
            await self._room.wait()

    async def idle(self, stream: trio.abc.Stream) -> bytes | bytearray:
        """Return the first bytes of the next request; b"" if there will be none."""
        if self.stop.is_set() or self._wanted:
            return b""
        data: bytes | bytearray = b""
        with trio.move_on_after(self.service.limits.idle) as scope:
            self._idle[scope] = None
            try:
                data = await stream.receive_some(READ_SIZE)
            finally:
                del self._idle[scope]
        return data

    def close_idle(self) -> None:
        """End every connection that waits for its next request."""
        for scope in self._idle:
            scope.cancel()


class _Door(trio.abc.Listener[trio.SocketStream]):
    """A listener that lets nobody in while the house is full; who waits, waits with the kernel."""

    def __init__(self, listener: trio.SocketListener, house: House) -> None:
        self._listener = listener
        self._house = house

    async def accept(self) -> trio.SocketStream:
        if self._house.full:
            await trio.lowlevel.wait_readable(self._listener.socket)  # nobody need go before somebody comes
            await self._house.room()
        stream = await self._listener.accept()
        self._house.guests += 1
        return stream

    async def aclose(self) -> None:
        await self._listener.aclose()


class Conversation:
    """One connection: request, response, request, response, one at a time, also when they come at once."""

    def __init__(self, stream: trio.abc.Stream, house: House) -> None:
        self._stream = stream
        self._house = house
        self._service = house.service
        self._limits = house.service.limits
        self._http = h11.Connection(our_role=h11.SERVER, max_incomplete_event_size=self._limits.head)
        self._peer = peer_of(stream)
        self._scheme = "http" if house.service.tls is None else "https"
        self._request: Request | None = None
        self._method = b""
        self._raw = b""

    async def run(self) -> None:
        """Converse until one side closes, or a request could not be understood."""
        try:
            while await self._turn():
                self._http.start_next_cycle()
        except BadRequest as bad:
            # Nothing is awaited in here: the error's traceback holds all that was read, while a client lingers.
            refusal = self._service.refused(bad, self._request)
        else:
            return
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await self._respond(refusal, last=True)
        await self._linger()

    async def _turn(self) -> bool:
        """Answer one request; return whether the connection can carry another."""
        self._request = None
        event = await self._head()
        if event is None:
            return False
        self._method = event.method
        request = understand(event, self._peer, self._scheme)
        self._request = request = request if self._service.seen is None else self._service.seen(request)
        if self._service.upgrade is not None and wants_websocket(request):
            await self._hand_over(request, self._service.upgrade)
            return False
        body = unpack(request, await self._body(request), self._limits.inflated)
        response = await self._handle(msgspec.structs.replace(request, body=body))
        if response is None:
            return False
        await self._respond(response)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            return True
        if self._http.trailing_data[0]:
            await self._linger()
        return False

    async def _head(self) -> h11.Request | None:
        self._raw, ended = self._http.trailing_data
        if not self._raw:
            if ended or not (data := await self._house.idle(self._stream)):
                return None
            self._take(data)
        with trio.move_on_after(self._limits.head_time):
            while (event := self._next()) is h11.NEED_DATA:
                self._take(await self._stream.receive_some(READ_SIZE))
            return event if isinstance(event, h11.Request) else None
        raise BadRequest(408, "timeout", f"the head of the request took longer than {self._limits.head_time:g} s")

    def _take(self, data: bytes | bytearray) -> None:
        self._raw += data
        self._http.receive_data(bytes(data))

    def _next(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise failed(error) from error

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        size = 0
        room = self._limits.body
        if int(request.header("content-length") or 0) > room:
            raise BadRequest(413, "too_large", f"the body is larger than {room} bytes")
        with trio.move_on_after(self._limits.body_time):
            while not isinstance(event := self._next(), h11.EndOfMessage):
                if isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                    size += len(event.data)
                    if size > room:
                        raise BadRequest(413, "too_large", f"the body is larger than {room} bytes")
                else:
                    await self._go_on()
                    self._http.receive_data(bytes(await self._stream.receive_some(READ_SIZE)))
            return b"".join(parts)
        raise BadRequest(408, "timeout", f"the body took longer than {self._limits.body_time:g} s")

    async def _go_on(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            interim = self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            await self._stream.send_all(interim)

    async def _handle(self, request: Request) -> Response | None:
        try:
            return await self._service.handler(request)
        except Exception as error:  # noqa: BLE001 - one request must not end the service of all others
            self._service.crashed(error)
            return json_response(500, {"code": "internal_error", "message": "the server failed; it has been noted"})

    async def _respond(self, response: Response, *, last: bool = False) -> None:
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.headers]
        if response.feed is not None:
            head = h11.Response(status_code=response.status, headers=[*headers, (b"connection", b"close")], reason=b"")
            line = Line(self._stream, self._http, self._limits.write, self._house.stop)
            await line.feed(head, None if self._method == b"HEAD" else response.feed)
            return
        bodiless = response.status in NO_CONTENT
        if not bodiless:
            headers.append((b"content-length", b"%d" % len(response.body)))
        if last or self._house.stop.is_set():
            headers.append((b"connection", b"close"))
        out = [self._http.send(h11.Response(status_code=response.status, headers=headers, reason=b""))]
        if response.body and not bodiless and self._method != b"HEAD":
            out.append(self._http.send(h11.Data(data=response.body)))
        out.append(self._http.send(h11.EndOfMessage()))
        with trio.move_on_after(self._limits.write):
            await self._stream.send_all(b"".join(out))
            return
        raise trio.BrokenResourceError("the client does not read its answer")

    async def _hand_over(self, request: Request, upgrade: Upgrader) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await upgrade(Upgrade(request=request, stream=self._stream, head=self._raw, nursery=nursery))
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went; there is nobody to tell
        except* Exception as errors:  # noqa: BLE001 - one connection must not end the service of all others
            for error in errors.exceptions:
                self._service.crashed(error)

    async def _linger(self) -> None:
        with trio.move_on_after(LINGER):
            if isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
            while await self._stream.receive_some(READ_SIZE):
                pass


def peer_of(stream: trio.abc.Stream) -> str:
    """Return the IP address at the other end, or "" if there is none to tell."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        address = stream.socket.getpeername()
    except OSError:
        return ""
    return str(address[0]) if isinstance(address, tuple) else ""
