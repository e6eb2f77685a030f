"""A client that keeps a connection: it buffers, reconnects, and sends again what was not acknowledged."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec
import trio

from engine import wire
from engine.client.calls import Calls, iso, prepared
from engine.client.window import Refusal, Statistics, Window
from engine.errors import HeadraceError, ProtocolError
from engine.runtime.bell import Bell
from engine.runtime.beside import Beside
from engine.runtime.clock import Clock, SystemClock
from engine.runtime.websocket import Bounds, Closed, Refused, WebSocket
from engine.runtime.websocket import connect as open_socket

FINAL: Final = {
    wire.PROTOCOL: "the receiver could not read a frame",
    wire.KEY: "the receiver does not know the write key",
    wire.TOO_LARGE: "the receiver found a frame too large",
}
"""Close codes after which trying again does not help."""

BACKOFF: Final = (0.1, 10.0)
"""Seconds before the second attempt to connect, at most, and between any two; each doubles the wait (full jitter)."""
QUOTA: Final = 30.0
"""Seconds of waiting at least, after the receiver said that it is too much."""
STALL: Final = 30.0
"""Seconds without an ack while events fly, after which the connection counts as dead."""
READY: Final = 10.0
"""Seconds the receiver has to say that it is ready."""
GOODBYE: Final = 1.0
"""Seconds the receiver has to answer our close."""
KEPT: Final = 1000
"""Refusals kept for `Client.refusals`."""


class ClientError(HeadraceError):
    """The client cannot go on, or was closed; says why. What it still held is in `Client.undelivered`."""


class Client(Calls):
    """Sends events; made by `connect`, used with ``async with``. Any task may send.

    Attributes:
        refusals: the last 1,000 events that the receiver did not accept.
        trouble: why there is no connection now, or "".
        undelivered: after the end: the JSON of all events that were not acknowledged.
    """

    def __init__(
        self,
        url: str,
        write_key: str,
        *,
        buffer: int,
        on_refused: Callable[[Refusal], None] | None,
        clock: Clock,
        roll: Callable[[], float],
    ) -> None:
        self.refusals: deque[Refusal] = deque(maxlen=KEPT)
        self.trouble = ""
        self.undelivered: tuple[bytes, ...] = ()
        self._url = _endpoint(url)
        self._key = write_key
        self._window = Window(buffer)
        self._on_refused = on_refused
        self._clock = clock
        self._roll = roll
        self._error: ClientError | None = None
        self._connections = 0
        self._source = ""
        self._beside = Beside()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._news = Bell()
        self._lot = trio.lowlevel.ParkingLot()

    async def __aenter__(self) -> Self:
        """Begin to connect; events may be sent at once."""
        nursery = await self._beside.__aenter__()
        nursery.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close, after giving what is left its time unless the block failed."""
        try:
            await self.aclose(5.0 if kind is None else 0.0)
        finally:
            self._end(ClientError("the client is closed"))
            suppress = await self._beside.__aexit__(kind, error, trace)
        return suppress

    async def send(self, event: Mapping[str, Any] | bytes | str, *, tag: int = 0) -> str:
        """Buffer one event as it is, JSON or not yet; wait while the buffer is full. Return its messageId.

        Args:
            event: one without a messageId is given one, so that sending it again does no harm.
            tag: comes back in its `Refusal`.

        Raises:
            ValueError: not a JSON object.
            ClientError: the client cannot go on, or is closed.
        """
        raw, message_id = prepared(event)
        await trio.lowlevel.checkpoint()
        while self._error is None and self._window.room <= 0:
            await self._lot.park()
        if self._error is not None:
            raise self._error
        self._window.put(raw, message_id, tag)
        self._news.ring()
        return message_id

    async def opened(self) -> str:
        """Wait for a connection; return the name of the source that the write key opens.

        Raises:
            ClientError: there will be none.
        """
        await trio.lowlevel.checkpoint()
        while not self._source and self._error is None:
            await self._lot.park()
        if self._error is not None:
            raise self._error
        return self._source

    async def flush(self) -> None:
        """Wait until all that was sent is acknowledged or refused.

        Raises:
            ClientError: it never will be.
        """
        await trio.lowlevel.checkpoint()
        while self._error is None and (self._window.waiting or self._window.flying):
            await self._lot.park()
        if self._error is not None:
            raise self._error

    async def aclose(self, seconds: float = 5.0) -> tuple[bytes, ...]:
        """Flush for at most *seconds*, disconnect, and return what was not delivered (`undelivered`)."""
        try:
            with trio.move_on_after(seconds):
                await self.flush()
        except ClientError:
            pass
        finally:
            self._end(ClientError("the client is closed"))
        await self._ended.wait()
        return self.undelivered

    def statistics(self) -> Statistics:
        """Return the client in numbers, as of now."""
        window = self._window
        return Statistics(
            sent=window.sent,
            acked=window.acked,
            refused=window.refused,
            resent=window.resent,
            reconnects=max(self._connections - 1, 0),
            waiting=window.waiting,
            flying=window.flying,
        )

    async def _run(self) -> None:
        failures = 0
        while self._error is None:
            before = self._connections
            least = await self._connection()
            failures = 0 if self._connections > before else failures + 1
            first, most = BACKOFF
            wait = self._roll() * min(most, first * 2.0 ** min(failures, 20))
            with self._phase():
                await self._clock.sleep(max(least, wait))
        self._ended.set()

    def _phase(self) -> trio.CancelScope:
        """Return a scope that ends when the client does."""
        self._scope = trio.CancelScope()
        if self._error is not None:
            self._scope.cancel()
        return self._scope

    async def _connection(self) -> float:
        """Live one connection from its opening to its end; return how many seconds to wait at least."""
        try:
            async with Beside() as nursery:
                socket: WebSocket | None = None
                with self._phase():
                    socket = await self._opened(nursery)
                if socket is not None:
                    await self._talk(socket)
        except Closed as closed:
            self.trouble = str(closed)
            if closed.code in FINAL:
                reason = f": {closed.reason}" if closed.reason else ""
                self._end(ClientError(f"{FINAL[closed.code]}{reason}"))
            return QUOTA if closed.code == wire.QUOTA else 0.0
        except (Refused, ProtocolError) as error:
            self.trouble = str(error)
        finally:
            self._window.lost()
        return 0.0

    async def _opened(self, nursery: trio.Nursery) -> WebSocket:
        return await open_socket(
            self._url,
            nursery=nursery,
            subprotocols=[wire.SUBPROTOCOL],
            headers=[("Authorization", f"Bearer {self._key}")],
            bounds=Bounds(max_message=wire.MAX_FRAME),
        )

    async def _talk(self, socket: WebSocket) -> None:
        try:
            with self._phase():
                await self._greeted(socket)
                async with Beside() as nursery:
                    nursery.start_soon(self._write, socket)
                    await self._listen(socket)
        finally:
            with trio.move_on_after(GOODBYE):
                await socket.close()

    async def _greeted(self, socket: WebSocket) -> None:
        with trio.move_on_after(READY):
            answer = _answer(await socket.receive())
            if not isinstance(answer, wire.Ready):
                raise ProtocolError("the receiver did not say that it is ready")
            self._window.opened(answer)
            self._connections += 1
            self._source = answer.source
            self.trouble = ""
            self._lot.unpark_all()
            return
        raise Closed(1006, f"the receiver was not ready in {READY:g} s")

    async def _write(self, socket: WebSocket) -> None:
        while True:
            while (refusal := self._window.too_large()) is not None:
                self._refused(refusal)
            frame = self._window.frame(iso(self._clock.wall()))
            if frame is None:
                await self._news.wait()
                continue
            try:
                await socket.send(frame)
            except Closed:
                return  # the listener learns of it as well, and knows why

    async def _listen(self, socket: WebSocket) -> None:
        while True:
            flew = self._window.flying
            with trio.move_on_after(STALL):
                message = await socket.receive()
                answer = _answer(message)
                if isinstance(answer, wire.Ack):
                    for refusal in self._window.ack(answer):
                        self._refused(refusal)
                    self._news.ring()
                    self._lot.unpark_all()
                continue
            if flew:
                raise Closed(1006, f"the receiver acknowledged nothing for {STALL:g} s")

    def _refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)
        self._lot.unpark_all()
        if self._on_refused is not None:
            self._on_refused(refusal)

    def _end(self, error: ClientError) -> None:
        """Take no more; the first reason is the one that is told."""
        if self._error is None:
            self._error = error
        self.undelivered = self._window.left()
        self._scope.cancel()
        self._lot.unpark_all()


