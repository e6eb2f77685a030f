"""An answer without an end, for who watches: part by part, as fast as the client reads, while it stays."""

from __future__ import annotations

import h11
import msgspec
import trio

from engine.runtime.beside import Beside
from engine.runtime.http_message import Feed

READ_SIZE = 4096
"""Bytes read at a time from a client that has nothing more to say."""


class Line(msgspec.Struct, frozen=True):
    """A connection on which a request was read, and whose answer is a feed.

    Attributes:
        stream: to the client.
        http: has read the request.
        patience: seconds for a client to take one part; a stuck one is left alone then.
        stop: ends the feed.
    """

    stream: trio.abc.Stream
    http: h11.Connection
    patience: float
    stop: trio.Event

    async def feed(self, head: h11.Response, source: Feed | None) -> None:
        """Send *head* and what *source* makes, until it returns, the client goes, or `stop` is set.

        Nothing is kept for a client that does not read: *source* waits in its send. None sends the head only.

        Raises:
            BrokenResourceError: the client went, or was stuck.
        """
        await self._send(head)
        if source is not None:
            async with Beside() as nursery:
                nursery.start_soon(self._until_gone, nursery.cancel_scope)
                nursery.start_soon(self._until_stopped, nursery.cancel_scope)
                await source(self._part)
                await self._send(h11.EndOfMessage())
                return
            raise trio.BrokenResourceError("the feed was cut off")  # in the midst of a part, perhaps
        await self._send(h11.EndOfMessage())

    async def _part(self, data: bytes) -> None:
        await self._send(h11.Data(data=data))

    async def _send(self, event: h11.Event) -> None:
        with trio.move_on_after(self.patience):
            await self.stream.send_all(self.http.send(event) or b"")
            return
        raise trio.BrokenResourceError("the client does not read its answer")

    async def _until_gone(self, scope: trio.CancelScope) -> None:
        try:
            while await self.stream.receive_some(READ_SIZE):
                pass
        except trio.BrokenResourceError:
            pass
        scope.cancel()

    async def _until_stopped(self, scope: trio.CancelScope) -> None:
        await self.stop.wait()
        scope.cancel()
