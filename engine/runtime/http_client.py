"""The HTTP client of the senders: an httpx transport on trio, and the thin call above it.

httpx's own stack costs 570 to 1750 µs of CPU per request, and its pool wakes every waiter for one free connection.
A sender has a fixed number of requests in flight, so each slot owns one `Transport` with one connection: no pool.

No proxies, no HTTP/2, no cookies, no redirects: a destination is one URL, and a redirect is a reply like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ssl import SSLContext
from types import MappingProxyType

import httpx
import msgspec
import trio

from engine.runtime.address import PrivateAddress, Resolver, SystemResolver, system_resolver
from engine.runtime.http_connection import Connection, Guard, Timeouts, dial, tls_context, within
from engine.runtime.http_wire import Ask, RawHeaders, Reply, encode

__all__ = ["MAX_BODY", "Answer", "HttpClient", "PrivateAddress", "Resolver", "Transport", "tls_context"]

MAX_BODY = 1024 * 1024
"""Bytes of a response body that are read when nothing else is said."""

_FOR_EVER = Timeouts()
_LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over one kept connection, for one request at a time; a second request waits for the first.

    A kept connection may have been closed by the peer in the moment it is written to. If not one byte came back, the
    request is sent again, once, on a new connection, whatever its method. For a POST that is a resend the peer may
    see twice; but the engine delivers at least once and would send the same bytes with the same idempotency key after
    its back-off anyway. Set *resend* to False to have the error instead.

    A body is read whole before the response is returned, up to *max_body* bytes; of a longer one the rest is left
    unread, the connection closed, and ``response.extensions["truncated"]`` is True.

    Args:
        allow_private: whether loopback, link-local and private addresses may be reached.
        tls: shared by all transports; made by `tls_context` if None, which costs tens of milliseconds.
        max_body: bytes of a response body, at most.
        resolve: turns names into addresses.
        resend: see above.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        tls: SSLContext | None = None,
        max_body: int = MAX_BODY,
        resolve: Resolver = system_resolver,
        resend: bool = True,
    ) -> None:
        self.phase = "connect"
        self.resent = 0
        self._guard = Guard(allow_private=allow_private, tls=tls or tls_context(), resolve=resolve)
        self._max_body = max_body
        self._resend = resend
        self._lock = trio.Lock()
        self._origin: tuple[str, bytes, int | None] = ("", b"", None)
        self._connection: Connection | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; its ``timeout`` extension is obeyed, phase by phase.

        Raises:
            httpx.TransportError: no response came; `PrivateAddress` if none was asked for.
        """
        limits = request.extensions.get("timeout")
        timeouts = msgspec.convert(limits, Timeouts) if limits else _FOR_EVER
        try:
            ask = encode(
                request.method.encode("ascii"), request.url.raw_path, request.headers.raw, await _body(request)
            )
            reply = await self.exchange(request.url, ask, timeouts)
        except httpx.TransportError as error:
            error.request = request
            raise
        return httpx.Response(
            reply.status,
            headers=[*reply.headers],
            stream=httpx.ByteStream(reply.body),
            extensions={
                "http_version": b"HTTP/" + reply.http_version,
                "reason_phrase": reply.reason,
                "truncated": reply.truncated,
            },
            request=request,
        )

    async def exchange(self, url: httpx.URL, ask: Ask, timeouts: Timeouts = _FOR_EVER) -> Reply:
        """Send *ask* to the origin of *url* and read the reply, without httpx's objects.

        Raises:
            httpx.TransportError: as `handle_async_request`.
        """
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            busy = httpx.PoolTimeout(f"the connection was in use for {timeouts.pool} s")
            await within(timeouts.pool, busy, self._lock.acquire)
        try:
            return await self._exchange(url, ask, timeouts)
        finally:
            self._lock.release()

    async def _exchange(self, url: httpx.URL, ask: Ask, timeouts: Timeouts) -> Reply:
        connection = self._kept(url) or await self._dial(url, timeouts)
        try:
            return await self._send(connection, ask, timeouts)
        except _LOST:
            if connection.fresh or connection.answered or not self._resend:
                raise
        self.resent += 1
        return await self._send(await self._dial(url, timeouts), ask, timeouts)

    def _kept(self, url: httpx.URL) -> Connection | None:
        connection = self._connection
        if connection is None:
            return None
        if self._origin == (url.scheme, url.raw_host, url.port) and connection.usable():
            return connection
        self._drop()
        return None

    async def _dial(self, url: httpx.URL, timeouts: Timeouts) -> Connection:
        self.phase = "connect"
        late = httpx.ConnectTimeout(f"no connection to {url.host} in {timeouts.connect} s")
        connection = await within(timeouts.connect, late, lambda: dial(url, self._guard, self._max_body))
        self._connection = connection
        self._origin = (url.scheme, url.raw_host, url.port)
        return connection

    async def _send(self, connection: Connection, ask: Ask, timeouts: Timeouts) -> Reply:
        keep = False
        try:
            self.phase = "write"
            await connection.write(ask, timeouts.write)
            self.phase = "read"
            reply = await connection.read(timeouts.read)
            keep = reply.keep
        finally:
            # Also when cancelled: half an exchange must never meet the next request.
            if not keep:
                self._drop()
        return reply

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    async def aclose(self) -> None:
        """Close the connection at once; a request under way fails."""
        self._drop()


