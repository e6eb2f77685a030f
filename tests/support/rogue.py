"""A webhook on a real socket with bad manners, which can be changed at any time; and the manners."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from tests.support.peer import HungUp, Line

Manner: TypeAlias = "Callable[[Line], Awaitable[None]]"
"""What is done with one connection, from its beginning to its end; it is closed afterwards."""

KEYS = re.compile(rb"\r\n(?:idempotency-key|headrace-delivery-keys): *([^\r]+)", re.IGNORECASE)
NUMBER = re.compile(rb'"n":(\d+)')


def reply(status: int, body: bytes = b"", *headers: str, kind: str = "application/json") -> bytes:
    """Return a whole reply."""
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


OK = reply(200, b"{}")


class Noted(list[bytes]):
    """Requests as they come in, and a bell for each."""

    def __init__(self) -> None:
        super().__init__()
        self.news = trio.Event()
        self.deliveries = 0

    def append(self, request: bytes) -> None:
        """Note one."""
        super().append(request)
        self.deliveries += len(NUMBER.findall(request))
        self.news.set()
        self.news = trio.Event()


class Rogue:
    """Serves every connection as its manner says, and notes every whole request.

    Args:
        manner: of the connections to come.

    Attributes:
        tls: speaks TLS with it; None for the clear.
        requests: whole requests, in order.
        connections: how many there were.
        open: how many there are.
    """

    def __init__(self, manner: Manner) -> None:
        self.tls: ssl.SSLContext | None = None
        self.requests = Noted()
        self.connections = 0
        self.open = 0
        self.port = 0
        self._manner = manner
        self._full: list[socket.socket] = []
        self._scope = trio.CancelScope()
        self._there = trio.Event()
        self._listens = False

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started when it listens."""
        self._there.set()
        while True:
            await self._there.wait()
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1", backlog=64)
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            self._listens = True
            with trio.CancelScope() as self._scope:
                await trio.serve_listeners(self._serve, listeners)
            self._listens = False

    def behave(self, manner: Manner) -> None:
        """Cut every connection, and treat those to come in another way; listen, if it did not."""
        self._manner = manner
        self._unblock()
        self._there.set()
        self._scope.cancel()

    def vanish(self) -> None:
        """Cut every connection and refuse further ones."""
        self._there = trio.Event()
        self._scope.cancel()

    async def ignore(self) -> None:
        """Cut every connection and let nobody even connect: the line before the door is full, and nobody opens."""
        self.vanish()
        while self._listens:
            await trio.lowlevel.checkpoint()
        door = socket.socket()
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", self.port))
        door.listen(0)
        self._full = [door]
        for _ in range(4):
            guest = socket.socket()
            guest.setblocking(False)
            guest.connect_ex(door.getsockname())
            self._full.append(guest)

    def _unblock(self) -> None:
        for one in self._full:
            one.close()
        self._full = []

    async def came(self, deliveries: int) -> None:
        """Wait until so many have come, again or not."""
        while self.requests.deliveries < deliveries:
            await self.requests.news.wait()

    @property
    def numbers(self) -> list[int]:
        """Of every delivery of every whole request, in order."""
        return [number for request in self.requests for number in map(int, NUMBER.findall(request))]

    @property
    def keys(self) -> set[tuple[int, str]]:
        """Return every number with every key that it came with."""
        found: set[tuple[int, str]] = set()
        for request in self.requests:
            keys = KEYS.findall(request)[-1].decode().split(",")
            found |= set(zip(map(int, NUMBER.findall(request)), keys, strict=True))
        return found

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        secured = stream if self.tls is None else trio.SSLStream(stream, self.tls, server_side=True)
        try:
            await self._manner(Line(secured, self.requests))
        except (HungUp, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1
            await trio.aclose_forcefully(secured)


def answering(answer: bytes | Callable[[bytes], bytes]) -> Manner:
    """Answer every request with the same bytes, or with those made of it."""

    async def manner(line: Line) -> None:
        while True:
            request = await line.request()
            await line.say(answer(request) if callable(answer) else answer)

    return manner


well = answering(OK)


async def hang(line: Line) -> None:
    """Take the request and never answer."""
    await line.request()
    await line.drain()


async def deaf(_line: Line) -> None:
    """Never read a byte, and hang up after a minute: who does not read does not see either that the other has gone."""
    await trio.sleep(60)


async def refuse_large(line: Line) -> None:
    """Say that it is too large as soon as the head has come, and from then on neither read nor close for a minute."""
    await line.head()
    await line.say(reply(413))
    await trio.sleep(60)


async def listen_only(line: Line) -> None:
    """Read whatever comes, for ever, and never say a word: no TLS comes about."""
    await line.drain()


async def turn_away(line: Line) -> None:
    """Say goodbye at once, to everybody."""
    await line.hush()
    await line.drain()


async def one_each(line: Line) -> None:
    """Answer one request, and close when the next one has begun to come: a server that was just about to."""
    await line.request()
    await line.say(OK)
    await line.head()
    line.reset()


async def take_and_close(line: Line) -> None:
    """Answer one request, take another, and close without a word on it: it may have arrived."""
    await line.request()
    await line.say(OK)
    await line.request()


async def answer_once(line: Line) -> None:
    """Answer one request and close, without having said that it would."""
    await line.request()
    await line.say(OK)


async def trickle(line: Line) -> None:
    """Answer well, with a body of which a piece comes every three seconds, for ever."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await trio.sleep(3)
        await line.say(b"1\r\nx\r\n")


async def drip(line: Line) -> None:
    """Answer a byte every three seconds, for ever."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await trio.sleep(3)
        await line.say(b"x")


async def in_pieces(line: Line) -> None:
    """Answer well, a byte every 50 ms."""
    while True:
        await line.request()
        for byte in b"HTTP/1.1 204 X\r\n\r\n":
            await trio.sleep(0.05)
            await line.say(bytes([byte]))


async def interim(line: Line) -> None:
    """Say again and again that the answer will come."""
    await line.request()
    while True:
        await line.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await trio.sleep(3)


async def endless_head(line: Line) -> None:
    """Send header after header."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await line.say(b"X-More: " + b"x" * 1000 + b"\r\n")


async def endless_body(line: Line) -> None:
    """Send a body that never ends."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await line.say(b"400\r\n" + b"x" * 0x400 + b"\r\n")


async def reset_at_once(line: Line) -> None:
    """Reset the connection before anything was said."""
    line.reset()


async def reset_in_the_request(line: Line) -> None:
    """Reset when the head has come."""
    await line.head()
    line.reset()


async def reset_in_the_reply(line: Line) -> None:
    """Take the request, begin to answer, and reset."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    line.reset()


async def truncate(line: Line) -> None:
    """Take the request, begin to answer, and close."""
    await line.request()
    await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def close(line: Line) -> None:
    """Take the request and close without a word."""
    await line.request()


async def speak_in_the_clear(line: Line) -> None:
    """Answer TLS as a server does that knows none."""
    await line.stream.receive_some()
    await line.say(reply(400))
    await line.drain()


async def talk_nonsense(line: Line) -> None:
    """Answer in another protocol."""
    await line.request()
    await line.say(b"220 mail.example ESMTP\r\n" * 10)
