from __future__ import annotations

import gzip

import msgspec
import pytest
import trio
import trio.testing

from engine.runtime.http_server import Limits, Upgrade
from tests.support.frames import HANDSHAKE
from tests.support.serving import Server, ended, post, tell

BOTH = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
REFUSED = {
    "not HTTP": (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        400,
        "bad_request",
        "not a valid HTTP/1.1 request: illegal request line",
    ),
    "no Host": (
        b"GET / HTTP/1.1\r\n\r\n",
        400,
        "bad_request",
        "not a valid HTTP/1.1 request: Missing mandatory Host: header",
    ),
    "two ways to say a length": (
        BOTH,
        400,
        "bad_request",
        "a request has a Content-Length or a Transfer-Encoding, not both",
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "bad_request",
        "not a valid HTTP/1.1 request: conflicting Content-Length headers",
    ),
    "an unknown coding": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        501,
        "bad_request",
        "not a valid HTTP/1.1 request: Only Transfer-Encoding: chunked is supported",
    ),
    "a proxy's target": (
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        400,
        "bad_request",
        "the request's target must be a path",
    ),
    "a large head": (b"GET / HTTP/1.1\r\nX: " + b"x" * 1000, 431, "head_too_large", "the request's head is too large"),
    "a large body": (post(b"x" * 101), 413, "too_large", "the body is larger than 100 bytes"),
    "a large body announced": (
        post(b"x" * 101, headers=b"Expect: 100-continue\r\n").partition(b"xx")[0],
        413,
        "too_large",
        "the body is larger than 100 bytes",
    ),
    "a large body in chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + b"x" * 101,
        413,
        "too_large",
        "the body is larger than 100 bytes",
    ),
    "a large body after gzip": (
        post(gzip.compress(b"x" * 201), headers=b"Content-Encoding: gzip\r\n"),
        413,
        "too_large",
        "the body is larger than 200 bytes after gzip",
    ),
    "a large body after gzip twice": (
        post(gzip.compress(b"x" * 101) * 2, headers=b"Content-Encoding: gzip\r\n"),
        413,
        "too_large",
        "the body is larger than 200 bytes after gzip",
    ),
    "gzip that is none": (
        post(b"plain", headers=b"Content-Encoding: gzip\r\n"),
        400,
        "bad_gzip",
        "the body is not valid gzip",
    ),
    "gzip cut short": (
        post(gzip.compress(b"x")[:-3], headers=b"Content-Encoding: gzip\r\n"),
        400,
        "bad_gzip",
        "the body is not valid gzip",
    ),
    "another coding": (
        post(headers=b"Content-Encoding: br\r\n"),
        415,
        "unsupported_encoding",
        "Content-Encoding must be gzip or identity, not br",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_is_told_and_ends_the_connection(case: str, nursery: trio.Nursery) -> None:
    data, status, code, message = REFUSED[case]
    server = Server(nursery)
    await server.start(limits=Limits(head=500, body=100, inflated=200))
    stream = await server.visit()

    head, _, body = (await tell(stream, data)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nconnection: close" in head.lower()
    assert msgspec.json.decode(body) == {"code": code, "message": message}
    assert await ended(stream)
    assert (server.requests, server.crashes) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "status", "message"),
    [
        (b"Version: 13", b"Version: 8", 426, "the WebSocket version must be 13"),
        (b"dGhl", b"", 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (b"dGhl", b"\xe9", 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        (b"GET", b"POST", 400, "a WebSocket handshake is a GET without a body"),
        (b"Host: x", b"Host: x\r\nContent-Length: 1", 400, "a WebSocket handshake is a GET without a body"),
    ],
)
async def test_a_handshake_that_is_none_is_refused(
    old: bytes, new: bytes, status: int, message: str, nursery: trio.Nursery
) -> None:
    async def upgrade(upgrade: Upgrade) -> None:
        raise AssertionError

    server = Server(nursery)
    await server.start(upgrade=upgrade)

    reply = await server.tell((HANDSHAKE % b"").replace(old, new))

    assert reply.startswith(b"HTTP/1.1 %d " % status)
    assert msgspec.json.decode(reply.partition(b"\r\n\r\n")[2]) == {"code": "bad_upgrade", "message": message}
    assert server.crashes == []
