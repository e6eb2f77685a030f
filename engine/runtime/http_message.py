"""Requests and responses as a server sees them, without I/O: what is asked, what is answered, what is refused."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import h11
import msgspec

JSON = ("content-type", "application/json")
"""The header of everything that is answered in JSON."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a client may send, and how long it may take over it.

    Attributes:
        head: bytes of a request's line and headers.
        body: bytes of a body as sent.
        inflated: bytes of a body after gzip.
        idle: seconds between two requests on one connection.
        head_time: seconds from the first byte of a head to its last.
        body_time: seconds for a whole body.
        write: seconds for a client to take a whole response.
        connections: open at a time; above it the longest idle one is closed, or, if none is, new ones wait.
    """

    head: int = 32 * 1024
    body: int = 4 * 1024 * 1024
    inflated: int = 16 * 1024 * 1024
    idle: float = 75.0
    head_time: float = 10.0
    body_time: float = 30.0
    write: float = 30.0
    connections: int = 1000


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks.

    Attributes:
        method: as sent, for example ``POST``.
        path: starts with ``/`` (or is ``*``); still percent-encoded.
        query: what follows the question mark, still encoded; "" if there is none.
        headers: in order, names in lower case.
        body: whole, without transfer coding and gzip.
        peer: the client's IP address; "" if the stream has none.
        scheme: ``http`` or ``https``.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    peer: str = ""
    scheme: str = "http"

    def header(self, name: str) -> str | None:
        """Return the first value of *name* (in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated words of every header *name*, in lower case."""
        values = ",".join(value for key, value in self.headers if key == name)
        return [word for part in values.split(",") if (word := part.strip().lower())]


Feed: TypeAlias = Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
"""Makes a body as it goes: given a function that sends a part, and waits until the client has room for it."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered. Content-Length is added, and Connection where it is needed.

    Attributes:
        status: 200 to 599.
        headers: names and values, ASCII.
        body: whole; left out for HEAD, 204 and 304.
        feed: makes the body instead, for as long as client and server stay; the connection ends with it.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    feed: Feed | None = None


class BadRequest(Exception):
    """A request that is answered with an error before any handler sees it.

    Args:
        status: 400 to 501.
        code: one word for machines.
        message: one sentence for people, without a full stop.
        headers: of the answer, besides its content type.
    """

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        super().__init__(status, code, message)

    def response(self) -> Response:
        """Return the answer; some SDKs fail in their own code if ``code`` or ``message`` is missing."""
        return json_response(self.status, {"code": self.code, "message": self.message}, self.headers)


def json_response(status: int, obj: object, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Return *obj* as a JSON body; anything msgspec can encode."""
    return Response(status=status, headers=(JSON, *headers), body=msgspec.json.encode(obj))


def understand(event: h11.Request, peer: str, scheme: str = "http") -> Request:
    """Return the request of *event*, its body still empty.

    Raises:
        BadRequest: a target that names no path, or a body whose length is said in two ways.
    """
    headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
    names = {name for name, _ in headers}
    if {"content-length", "transfer-encoding"} <= names:
        # Legal, but only those who want two servers to disagree about where a request ends send it (RFC 9112, 6.1).
        raise BadRequest(400, "bad_request", "a request has a Content-Length or a Transfer-Encoding, not both")
    path, _, query = _origin_form(event.target.decode("ascii")).partition("?")
    return Request(
        method=event.method.decode("ascii"), path=path, query=query, headers=headers, peer=peer, scheme=scheme
    )


def _origin_form(target: str) -> str:
    if target.startswith("/") or target == "*":
        return target
    scheme, _, rest = target.partition("://")
    if scheme.lower() not in {"http", "https"}:
        raise BadRequest(400, "bad_request", "the request's target must be a path")
    cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    return rest[cut:] if rest[cut : cut + 1] == "/" else "/" + rest[cut:]


def failed(error: h11.RemoteProtocolError) -> BadRequest:
    """Return what to answer to bytes that are not HTTP."""
    if error.error_status_hint == 431:  # noqa: PLR2004 - h11's hint, the status itself
        return BadRequest(431, "head_too_large", "the request's head is too large")
    status = error.error_status_hint or 400
    why = str(error).partition(": bytearray(")[0]  # h11 adds what it read; what came is not echoed
    return BadRequest(status, "bad_request", f"not a valid HTTP/1.1 request: {why}")


def wants_websocket(request: Request) -> bool:
    """Return whether *request* asks for an upgrade to WebSocket that can be handed on.

    Raises:
        BadRequest: it asks, but wrongly: wsproto would answer too, in words of its own.
    """
    if "websocket" not in request.tokens("upgrade") or "upgrade" not in request.tokens("connection"):
        return False
    if request.method != "GET" or request.header("transfer-encoding") or request.header("content-length"):
        raise BadRequest(400, "bad_upgrade", "a WebSocket handshake is a GET without a body")
    if request.header("sec-websocket-version") != "13":
        version = ("sec-websocket-version", "13")
        raise BadRequest(426, "bad_upgrade", "the WebSocket version must be 13", [version, ("upgrade", "websocket")])
    try:
        key = base64.b64decode(request.header("sec-websocket-key") or "", validate=True)
    except ValueError:
        key = b""
    if len(key) != 16:  # noqa: PLR2004 - bytes, RFC 6455, section 4.1
        raise BadRequest(400, "bad_upgrade", "Sec-WebSocket-Key must be 16 bytes in base64")
    return True


def unpack(request: Request, body: bytes, limit: int) -> bytes:
    """Return *body* without the content coding that *request* names; it is believed over any Content-Type.

    Args:
        request: the head.
        body: as sent.
        limit: bytes after unpacking, at most.

    Raises:
        BadRequest: another coding than gzip, not gzip at all, or more than *limit*.
    """
    codings = [word for word in request.tokens("content-encoding") if word != "identity"]
    if not codings:
        return body
    if codings not in (["gzip"], ["x-gzip"]):
        told = ", ".join(codings)
        raise BadRequest(415, "unsupported_encoding", f"Content-Encoding must be gzip or identity, not {told}")
    try:
        return _gunzip(body, limit)
    except zlib.error:
        raise BadRequest(400, "bad_gzip", "the body is not valid gzip") from None


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    room = limit
    while body or not parts:
        member = zlib.decompressobj(wbits=31)
        part = member.decompress(body, room + 1)
        if len(part) > room:
            raise BadRequest(413, "too_large", f"the body is larger than {limit} bytes after gzip")
        if not member.eof:
            raise zlib.error("the stream ends too early")
        parts.append(part)
        room -= len(part)
        body = member.unused_data
    return b"".join(parts)
