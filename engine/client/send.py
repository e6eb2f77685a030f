"""Sending a file of events, one JSON object a line: as fast as they are acknowledged, or at a rate."""

from __future__ import annotations

import itertools
import uuid
import zlib
from contextlib import AsyncExitStack
from typing import Any, Final, Protocol

import msgspec
import trio

from engine.client.session import Client, ClientError, connect
from engine.client.window import Refusal
from engine.errors import Problem
from engine.runtime.beside import Beside
from engine.runtime.clock import Clock, SystemClock
from engine.runtime.limiter import Limiter
from engine.wire import MAX_FRAME, with_member

BLOCK: Final = 1 << 16
"""Bytes read at a time, in a thread: from a pipe, what there is."""
TICK: Final = 0.1
"""Seconds between two reports of progress."""
KEPT: Final = 100_000
"""Lines that are kept to be sent again."""
CONNECT: Final = 10.0
"""Seconds for the first connection."""


class Readable(Protocol):
    """A file or pipe, opened in binary, buffered."""

    def read1(self, size: int, /) -> bytes:
        """Return what is there, at most *size* bytes; b"" at the end."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, and how fast.

    Attributes:
        connections: events of one user all go over the same one, in order.
        rate: events a second, or None for as fast as they are acknowledged.
        seconds: the file is sent again and again for so long, with new messageIds; None sends it once.
    """

    url: str
    write_key: str
    connections: int = 1
    rate: float | None = None
    seconds: float | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is; bad + refused + acked = read, at the end.

    Attributes:
        read: lines, blank ones aside.
        bad: lines that are not JSON objects.
        size: bytes read.
        refused: events that the receiver did not accept.
        acked: events that are durable at the receiver.
        resent: times an event was sent again, after a reconnect.
    """

    read: int = 0
    bad: int = 0
    size: int = 0
    refused: int = 0
    acked: int = 0
    resent: int = 0


class Listener(Protocol):
    """Who wants to know how it goes."""

    def moved(self, progress: Progress) -> None:
        """Take note of how far it is; called ten times a second and at the end."""

    def lost(self, problem: Problem) -> None:
        """Take note of a line that was not sent, or was refused; says which and why."""


async def send_lines(
    file: Readable, name: str, target: Target, listener: Listener, clock: Clock | None = None
) -> Progress:
    """Send the events in *file*, and return when all are acknowledged or refused.

    Args:
        file: where the lines are.
        name: of the file, for problems.
        target: where to, and how fast.
        listener: is told how it goes.
        clock: for the rate and the timestamps.

    Raises:
        ClientError: no connection at first, or none any more that could help; what was not acknowledged is not told.
    """
    sending = _Sending(name, target, listener, clock or SystemClock())
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(sending.client()) for _ in range(target.connections)]
        for client in clients:
            await sending.opened(client)
        nursery = await stack.enter_async_context(Beside())
        nursery.start_soon(sending.tick)
        if target.seconds is None:
            await sending.feed(file)
        else:
            with trio.move_on_after(target.seconds):
                await sending.feed(file, keep=True)
                await sending.again()
        for client in clients:
            await client.flush()
    listener.moved(sending.progress())
    return sending.progress()


class _Who(msgspec.Struct, frozen=True, rename="camel"):
    """Whose event it is: what keeps its place in a user's order."""

    user_id: Any = None
    anonymous_id: Any = None


class _Sending:
    """One file on its way."""

    def __init__(self, name: str, target: Target, listener: Listener, clock: Clock) -> None:
        self._name = name
        self._target = target
        self._listener = listener
        self._clock = clock
        self._clients: list[Client] = []
        self._read = self._bad = self._size = 0
        self._line = 0
        self._kept: list[bytes] = []
        rate = target.rate
        self._limiter = None if rate is None else Limiter(rate, max(1.0, rate * TICK), clock)

    def client(self) -> Client:
        """Return one more client."""
        client = connect(self._target.url, self._target.write_key, on_refused=self._refused, clock=self._clock)
        self._clients.append(client)
        return client

    async def opened(self, client: Client) -> None:
        """Wait for a client's first connection.

        Raises:
            ClientError: it did not come about in time, or never will.
        """
        with trio.move_on_after(CONNECT):
            await client.opened()
            return
        raise ClientError(f"no connection to {self._target.url} in {CONNECT:g} s: {client.trouble or 'no answer'}")

    async def tick(self) -> None:
        """Tell how far it is, until cancelled."""
        while True:
            await self._clock.sleep(TICK)
            self._listener.moved(self.progress())

    async def feed(self, file: Readable, *, keep: bool = False) -> None:
        """Send every line of *file*; *keep* them, at most `KEPT`, for `again`."""
        rest = b""
        while block := await trio.to_thread.run_sync(file.read1, BLOCK, abandon_on_cancel=True):
            self._size += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                await self._send(line)
                if keep and len(self._kept) < KEPT and line.strip():
                    self._kept.append(line.strip())
            if len(rest) > MAX_FRAME:
                rest = rest[:MAX_FRAME]  # too long to be sent, and reported as such when its end comes
        await self._send(rest)
        if keep and rest.strip():
            self._kept.append(rest.strip())

    async def again(self) -> None:
        """Send the kept lines over and over, each time as new events, until cancelled."""
        for line in itertools.cycle(self._kept):
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send(with_member(line, "messageId", str(uuid.uuid4())) if line[:1] == b"{" else line)

    def progress(self) -> Progress:
        """Return how far it is."""
        numbers = [client.statistics() for client in self._clients]
        return Progress(
            read=self._read,
            bad=self._bad,
            size=self._size,
            refused=sum(each.refused for each in numbers),
            acked=sum(each.acked for each in numbers),
            resent=sum(each.resent for each in numbers),
        )

    async def _send(self, line: bytes) -> None:
        self._line += 1
        line = line.strip()
        if not line:
            return
        self._read += 1
        try:
            client = self._clients[self._choice(line)]
            if self._limiter is not None:
                await self._limiter.take()
            await client.send(line, tag=self._line)
        except ValueError as error:
            self._bad += 1
            self._lost(self._line, str(error))

    def _choice(self, line: bytes) -> int:
        if len(self._clients) == 1:
            return 0
        try:
            who = msgspec.json.decode(line, type=_Who)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ValueError(f"not a JSON object: {error}") from error
        return zlib.crc32(str(who.user_id or who.anonymous_id).encode()) % len(self._clients)

    def _refused(self, refusal: Refusal) -> None:
        self._lost(refusal.tag, f"refused ({refusal.code}): {refusal.message}")

    def _lost(self, line: int, what: str) -> None:
        self._listener.lost(Problem(where="", what=what, file=self._name, line=line))
