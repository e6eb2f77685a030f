"""A user function in a process of its own, called from the loop without holding it up."""

from __future__ import annotations

import subprocess

import trio

from engine.results import Hello, Said
from engine.runtime.host import HEAD
from engine.runtime.hosted import START, Died, TimedOut, Unusable, ending, framed, length, said, spawn


class Hand:
    """Calls one function, one call at a time; starts its process when it is needed.

    Args:
        hello: what to run. A process that begins anew runs the same text, whatever its file says by then.
    """

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: trio.SocketStream | None = None

    async def call(self, payload: bytes, seconds: float) -> Said:
        """Return what the function says to *payload*. Cancelled, it ends the process: nobody would read its answer.

        Raises:
            TimedOut: not within *seconds*.
            Died: its process ended.
            Unusable: it cannot be loaded.
        """
        finished = False
        try:
            await self.ready()
            with trio.move_on_after(seconds):
                made = await self._asked(payload)
                finished = True
                return made
            raise TimedOut(f"no answer within {seconds:g} s")
        finally:
            if not finished:
                self.kill()

    def kill(self) -> None:
        """End the process; the next call starts another."""
        if self._process:
            ending(self._process)
        if self._stream:
            self._stream.socket.close()
        self._process = self._stream = None

    async def _asked(self, payload: bytes) -> Said:
        """Send a call and read its answer."""
        assert self._stream
        assert self._process
        try:
            await self._stream.send_all(framed(payload))
            return await _frame(self._stream)
        except (trio.BrokenResourceError, Died):
            raise Died(ending(self._process)) from None

    async def ready(self) -> None:
        """Make sure that a process runs.

        Raises:
            Died: its process ended.
            Unusable: it cannot be loaded.
        """
        if self._process is not None and self._process.poll() is not None:
            self.kill()  # it ended while nothing was asked of it: no event is to blame
        if self._stream is None:
            self._process, self._stream = await self._started()

    async def _started(self) -> tuple[subprocess.Popen[bytes], trio.SocketStream]:
        process, wire = spawn(self._hello)
        wire.setblocking(False)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(wire))
        good = False
        try:
            with trio.move_on_after(START) as scope:
                first = await _first(stream, process)
                good = not first.error
                if good:
                    return process, stream
                raise Unusable(first.error)
            assert scope.cancelled_caught
            raise Unusable(f"{self._hello.name}: it was not loaded within {START:g} s")
        finally:
            if not good:
                ending(process)
                stream.socket.close()


async def _first(stream: trio.SocketStream, process: subprocess.Popen[bytes]) -> Said:
    try:
        return await _frame(stream)
    except (trio.BrokenResourceError, Died):
        raise Died(ending(process)) from None


async def _frame(stream: trio.SocketStream) -> Said:
    return said(await _exactly(stream, length(await _exactly(stream, HEAD))))


async def _exactly(stream: trio.SocketStream, many: int) -> bytes:
    found = bytearray()
    while len(found) < many:
        some = await stream.receive_some(min(many - len(found), 1 << 20))
        if not some:
            raise Died("it has gone")
        found += some
    return bytes(found)
