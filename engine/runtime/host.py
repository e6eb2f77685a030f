"""The program that runs one user function in a process of its own.

It is started with one end of a socket as its standard input, reads a `Hello`, loads the function, and answers every
call until the socket closes; then it exits, whatever the function is doing. It knows no events: values in, values out.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
import resource
import select
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import PluginError
from engine.results import Hello, Said, kept_print, user_trace

HEAD = 4
"""Bytes before a frame that say how long it is, big-endian."""
MOST = 32 * 1024 * 1024
"""Bytes of one frame, at most."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve calls until the socket closes."""
    with socket.socket(fileno=os.dup(0)) as wire:
        # Whatever user code reads, it reads nothing; what it prints outside of a call goes where the engine's log goes.
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _die_with_parent(wire)
        hello = msgspec.msgpack.decode(receive(wire), type=Hello)
        _bound(hello.memory)
        try:
            made = _loaded(hello)
        except PluginError as error:
            send(wire, Said(error=str(error)))
            return
        send(wire, Said())
        while True:
            send(wire, answer(made, receive(wire)))


def answer(made: Any, payload: bytes) -> Said:
    """Return what the function makes of one call's JSON."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            value = _encoded(made.transform(msgspec.json.decode(payload)))
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        return Said(error=user_trace(error, made, __file__), printed=kept_print(printed))
    return Said(value=value, printed=kept_print(printed))


def _encoded(value: Any) -> bytes:
    """Return JSON.

    Raises:
        ValueError: there is too much of it.
    """
    encoded = msgspec.json.encode(value)
    if len(encoded) > MOST // 2:
        raise ValueError(f"what came out is larger than {MOST // 2:,} bytes")
    return encoded


def send(wire: socket.socket, said: Said) -> None:
    """Write one frame."""
    body = msgspec.msgpack.encode(said)
    wire.sendall(len(body).to_bytes(HEAD, "big") + body)


def receive(wire: socket.socket) -> bytes:
    """Read one frame; ends the process when the other side has gone."""
    return _exactly(wire, int.from_bytes(_exactly(wire, HEAD), "big"))


def _exactly(wire: socket.socket, many: int) -> bytes:
    found = bytearray()
    while len(found) < many:
        some = wire.recv(min(many - len(found), 1 << 20))
        if not some:
            os._exit(0)
        found += some
    return bytes(found)


def _loaded(hello: Hello) -> Any:
    module, _, name = hello.plugin.partition(":")
    try:
        plugin = getattr(importlib.import_module(module), name)
        return plugin(Path(hello.path), hello.name, hello.secrets, hello.text)
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"{hello.name}: {type(error).__name__}: {error}") from error


def _bound(memory: int) -> None:
    """Let the process have *memory* bytes more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    most = pages * resource.getpagesize() + memory
    with contextlib.suppress(ValueError, OSError):  # a system that knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _die_with_parent(wire: socket.socket) -> None:
    """End with the engine, even in the middle of a loop that never ends, and even if that holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    watch = select.poll()
    watch.register(wire, 0)

    def wait() -> None:
        watch.poll()
        os._exit(0)

    threading.Thread(target=wait, name="watch", daemon=True).start()


if __name__ == "__main__":
    main()
