"""A stream that gives back what was already read from it, before it reads on: for a request to upgrade."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.runtime.at_once import write_at_once


class ReplayStream(trio.abc.HalfCloseableStream):
    """*stream*, with the *head* of a request in front of what it still has to say.

    What follows the head is held back until something was sent. A client must wait for the answer to its handshake
    before it says more (RFC 6455, section 4.1), but some do not, and wsproto keeps what comes too early to itself until
    more comes.

    Args:
        stream: the rest; owned from now on.
        head: bytes that were read from it, the head of the request and what came with it.

    Attributes:
        before_read: awaited before more is read: the reader is done with all that it was given.
    """

    before_read: Callable[[], Awaitable[None]] | None = None

    def __init__(self, stream: trio.abc.Stream, head: bytes) -> None:
        self._stream = stream
        self._unsent = b""
        end = head.find(b"\r\n\r\n") + 4
        self._head, self._early = head[:end], head[end:]
        self._answered = trio.Event()
        self._through = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return the head, then, after the first `send_all`, what came with it, then what the stream gives."""
        if self.before_read is not None:
            await self.before_read()
        if self._through:  # an Event that is set still costs its waiter a turn of the loop
            return await self._stream.receive_some(max_bytes)
        if not self._head:
            await self._answered.wait()
            self._head, self._early = self._early, b""
        if not self._head:
            self._through = True
            return await self._stream.receive_some(max_bytes)
        await trio.lowlevel.checkpoint()
        size = max_bytes or len(self._head)
        piece, self._head = self._head[:size], self._head[size:]
        return piece

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the stream, after what `post` has left; nobody may be in the middle of another `send_all`."""
        if self._unsent:
            data, self._unsent = self._unsent + bytes(data), b""
        await self._stream.send_all(data)
        self._answered.set()

    def keep(self, data: bytes) -> None:
        """Let the next `send_all` send *data* first."""
        self._unsent += data

    def post(self, data: bytes) -> bool:
        """Send *data* as far as the kernel takes it now; return whether the next `send_all` has nothing to add."""
        self._unsent += data[self.write_at_once(data) :]
        return not self._unsent

    def write_at_once(self, data: bytes) -> int:
        """Write what the kernel takes now, once the handshake is answered; see `at_once.write_at_once`."""
        return write_at_once(self._stream, data) if self._answered.is_set() and not self._unsent else 0

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for the stream."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Say that no more will come; over TLS, which cannot say it, close."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await self._stream.aclose()

    async def aclose(self) -> None:
        """Close the stream."""
        self._answered.set()
        await self._stream.aclose()
