"""A receiver on a port of its own, over a real store, and clients that speak to it."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Self

import msgspec
import trio

from actors.receiver import Receiver
from actors.receiver.doors import Door
from actors.receiver.intake import Intake
from engine.config import schema
from engine.runtime.beside import Beside
from engine.runtime.clock import SystemClock
from engine.runtime.websocket import Closed, WebSocket, connect
from engine.store.base import Store
from engine.units import Address, Network
from engine.wire import SUBPROTOCOL
from plugins.sources.http import Http
from plugins.sources.posthog import PostHog
from plugins.sources.webhook import Webhook
from tests.support.doors import door, intake
from tests.support.frames import hold


class Standing:
    """A receiver for *doors*, or for a source ``shop``; runs while its block does.

    Args:
        store: where events go.
        doors: who may send.
        port: 0 for any free one.
        proxies: ``trusted_proxies``.
        tls: the receiver's certificate.
        limits: keys of ``[receiver.limits]``.
    """

    def __init__(
        self,
        store: Store,
        *doors: Door,
        port: int = 0,
        proxies: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        **limits: Any,
    ) -> None:
        self.intake: Intake = intake(store, *(doors or (door(),)), most=limits.get("event", 32 << 10))
        settings = schema.Receiver(
            listen=Address(f"127.0.0.1:{port}"),
            limits=schema.Limits(**limits),
            trusted_proxies=tuple(map(Network, proxies)),
        )
        self.receiver = Receiver(settings, self.intake, [Http(), PostHog(), Webhook()], SystemClock(), tls)
        self._scheme = "http" if tls is None else "https"
        self.address = ""
        self._beside = Beside()

    async def __aenter__(self) -> Self:
        nursery = await self._beside.__aenter__()
        nursery.start_soon(self.receiver.run)
        self.address = await self.receiver.address()
        return self

    async def __aexit__(self, *error: object) -> bool | None:
        try:
            self.receiver.stop()
            with trio.move_on_after(1.0):
                while self.receiver.streams:
                    await trio.lowlevel.checkpoint()
        finally:
            ended = await self._beside.__aexit__(*error)  # type: ignore[arg-type]
        return ended

    @property
    def url(self) -> str:
        """Return where HTTP goes."""
        return f"{self._scheme}://{self.address}"

    async def socket(
        self, nursery: trio.Nursery, query: str = "writeKey=shop-key", headers: Sequence[tuple[str, str]] = ()
    ) -> WebSocket:
        """Return an open WebSocket."""
        socket = await connect(
            f"ws://{self.address}/v1/stream?{query}", nursery=nursery, subprotocols=[SUBPROTOCOL], headers=headers
        )
        nursery.start_soon(hold, socket._stream)
        return socket


async def said(socket: WebSocket) -> dict[str, Any]:
    """Return the next thing the receiver says."""
    answer: dict[str, Any] = msgspec.json.decode(await socket.receive())
    return answer


async def acked(socket: WebSocket, upto: int) -> list[dict[str, Any]]:
    """Return what was refused of all up to *upto*, once that is acknowledged."""
    refused: list[dict[str, Any]] = []
    while True:
        ack = await said(socket)
        assert ack["type"] == "ack"
        refused += ack.get("refused", [])
        if ack["upto"] >= upto:
            assert ack["upto"] == upto
            return refused


async def ending(socket: WebSocket) -> tuple[int, str]:
    """Return code and reason of the close, whatever comes before it."""
    try:
        while True:
            await socket.receive()
    except Closed as closed:
        return closed.code, closed.reason
