"""What the door costs: events a second and µs of CPU per event, by POST /v1/batch and WebSocket, beside floors.

The floors decode each event and answer, and keep nothing: the engine also checks, numbers, remembers and writes each,
and answers after fsync. Eight connections from this process; each HTTP request waits for its answer, each stream keeps
at most a thousand events unacknowledged.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.children import HERE, Child, running
from bench.generator import Client, event

CONNECTIONS = 8
IN_FLIGHT = 1000
CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
[sources.bench]
write_keys = ["bench-key"]
"""
UPTO = re.compile(rb'"upto":(\d+)')


def measure(*, smoke: bool) -> dict[str, float | str]:
    """Return the figures of both ways, for frames and bodies of 1 and 20 events."""
    seconds, turns = (0.3, 1) if smoke else (3.0, 3)
    found: dict[str, float | str] = {}
    for way, load in (("POST /v1/batch", post), ("WebSocket", stream)):
        for size in (1, 20):
            pairs = [(_turn("floor", load, size, seconds), _turn("engine", load, size, seconds)) for _ in range(turns)]
            name = f"{way}, {size} event{'s' if size > 1 else ''}"
            for number, subject in enumerate(("floor", "engine")):
                found[f"{name}: {subject}, events/s"] = round(statistics.median(pair[number][0] for pair in pairs))
                found[f"{name}: {subject}, µs/event"] = round(statistics.median(pair[number][1] for pair in pairs), 1)
            ratio = statistics.median(engine[1] / floor[1] for floor, engine in pairs)
            found[f"{name}: engine / floor, CPU"] = round(ratio, 2)
    return found | _beside(smoke=smoke)


def _beside(*, smoke: bool) -> dict[str, float | str]:
    """Return how long one honest client waits for an ack: alone, beside a flood, and beside garbage."""
    count, seconds = (20, 1.0) if smoke else (300, 6.0)
    found: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.toml").write_text(CONFIG)
        with running("-m", "engine", "run", cwd=Path(folder)) as child:
            quiet = _trickle(child.port, count, 0)
            found["ack of a trickle, alone, p50 ms"] = round(quiet, 2)
            attacks = {
                "a flood": lambda: stream(child.port, 1, 20, seconds),
                "garbage": lambda: _rave(child.port, seconds),
            }
            for turn, (name, attack) in enumerate(attacks.items(), 1):
                thread = threading.Thread(target=attack)
                thread.start()
                found[f"ack of a trickle beside {name} / alone"] = round(
                    _trickle(child.port, count, turn * count) / quiet, 1
                )
                thread.join()
    return found


def _trickle(port: int, count: int, first: int) -> float:
    """Return the median of ms from a frame to its ack, one after the other."""
    client = Client(port, "/v1/stream", "bench-key")
    client.sock.setblocking(True)
    times: list[float] = []
    for number in range(1, count + 1):
        began = time.perf_counter()
        client.sock.sendall(_frame(event(first + number, time.perf_counter_ns())))
        said = b""
        while f'"upto":{number}}}'.encode() not in said:
            said += client.sock.recv(4096)
        times.append((time.perf_counter() - began) * 1e3)
    client.sock.close()
    return statistics.median(times)


def _rave(port: int, seconds: float) -> None:
    """Talk nonsense on one connection after the other."""
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(bytes(range(256)) * 4)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                pass


Load = Callable[[int, int, int, float], int]


def _turn(subject: str, load: Load, size: int, seconds: float) -> tuple[float, float]:
    """Return events a second and µs of the server's CPU per event, of one run."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.toml").write_text(CONFIG)
        which = "ws" if load is stream else "http"
        floor = [str(HERE / "floors/ingest_floor.py"), which]
        with running(*(floor if subject == "floor" else ["-m", "engine", "run"]), cwd=Path(folder)) as child:
            return _loaded(child, load, size, seconds)


def _loaded(child: Child, load: Load, size: int, seconds: float) -> tuple[float, float]:
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda number=number: counts.append(load(child.port, number, size, seconds)))
        for number in range(CONNECTIONS)
    ]
    cpu, began = child.cpu(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, used, events = time.monotonic() - began, child.cpu() - cpu, sum(counts)
    return events / took, used / events * 1e6


def _events(number: int, first: int, size: int) -> bytes:
    batch = [json.loads(event(first + each, 0)) for each in range(size)]
    for each, one in enumerate(batch):
        one["messageId"] = f"{number}-{first + each}"
    return json.dumps({"batch": batch}, separators=(",", ":")).encode()


def post(port: int, number: int, size: int, seconds: float) -> int:
    """Post batches on one connection for *seconds*, one after the other; return how many events were accepted."""
    done, over = 0, time.monotonic() + seconds
    head = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nX-Write-Key: bench-key\r\nContent-Length: %d\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while time.monotonic() < over:
            body = _events(number, done, size)
            sock.sendall(head % len(body) + body)
            said = b""
            while not said.endswith(b"}"):
                said += sock.recv(4096)
            if b"200" not in said[:12]:
                raise SystemExit(f"refused: {said!r}")
            done += size
    return done


def stream(port: int, number: int, size: int, seconds: float) -> int:
    """Send frames on one connection for *seconds*; return how many events were acknowledged."""
    client = Client(port, "/v1/stream", "bench-key")
    client.sock.setblocking(True)
    sent = acked = 0
    over, said = time.monotonic() + seconds, b""
    while time.monotonic() < over or acked < sent:
        while sent - acked < IN_FLIGHT and time.monotonic() < over:
            client.sock.sendall(_frame(_events(number, sent, size)))
            sent += size
        said = (said + client.sock.recv(65536))[-200:]
        if found := UPTO.findall(said):
            acked = int(found[-1])
    client.sock.close()
    return acked


def _frame(body: bytes) -> bytes:
    """Return one masked text frame; the mask is zero, which is legal and costs nothing."""
    size = len(body)
    length = bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + size.to_bytes(2)
    return b"\x81" + (length if size < 65536 else bytes([0x80 | 127]) + size.to_bytes(8)) + bytes(4) + body
