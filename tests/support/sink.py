"""A destination on a real socket: notes what arrives, answers as it is told, and goes down when it is told."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import msgspec
import trio

from engine.messages import Reply

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
KEYS = re.compile(rb"\r\n(?:idempotency-key|headrace-delivery-keys): *([^\r]+)", re.IGNORECASE)
NUMBER = re.compile(rb'"n":(\d+)')
PHRASES = {200: b"200 OK", 503: b"503 Service Unavailable"}


class Arrival(msgspec.Struct, frozen=True):
    """One delivery of one request.

    Attributes:
        at: trio's clock.
        number: its payload's ``n``.
    """

    at: float
    key: str
    number: int
    status: int


class Sink:
    """Serves HTTP/1.1 for whatever has an ``n`` in it, at a few dozen µs a request.

    Attributes:
        arrivals: every delivery of every request, in order.
        taken: numbers that were answered with 200, each once.
        judge: returns the reply to a body; only status, headers and body count.
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.taken: set[int] = set()
        self.judge: Callable[[bytes], Reply | None] = lambda _body: Reply(status=200)
        self.before: tuple[Callable[[], None], Callable[[], Awaitable[None]]] | None = None
        """Called, and waited for, before each answer."""
        self.port = 0
        self._news = trio.Event()
        self._open = trio.Event()
        self._open.set()
        self._scope = trio.CancelScope()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started when it listens."""
        while True:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1", backlog=512)
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            with trio.CancelScope() as self._scope:
                await trio.serve_listeners(self._serve, listeners)
            await self._open.wait()

    def down(self) -> None:
        """Break all connections and refuse further ones."""
        self._open = trio.Event()
        self._scope.cancel()

    def up(self) -> None:
        """Listen again, on the same port."""
        self._open.set()

    async def took(self, count: int) -> None:
        """Wait until so many different deliveries were taken."""
        while len(self.taken) < count:
            await self._news.wait()

    async def asked(self, count: int) -> None:
        """Wait until so many deliveries have come, again or not, whatever they were answered."""
        while len(self.arrivals) < count:
            await self._news.wait()

    async def _serve(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        try:
            while data := await stream.receive_some(65536):
                buffer += data
                while (request := _cut(buffer)) is not None:
                    await self._answer(stream, *request)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _answer(self, stream: trio.SocketStream, head: bytes, body: bytes) -> None:
        if self.before is not None:
            self.before[0]()
            await self.before[1]()
        reply = self.judge(body)
        status = reply.status if reply else 0
        self._note(head, body, status)
        if reply is None:
            await trio.sleep_forever()
            return
        lines = [b"HTTP/1.1 " + PHRASES.get(status, b"%d Other" % status)]
        lines += [f"{name}: {value}".encode() for name, value in reply.headers]
        lines.append(b"content-length: %d\r\n\r\n" % len(reply.body))
        await stream.send_all(b"\r\n".join(lines) + reply.body)

    def _note(self, head: bytes, body: bytes, status: int) -> None:
        found = KEYS.findall(head)
        keys = found[-1].decode().split(",") if found else []
        now = trio.current_time()
        for key, number in zip(keys, map(int, NUMBER.findall(body)), strict=True):
            self.arrivals.append(Arrival(at=now, key=key, number=number, status=status))
            if status == 200:
                self.taken.add(number)
        self._news.set()
        self._news = trio.Event()


def _cut(buffer: bytearray) -> tuple[bytes, bytes] | None:
    """Cut the first whole request off *buffer*, as head and body; None if there is none."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = LENGTH.search(buffer, 0, end)
    whole = end + 4 + (int(length[1]) if length else 0)
    if len(buffer) < whole:
        return None
    head, body = bytes(buffer[:end]), bytes(buffer[end + 4 : whole])
    del buffer[:whole]
    return head, body
