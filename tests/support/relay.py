"""A relay between clients and a server, that can lose an answer: what every network does now and then."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

import trio

from engine.runtime.beside import Beside

PATIENCE = 20.0
"""Seconds after which what is waited for will not happen."""


class Relay:
    """Passes connections on to a server, on 127.0.0.1.

    Args:
        port: the server's.
        lose: so many answers are swallowed: the server has taken the request, and its client never learns of it.
    """

    def __init__(self, port: int, lose: int = 0) -> None:
        self.lose = lose
        self.requests = 0
        self.refused = 0
        self.port = 0
        self.closed = False
        """Whether every new connection is cut at once."""
        self._scopes: set[trio.CancelScope] = set()
        self._server = port
        self._moved = trio.Event()
        self._beside = Beside()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def until(self, happened: Callable[[], bool]) -> None:
        """Return when *happened* is true; looked at whenever an answer has passed."""
        with trio.fail_after(PATIENCE):
            while not happened():
                self._moved = trio.Event()
                await self._moved.wait()

    async def __aenter__(self) -> Self:
        nursery = await self._beside.__aenter__()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, self._pass, listeners))
        return self

    async def __aexit__(self, *error: object) -> bool | None:
        return await self._beside.__aexit__(*error)  # type: ignore[arg-type]

    def cut(self) -> None:
        """End every connection, without a word to either side."""
        for scope in self._scopes:
            scope.cancel()

    async def _pass(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            if not self.closed:
                await self._carry(client)
        self._scopes.discard(scope)
        await trio.aclose_forcefully(client)

    async def _carry(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self._server)
        try:
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(self._ask, client, server, nursery.cancel_scope)
                await self._answer(server, client)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _ask(self, client: trio.SocketStream, server: trio.SocketStream, scope: trio.CancelScope) -> None:
        while data := await client.receive_some(65536):
            self.requests += bytes(data).count(b"POST /")
            await server.send_all(data)
        scope.cancel()

    async def _answer(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        while data := await server.receive_some(65536):
            # An interim answer is none: who waits for it sends nothing.
            if self.lose and not data.startswith(b"HTTP/1.1 1") and b"access-control-allow-methods" not in data.lower():
                self.lose -= 1
                return
            self.refused += data.startswith(b"HTTP/1.1 4")
            await client.send_all(data)
            self._moved.set()
