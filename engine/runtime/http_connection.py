"""One TCP or TLS connection to an HTTP server: open it, send a request, read the reply."""

from __future__ import annotations

import math
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import httpx
import msgspec
import trio

from engine.runtime.address import Resolver, permitted, system_resolver
from engine.runtime.at_once import write_at_once
from engine.runtime.http_wire import Ask, Reader, Reply

READ_SIZE = 64 * 1024
"""Bytes asked of the socket at a time."""

AT_ONCE = 16 * 1024
"""Bytes of a request that a kernel takes whether the peer reads or not: Linux gives a new connection that much."""

NEXT_ADDRESS_AFTER = 2.0
"""Seconds an address of several has to answer a connect; the last one has what is left of the time-out."""

MAX_IDLE = 30.0
"""Seconds after which a kept connection is not used again: middle boxes forget without saying so."""

Wire: TypeAlias = "trio.SocketStream | trio.SSLStream[trio.SocketStream]"

T = TypeVar("T")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds each phase may take; None is for ever. The names and meanings are httpx's.

    Attributes:
        connect: for names, TCP and TLS together.
        read: from one piece of the response to the next.
        write: for the whole request.
        pool: for the one before on the same connection.
    """

    connect: float | None = None
    read: float | None = None
    write: float | None = None
    pool: float | None = None


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """Where a connection may go, and how it is secured.

    Attributes:
        allow_private: whether loopback, link-local and private addresses are permitted.
        tls: the context of every secured connection; made anew for each if None, which takes tens of milliseconds.
        resolve: turns names into addresses.
    """

    allow_private: bool
    tls: ssl.SSLContext | None
    resolve: Resolver = system_resolver


async def within(seconds: float | None, error: httpx.TransportError, call: Callable[[], Awaitable[T]]) -> T:
    """Await *call* for at most *seconds*, else raise *error*."""
    if seconds is None:
        return await call()
    with trio.move_on_after(seconds):
        return await call()
    raise error


def tls_context() -> ssl.SSLContext:
    """Return a context that verifies as httpx does (``SSL_CERT_FILE``, ``SSL_CERT_DIR``, else certifi).

    Loading the certificates takes tens of milliseconds: make one and share it.
    """
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connection:
    """An open connection to one origin. Made by `dial`."""

    def __init__(self, stream: Wire, max_body: int) -> None:
        self.fresh = True
        self._stream = stream
        self._reader = Reader(max_body)
        self._used_at = 0.0
        self._early: Reply | httpx.RemoteProtocolError | None = None

    @property
    def answered(self) -> bool:
        """Whether anything came back for the request at hand."""
        return self._reader.received

    def usable(self) -> bool:
        """Return whether an idle connection can be expected to live.

        One that is readable was closed by the peer, or holds what was never asked for; both end it.
        """
        return trio.current_time() - self._used_at < MAX_IDLE and not _socket(self._stream).is_readable()

    async def write(self, ask: Ask, seconds: float | None) -> None:
        """Send the request, in one write; of one that is refused before it was read, not all.

        A peer that closes before it has read all of it may have answered first (413 does), so a broken pipe is no
        error yet: the reader will say which.

        Raises:
            httpx.WriteTimeout: not all was taken in *seconds*.
        """
        self._early = None
        self._reader.begin(ask)
        rest = ask.data[write_at_once(self._stream, ask.data) :]
        if not rest:
            return
        push = self._push if len(ask.data) <= AT_ONCE else self._converse
        if seconds is None:
            await push(rest)
            return
        with trio.move_on_after(seconds):
            await push(rest)
            return
        raise httpx.WriteTimeout(f"the server did not take the request in {seconds:g} s")

    async def _push(self, rest: bytes) -> None:
        try:
            await self._stream.send_all(rest)
        except trio.BrokenResourceError:
            return
        except trio.ClosedResourceError as error:
            raise httpx.WriteError("the connection was closed while it was written to") from error

    async def _converse(self, rest: bytes) -> None:
        """Write, and listen meanwhile: who refuses a request may never read the rest of it."""
        failures: list[httpx.WriteError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, nursery.cancel_scope)
            try:
                await self._push(rest)
            except httpx.WriteError as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _listen(self, writing: trio.CancelScope) -> None:
        """Take in what comes while the request is written; end *writing* if that makes no sense any more."""
        try:
            while (reply := self._reader.receive(await self._stream.receive_some(READ_SIZE))) is None:
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # who writes meets the same, and `read` says what it was
        except httpx.RemoteProtocolError as error:
            self._early = error
            writing.cancel()
            return
        if 200 <= reply.status < 300:  # noqa: PLR2004 - who says yes may still need the rest
            self._early = reply
            return
        self._early = msgspec.structs.replace(reply, keep=False)
        writing.cancel()

    async def read(self, seconds: float | None) -> Reply:
        """Read until the reply is whole, or longer than its bound.

        Raises:
            httpx.ReadTimeout: nothing came for *seconds*.
            httpx.ReadError: the connection broke.
            httpx.RemoteProtocolError: not HTTP, or an end before the end of the message.
        """
        if isinstance(self._early, httpx.RemoteProtocolError):
            raise self._early
        try:
            reply = self._early or await self._read(seconds)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpx.ReadError(f"the connection broke: {cause(error)}") from error
        self.fresh = False
        self._used_at = trio.current_time()
        return reply

    async def _read(self, seconds: float | None) -> Reply:
        receive, take = self._stream.receive_some, self._reader.receive
        if seconds is None:
            while (reply := take(await receive(READ_SIZE))) is None:
                pass
            return reply
        with trio.move_on_after(seconds) as scope:
            while (reply := take(await receive(READ_SIZE))) is None:
                scope.deadline = trio.current_time() + seconds
            return reply
        raise httpx.ReadTimeout(f"the server sent nothing for {seconds:g} s")

    def drop(self) -> None:
        """Close the socket at once; does not wait, so it may be called while cancelled."""
        _socket(self._stream).close()


async def dial(url: httpx.URL, guard: Guard, max_body: int) -> Connection:
    """Resolve, check, connect and, for https, shake hands.

    Raises:
        PrivateAddress: the guard refuses where the name leads.
        httpx.ConnectError: no such name, nobody listens, or the certificate is not good.
        httpx.UnsupportedProtocol: neither http nor https.
    """
    if url.scheme not in {"http", "https"}:
        raise httpx.UnsupportedProtocol(f"the URL must start with http:// or https://, not {url.scheme}://")
    return Connection(await open_stream(url, guard), max_body)


async def open_stream(url: httpx.URL, guard: Guard) -> Wire:
    """Return a stream to the host of *url*, secured if its scheme is https or wss.

    Raises:
        PrivateAddress: the guard refuses where the name leads.
        httpx.ConnectError: no such name, nobody listens, or the certificate is not good.
    """
    secure = url.scheme in {"https", "wss"}
    host = url.raw_host.decode("ascii")
    stream = await _connect(host, url.port or (443 if secure else 80), guard)
    return await _shake_hands(stream, host, guard.tls or tls_context()) if secure else stream


async def _connect(host: str, port: int, guard: Guard) -> trio.SocketStream:
    try:
        found = await guard.resolve(host, port)
    except OSError as error:
        raise httpx.ConnectError(f"{host} does not resolve: {error.strerror or error}") from error
    addresses = permitted(host, found, allow_private=guard.allow_private)
    failures: list[str] = []
    for left, address in reversed(tuple(enumerate(reversed(addresses)))):
        try:
            with trio.move_on_after(NEXT_ADDRESS_AFTER if left else math.inf):
                return await _open(address, port)
            failures.append(f"{address}: no answer")
        except OSError as error:
            failures.append(f"{address}: {cause(error)}")
    raise httpx.ConnectError(f"cannot connect to {host}:{port} ({'; '.join(failures) or 'no address'})")


async def _open(address: str, port: int) -> trio.SocketStream:
    sock = trio.socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    done = False
    try:
        await sock.connect((address, port))
        done = True
    finally:
        if not done:
            sock.close()
    return trio.SocketStream(sock)


async def _shake_hands(
    stream: trio.SocketStream, host: str, context: ssl.SSLContext
) -> trio.SSLStream[trio.SocketStream]:
    secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    done = False
    try:
        await secured.do_handshake()
        done = True
    except trio.BrokenResourceError as error:
        raise httpx.ConnectError(f"no TLS with {host}: {cause(error)}") from error
    finally:
        if not done:
            stream.socket.close()
    return secured


def cause(error: BaseException) -> str:
    """Return the words of what lies at the bottom of *error*, without numbers or source lines."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not good: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS failed").replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _socket(stream: Wire) -> trio.socket.SocketType:
    return stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