async def _body(request: httpx.Request) -> bytes:
    try:
        return request.content
    except httpx.RequestNotRead:
        assert isinstance(request.stream, httpx.AsyncByteStream), "a sync body cannot be sent on trio"
        return b"".join([part async for part in request.stream])


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination answered.

    Attributes:
        status: the HTTP status.
        headers: in order, names in lower case.
        body: without transfer coding; at most ``max_body`` bytes of it.
        http_version: "1.1" or "1.0".
        truncated: there was more.
        resent: a kept connection was found dead, and the request went out a second time.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    http_version: str
    truncated: bool = False
    resent: bool = False

    def header(self, name: str) -> str | None:
        """Return the first value of *name* (in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)


class HttpClient:
    """One request at a time, to wherever the guard permits, over a kept connection.

    Args:
        allow_private: whether loopback, link-local and private addresses may be reached.
        timeout: seconds for the whole exchange: name, connection, request and response.
        tls: shared by all clients; see `tls_context`.
        max_body: bytes of a response body, at most.
        resolve: turns names into addresses; by default the operating system, with a thread of this client's own.
        always: headers of every request, unless it brings its own.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout: float,
        tls: SSLContext | None = None,
        max_body: int = MAX_BODY,
        resolve: Resolver | None = None,
        always: Mapping[str, str] = MappingProxyType({"user-agent": "headrace", "accept": "*/*"}),
    ) -> None:
        self._timeout = timeout
        resolver = SystemResolver() if resolve is None else resolve
        self._transport = Transport(allow_private=allow_private, tls=tls, max_body=max_body, resolve=resolver)
        # An answer is shown to people and matched by rules: compressed, it would serve neither.
        self._always = _raw({"accept-encoding": "identity", **always}.items())

    async def send(
        self, method: str, url: httpx.URL, headers: Iterable[tuple[str, str]], content: bytes = b""
    ) -> Answer:
        """Make one request. Host and Content-Length are added; no redirect is followed.

        Raises:
            httpx.TransportError: no whole answer came: `PrivateAddress`, ConnectError, ConnectTimeout, ReadError,
                WriteTimeout, ReadTimeout, RemoteProtocolError, LocalProtocolError, UnsupportedProtocol.
        """
        transport = self._transport
        ask = encode(method.encode(), url.raw_path, self._complete(url, _raw(headers), len(content)), content)
        before = transport.resent
        with trio.move_on_after(self._timeout):
            reply = await transport.exchange(url, ask)
            return _answer(reply, resent=transport.resent != before)
        raise _LATE[transport.phase](f"{url.host} took longer than {self._timeout:g} s ({transport.phase})")

    def _complete(self, url: httpx.URL, headers: RawHeaders, length: int) -> RawHeaders:
        given = {name.lower() for name, _ in headers}
        first = (b"host", url.netloc)
        rest = ((b"content-length", b"%d" % length), *self._always) if length else self._always
        return [pair for pair in (first, *rest) if pair[0] not in given] + [*headers]

    async def aclose(self) -> None:
        """Close the connection at once; a request under way fails."""
        await self._transport.aclose()


_LATE: Mapping[str, Callable[[str], httpx.TimeoutException]] = MappingProxyType(
    {"connect": httpx.ConnectTimeout, "write": httpx.WriteTimeout, "read": httpx.ReadTimeout}
)


def _raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    return [(name.encode(), value.encode()) for name, value in headers]


def _answer(reply: Reply, *, resent: bool) -> Answer:
    return Answer(
        status=reply.status,
        headers=tuple((name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in reply.headers),
        body=reply.body,
        http_version=reply.http_version.decode("ascii"),
        truncated=reply.truncated,
        resent=resent,
    )
