"""The receiver: what clients talk to, WebSocket and HTTP on one port. It waits for nothing but the writer."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import partial

import msgspec
import structlog
import trio

from actors.receiver.intake import Intake
from actors.receiver.pages import Pages
from actors.receiver.posts import Posts, problem, query_of
from actors.receiver.stream import Guest, Stream
from engine import wire
from engine.config import schema
from engine.errors import HeadraceError, StoreError
from engine.plugin import Source
from engine.runtime.beside import Beside
from engine.runtime.clock import Clock
from engine.runtime.forwarded import Proxies
from engine.runtime.http_server import Limits, Request, Response, Service, Upgrade, json_response, serve
from engine.runtime.websocket import Bounds, Closed, accept

BUFFERED = 8 << 20
"""Bytes of frames that wait on one connection; beyond them nothing more is read from it."""
MESSAGES = 256
"""Frames that may wait on one connection at least, so that pings are answered while the store has no room."""
LAST_WORDS = 1.0
"""Seconds for clients to be told that the store has failed, before the receiver dies of it."""

log = structlog.get_logger()


class Receiver:
    """Listens, and serves every client until it is stopped; then it acknowledges what is durable and closes.

    Args:
        settings: `[receiver]`.
        intake: what events are submitted to.
        sources: the shapes in which they come by HTTP.
        clock: for waits.
        tls: the certificate to show; None speaks in the clear.
    """

    def __init__(
        self,
        settings: schema.Receiver,
        intake: Intake,
        sources: Iterable[Source],
        clock: Clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._intake = intake
        self._clock = clock
        self._posts = Posts(intake, sources)
        self._pages = Pages()
        self._probes = {"/healthz": partial(self.unwell, ready=False), "/readyz": partial(self.unwell, ready=True)}
        self._streams: set[Stream] = set()
        self._stopping = trio.Event()
        self._listening = trio.Event()
        self._over = trio.Event()
        self._port = 0

    @property
    def streams(self) -> int:
        """Return how many WebSocket connections are open."""
        return len(self._streams)

    async def address(self) -> str:
        """Return host:port, once it listens."""
        await self._listening.wait()
        return f"{self._settings.listen.rpartition(':')[0]}:{self._port}"

    async def run(self) -> None:
        """Serve until `stop` was called and every client has had its last ack.

        Raises:
            HeadraceError: nobody can listen there.
            StoreError: the store takes no more; nothing more can be accepted.
        """
        self._stopping, self._over = trio.Event(), trio.Event()
        self._intake.on_failure = self._over.set
        async with Beside() as nursery:
            self._port = await nursery.start(self._serve)
            self._listening.set()
            if self._intake.failed is None:
                await self._over.wait()
            if self._intake.failed is not None:
                self.stop()
                await self._clock.sleep(LAST_WORDS)
                raise StoreError(str(self._intake.failed)) from self._intake.failed

    def stop(self) -> None:
        """Accept no more, acknowledge what is durable, close with 1001; `run` returns when all are gone."""
        self._stopping.set()
        for stream in self._streams:
            stream.drain()

    def revoke(self) -> None:
        """Close the connections whose key is not good any more, after their last acks."""
        for stream in self._streams:
            stream.recheck()

    async def _serve(self, task_status: trio.TaskStatus[int]) -> None:
        listen, limits = self._settings.listen, self._settings.limits
        service = Service(
            handler=self._answer,
            crashed=_crashed,
            upgrade=self._open,
            refused=self._posts.refused,
            seen=Proxies(self._settings.trusted_proxies).seen if self._settings.trusted_proxies else None,
            tls=self._tls,
            limits=Limits(body=int(limits.frame), inflated=int(limits.inflated), connections=limits.connections),
        )
        try:
            await serve(listen.host, listen.port, service, stop=self._stopping, task_status=task_status)
        except OSError as error:
            reason = error.strerror or error
            raise HeadraceError(
                f"cannot listen on {listen}: {reason}\n    another address: [receiver] listen"
            ) from error
        self._over.set()

    async def _answer(self, request: Request) -> Response | None:
        probe = self._probes.get(request.path)
        if probe is not None and request.method in {"GET", "HEAD"}:
            return _health(probe())
        return self._pages.answer(request) or await self._posts.answer(request)

    def unwell(self, *, ready: bool) -> tuple[str, str] | None:
        """Return code and text of why no events are accepted, or None while they are.

        Args:
            ready: whether they must be so for a while, too.
        """
        if ready and self._stopping.is_set():
            return "draining", "the receiver stops"
        if self._intake.failed is not None:
            return "store_failed", str(self._intake.failed)
        if full := self._intake.store.usage().full:
            return "store_full", full
        return None

    async def _open(self, upgrade: Upgrade) -> None:
        """Serve one connection that becomes a WebSocket."""
        if upgrade.request.path != wire.PATH:
            await upgrade.stream.send_all(_lost(upgrade.request.path))
            return
        limits = self._settings.limits
        frame, window = int(limits.frame), limits.window
        bounds = Bounds(max_message=frame, messages=max(window, MESSAGES), waiting=max(BUFFERED, frame))
        try:
            socket = await accept(
                upgrade.stream, upgrade.head, nursery=upgrade.nursery, subprotocols=[wire.SUBPROTOCOL], bounds=bounds
            )
        except Closed:
            return
        ready = wire.Ready(source="", window=limits.window, max_frame=int(limits.frame), max_event=int(limits.event))
        stream = Stream(socket, _guest(upgrade.request), self._intake, ready)
        self._streams.add(stream)
        try:
            if self._stopping.is_set():
                stream.drain()
            await stream.run()
        finally:
            self._streams.discard(stream)


def _health(wrong: tuple[str, str] | None) -> Response:
    """Return what a prober is told."""
    return problem(503, *wrong) if wrong else json_response(200, {"status": "ok"})


def _guest(request: Request) -> Guest:
    """Return what the handshake says; a browser says where its page is from."""
    key = wire.shown_key(request.header("authorization")) or query_of(request).get("writeKey") or None
    origin = request.header("origin")
    return Guest(write_key=key, ip=None if origin is None else request.peer, origin=origin)


def _lost(path: str) -> bytes:
    body = msgspec.json.encode({"code": "not_found", "message": f"there is no stream at {path}, but at {wire.PATH}"})
    head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _crashed(error: Exception) -> None:
    """Log what should not have happened; the client was told 500, or its connection is gone."""
    log.error("connection.crashed", exc_info=error)