def connect(
    url: str,
    write_key: str,
    *,
    buffer: int = 10_000,
    on_refused: Callable[[Refusal], None] | None = None,
    clock: Clock | None = None,
    roll: Callable[[], float] = random.random,
) -> Client:
    """Return a client for ``async with``; it connects, and connects again, by itself.

    Args:
        url: of the receiver, for example ``ws://127.0.0.1:8321``; http and https are understood too.
        write_key: of a source.
        buffer: events held at most; `Client.send` waits beyond it.
        on_refused: called with each event that the receiver does not accept. Must not raise.
        clock: for ``timestamp`` and waits.
        roll: returns numbers in [0, 1), to spread reconnects.
    """
    return Client(url, write_key, buffer=buffer, on_refused=on_refused, clock=clock or SystemClock(), roll=roll)


def _answer(message: str | bytes) -> wire.Answer:
    try:
        answer: wire.Answer = msgspec.json.decode(message, type=wire.Answer)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"the receiver said what this client does not understand: {error}") from error
    return answer


def _endpoint(url: str) -> str:
    """Return *url* as the address of the stream: its scheme a WebSocket's, its path `wire.PATH` unless it has one."""
    parts = httpx.URL(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return str(parts.copy_with(scheme=scheme, path=wire.PATH if parts.path in ("", "/") else parts.path))
