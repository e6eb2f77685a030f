"""One exchange after another with a scripted peer, by our transport or by httpx's, and what came of it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any

import httpx
import trio
import trio.testing
import trustme

from engine.runtime.http_client import Transport
from tests.support.peer import Line, Peer, Script, replying

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = (200, [(b"Content-Length", b"2")], b"ok", b"HTTP/1.1")
ONE: list[dict[str, Any]] = [{}]
TWO: list[dict[str, Any]] = [{}, {}]


def ours(tls: ssl.SSLContext, **options: Any) -> Transport:
    return Transport(**{"allow_private": True, "tls": tls, **options})


def stock(tls: ssl.SSLContext) -> httpx.AsyncHTTPTransport:
    return httpx.AsyncHTTPTransport(verify=tls, limits=httpx.Limits(max_connections=1))


async def outcome(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> object:
    """Return what a caller sees: status, headers and body, or the class of the error."""
    try:
        response = await transport.handle_async_request(request)
        await response.aread()
        await response.aclose()
    except (httpx.HTTPError, httpx.StreamError) as error:
        return type(error).__name__
    return response.status_code, response.headers.raw, response.content, response.extensions["http_version"]


def ask(url: str, method: str = "POST", body: bytes | None = b"{}", **headers: Any) -> httpx.Request:
    timeout = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
    return httpx.Request(method, url, content=body, headers=headers, extensions={"timeout": timeout})


async def run(
    nursery: trio.Nursery,
    transport: httpx.AsyncBaseTransport,
    scripts: Sequence[Script],
    requests: Sequence[dict[str, Any]],
    tls: ssl.SSLContext | None = None,
) -> tuple[list[object], Peer]:
    """Make *requests* one after the other against a fresh peer; the peer comes to rest before each."""
    peer: Peer = await nursery.start(Peer(scripts, tls).serve)
    outcomes = []
    async with transport:
        for options in requests:
            await trio.testing.wait_all_tasks_blocked()
            outcomes.append(
                await outcome(transport, ask(f"{'https' if tls else 'http'}://127.0.0.1:{peer.port}/in", **options))
            )
    return outcomes, peer


def speaking_as(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def half_then_stall(line: Line) -> None:
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await trio.sleep_forever()


async def drip(line: Line) -> None:
    with trio.move_on_after(1):
        await line.drain()
    await line.say(CHUNKED)
    while True:
        await trio.sleep(1)
        await line.say(b"1\r\nx\r\n")


async def stall(line: Line) -> None:
    await line.request()
    await trio.sleep_forever()


async def reset(line: Line) -> None:
    await line.request()
    line.reset()


async def reset_in_the_body(line: Line) -> None:
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await trio.testing.wait_all_tasks_blocked()
    line.reset()


async def refuse_before_the_body(line: Line) -> None:
    await line.head()
    await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await line.hush()
    await line.drain()


async def in_pieces(line: Line) -> None:
    await line.request()
    for byte in b"HTTP/1.1 202 Accepted\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello":
        await line.say(bytes([byte]))
        await trio.testing.wait_all_tasks_blocked()
    await trio.sleep_forever()


async def read_nothing(line: Line) -> None:
    await trio.sleep_forever()


async def answer_then_hang_up_on_the_next(line: Line) -> None:
    await line.request()
    await line.say(OK)
    await line.request()


async def answer_then_reset_the_next(line: Line) -> None:
    await line.request()
    await line.say(OK)
    await line.request()
    line.reset()


def closing(reply: bytes) -> Script:
    return replying(reply, stay=False)
