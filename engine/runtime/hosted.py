"""A user function in a process of its own, called and waited for: for commands, which have nothing else to do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Literal, Self

import msgspec

from engine.errors import HeadraceError
from engine.results import Hello, Said
from engine.runtime.host import HEAD, MOST

START = 10.0
"""Seconds a function may take to load."""

_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""The engine's environment may hold secrets; of it a function sees these."""


Fault = Literal["", "timeout", "died", "unusable"]
"""How a call can fail to be answered; "" for not."""


class TimedOut(HeadraceError):
    """The function did not answer in time; its process was ended."""


class Died(HeadraceError):
    """The function's process ended by itself; the text says how."""


class Unusable(HeadraceError):
    """The function cannot be loaded; the text says where and why."""


def spawn(hello: Hello) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a process for a function, and return it with our end of its socket; `Hello` is on its way.

    In the calling thread, which must live as long as the engine: the process dies with the thread that started it.
    """
    ours, theirs = socket.socketpair()
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "engine.runtime.host"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env=environment,
        )
    ours.sendall(framed(msgspec.msgpack.encode(hello)))
    return process, ours


def framed(body: bytes) -> bytes:
    """Return *body* with its length before it."""
    return len(body).to_bytes(HEAD, "big") + body


def length(head: bytes) -> int:
    """Return how long the frame after *head* is.

    Raises:
        Died: longer than any frame that our own program sends, so somebody else has written.
    """
    many = int.from_bytes(head, "big")
    if many > MOST:
        raise Died("what it answered is no answer")
    return many


def said(body: bytes) -> Said:
    """Return what a frame says.

    Raises:
        Died: it is no frame of ours.
    """
    try:
        return msgspec.msgpack.decode(body, type=Said)
    except msgspec.DecodeError:
        raise Died("what it answered is no answer") from None


def ending(process: subprocess.Popen[bytes]) -> str:
    """Make sure that *process* has ended, and return how."""
    process.kill()
    code = process.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
    return f"the function's process {how}"


class Hosted:
    """Calls one function; its process begins with the first call, and ends with `close`.

    Args:
        hello: what to run.
        timeout: seconds a call may take.
    """

    def __init__(self, hello: Hello, timeout: float) -> None:
        self._hello = hello
        self._timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: socket.socket | None = None

    def call(self, payload: bytes, seconds: float | None = None) -> Said:
        """Return what the function says to *payload*.

        Raises:
            TimedOut: not within the time.
            Died: its process ended.
            Unusable: it cannot be loaded.
        """
        try:
            if self._wire is None:
                self._begin()
            assert self._wire is not None
            self._wire.settimeout(self._timeout if seconds is None else seconds)
            self._wire.sendall(framed(payload))
            return self._frame()
        except TimeoutError:
            self.close()
            raise TimedOut(f"no answer within {self._timeout if seconds is None else seconds:g} s") from None
        except (OSError, Died) as error:
            how = ending(self._process) if self._process else str(error)
            self.close()
            raise Died(how) from None

    def close(self) -> None:
        """End the process; the next call starts another."""
        if self._process:
            ending(self._process)
        if self._wire:
            self._wire.close()
        self._process = self._wire = None

    def _begin(self) -> None:
        self._process, self._wire = spawn(self._hello)
        self._wire.settimeout(START)
        first = self._frame()
        if first.error:
            self.close()
            raise Unusable(first.error)

    def _frame(self) -> Said:
        return said(self._exactly(length(self._exactly(HEAD))))

    def _exactly(self, many: int) -> bytes:
        assert self._wire is not None
        found = bytearray()
        while len(found) < many:
            some = self._wire.recv(min(many - len(found), 1 << 20))
            if not some:
                raise Died("it has gone")
            found += some
        return bytes(found)


class Callers:
    """Calls several functions, each in a process of its own that begins with its first call; a context manager.

    Args:
        functions: what to run and seconds a call may take; None for what is called otherwise.
    """

    def __init__(self, functions: Sequence[tuple[Hello | None, float]]) -> None:
        self._all = [Hosted(hello, timeout) if hello else None for hello, timeout in functions]

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        for one in self._all:
            if one:
                one.close()

    def call(self, index: int, payload: bytes, seconds: float) -> tuple[Said | None, Fault, str, float]:
        """Return what a function said, or None, how it failed and why; and how many seconds it took."""
        one = self._all[index]
        assert one
        began = time.monotonic()
        try:
            return one.call(payload, seconds), "", "", time.monotonic() - began
        except (TimedOut, Died, Unusable) as error:
            return None, fault_of(error), str(error), time.monotonic() - began


def fault_of(error: TimedOut | Died | Unusable) -> Fault:
    """Return the word for what went wrong."""
    return "timeout" if isinstance(error, TimedOut) else "died" if isinstance(error, Died) else "unusable"
