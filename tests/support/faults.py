"""``headrace`` that kills itself at a point of its work, on a machine whose clock can be set; started as a module.

``HEADRACE_FAULT=POINT:N`` is ``kill -9`` at the N-th pass of one of `POINTS`. ``HEADRACE_CLOCK=FILE`` names eight
bytes, a double: the seconds by which the wall clock is set forward, at this moment. The engine knows of neither.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from actors import maintenance
from actors.receiver.acks import Acks
from engine import __main__
from engine.runtime import clock
from engine.runtime.http_client import HttpClient
from engine.runtime.lanes import Lanes
from engine.store import start
from engine.store.pages import Books
from engine.store.sqlite import trim
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.writer import Writer

FAULT = "HEADRACE_FAULT"
CLOCK = "HEADRACE_CLOCK"
OFTEN = 0.1
"""Seconds between two looks of retention: it shall be hit as well."""

Die = Callable[[], None]


def before(owner: Any, name: str) -> Callable[[Die], None]:
    """Return what puts a death before each call of a function."""

    def put(die: Die) -> None:
        call = getattr(owner, name)

        @functools.wraps(call)
        def wrapped(*args: Any, **options: Any) -> Any:
            die()
            return call(*args, **options)

        setattr(owner, name, wrapped)

    return put


def after(owner: Any, name: str) -> Callable[[Die], None]:
    """Return what puts a death behind each call of a function that had something to do."""

    def put(die: Die) -> None:
        call = getattr(owner, name)

        @functools.wraps(call)
        def wrapped(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            if result is None or result:
                die()
            return result

        @functools.wraps(call)
        async def waited(*args: Any, **options: Any) -> Any:
            result = await call(*args, **options)
            if result is None or result:
                die()
            return result

        setattr(owner, name, waited if inspect.iscoroutinefunction(call) else wrapped)

    return put


def inside(die: Die) -> None:
    """Put a death into each transaction, all statements done and nothing committed."""
    call = Writer._work

    def wrapped(self: Writer, work: Any) -> None:
        def run(connection: Any) -> Any:
            result = work.run(connection)
            die()
            return result

        call(self, msgspec.structs.replace(work, run=run))

    Writer._work = wrapped  # type: ignore[method-assign]


POINTS: dict[str, Callable[[Die], None]] = {
    "log-unwritten": before(Writer, "_write"),
    "log-written": after(Writer, "_write"),
    "acked": after(Acks, "take"),
    "result-kept": after(SqliteStore, "keep"),
    "routed": before(Lanes, "put"),
    "handed": after(Lanes, "put"),
    "asked": before(HttpClient, "send"),
    "answered": after(HttpClient, "send"),
    "folded": after(Books, "fold"),
    "books-uncommitted": inside,
    "books-committed": after(Writer, "_work"),
    "claimed": after(SqliteStore, "claim"),
    "trimming": after(trim, "delete_log"),
    "beginning": after(start, "begin"),
}
"""Where an engine can die; each is passed in every life under load, `beginning` once and before it accepts anything."""


class Machine:
    """The machine's clocks for whoever imports `time`, with a wall clock that can be set from without."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)

    def time(self) -> float:
        """Return epoch seconds by a clock that was set."""
        return time.time() + float(struct.unpack("d", self._shared[:8])[0])


def set_clock(file: Path, seconds: float) -> None:
    """Set the clock of an engine that was started with *file* forward by so many seconds in all."""
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(struct.pack("d", seconds))


def main() -> None:
    """Put in what the environment asks for, and be the front door."""
    maintenance.EVERY = maintenance.AGAIN = OFTEN
    point, _, passes = os.environ.get(FAULT, "").partition(":")
    if point:
        left = itertools.count(1)

        def die() -> None:
            if next(left) == int(passes):
                os.kill(os.getpid(), signal.SIGKILL)

        POINTS[point](die)
    if file := os.environ.get(CLOCK):
        clock.time = Machine(Path(file))  # type: ignore[assignment, attr-defined]
    __main__.main()


if __name__ == "__main__":
    main()
