"""The near end of the pipeline bench: WebSocket clients in a process of their own, on one thread of raw sockets.

An open loop: events leave at Poisson moments, whatever the engine does; ``late`` is the worst delay of a send behind
its moment, and tells how far to believe the run.

Arguments: one JSON object {port, path, rate, seconds, connections, key}. Prints one line of JSON: sent,
late_ms, and [ack - sent, sent] of every event, in ns.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import selectors
import socket
import struct
import sys
import time
from collections import deque
from typing import Any

UPTO = re.compile(rb'"upto":(\d+)')
PATIENCE = 20.0
"""Seconds to wait for the last acks."""


class Client:
    """One connection: frames out, acks in."""

    def __init__(self, port: int, path: str, key: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        token = base64.b64encode(f"{key}:".encode()).decode()
        nonce = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            f"sec-websocket-key: {nonce}\r\nsec-websocket-version: 13\r\nsec-websocket-protocol: headrace.v1\r\n"
            f"authorization: Basic {token}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.sock.recv(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise SystemExit(f"the handshake failed: {head!r}")
        self.sock.setblocking(False)
        self.sent: deque[int] = deque()
        self.acked = 0
        self.out = bytearray()
        self.buffer = b""

    def send(self, body: bytes, now: int) -> None:
        """Send one event as one text frame; the mask is zero, which is legal and costs nothing."""
        size = len(body)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
        self.out += b"\x81" + length + b"\0\0\0\0" + body
        self.sent.append(now)
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes."""
        try:
            while self.out:
                del self.out[: self.sock.send(self.out)]
        except BlockingIOError:
            pass

    def acks(self, latencies: list[tuple[int, int]]) -> None:
        """Read acks and note how long each event took."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        if not data:
            raise SystemExit("the engine closed a connection")
        now = time.perf_counter_ns()
        found = UPTO.findall(self.buffer + data)
        self.buffer = (self.buffer + data)[-64:]
        upto = max([self.acked, *map(int, found)])
        while self.acked < upto:
            at = self.sent.popleft()
            latencies.append((now - at, at))
            self.acked += 1


class Generator:
    """Sends and listens on one thread."""

    def __init__(self, wish: dict[str, Any]) -> None:
        self.wish = wish
        self.clients = [Client(wish["port"], wish["path"], wish["key"]) for _ in range(wish["connections"])]
        self.selector = selectors.DefaultSelector()
        for client in self.clients:
            self.selector.register(client.sock, selectors.EVENT_READ, client)
        self.latencies: list[tuple[int, int]] = []
        self.count = 0
        self.late = 0

    def run(self) -> dict[str, Any]:
        """Send for the wished time, wait for the last acks, and return the figures."""
        ends = time.perf_counter_ns() + int(self.wish["seconds"] * 1e9)
        self.send_all(ends)
        patience = time.perf_counter_ns() + int(PATIENCE * 1e9)
        while any(client.sent for client in self.clients) and time.perf_counter_ns() < patience:
            self.listen(0.01)
        unacked = sum(len(client.sent) for client in self.clients)
        return {"sent": self.count, "unacked": unacked, "late_ms": self.late / 1e6, "acks": self.latencies}

    def send_all(self, ends: int) -> None:
        """Send at Poisson moments."""
        chance = random.Random(7)
        moment = time.perf_counter_ns()
        while (moment := moment + int(chance.expovariate(self.wish["rate"]) * 1e9)) < ends:
            while (wait := moment - time.perf_counter_ns()) > 0:
                self.listen(min(wait / 1e9, 0.05))
            self.late = max(self.late, -wait)
            self.send_one()

    def send_one(self) -> None:
        """Send the next event, in turn over the connections."""
        now = time.perf_counter_ns()
        self.clients[self.count % len(self.clients)].send(event(self.count, now), now)
        self.count += 1

    def listen(self, seconds: float) -> None:
        """Read acks for at most *seconds*."""
        for key, _ in self.selector.select(timeout=seconds):
            key.data.acks(self.latencies)
        for client in self.clients:
            if client.out:
                client.flush()


_HEAD, _TAIL = (
    part.encode()
    for part in json.dumps(
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "user-4711",
            "anonymousId": "8d8ac610-566d-4ef0-9c22-186b2a5ed793",
            "timestamp": "2026-11-23T10:00:00.000Z",
            "properties": {
                "order_id": "50314b8e9bcf000000000000",
                "affiliation": "Google Store",
                "total": "27.50",
                "revenue": 25.0,
                "shipping": 3,
                "tax": 2,
                "discount": 2.5,
                "coupon": "hasbros",
                "currency": "USD",
                "sent": "@",
                "products": [
                    {
                        "product_id": "507f1f77bcf86cd799439011",
                        "sku": "45790-32",
                        "name": "Monopoly: 3rd Edition",
                        "price": 19,
                        "quantity": 1,
                        "category": "Games",
                        "url": "https://www.example.com/product/path",
                        "image_url": "https:///www.example.com/product/path.jpg",
                    }
                ],
            },
            "context": {
                "ip": "203.0.113.9",
                "locale": "en-US",
                "page": {"path": "/checkout/", "title": "Checkout", "url": "https://www.example.com/checkout/"},
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0",
                "library": {"name": "bench", "version": "1"},
            },
            "messageId": "#",
        },
        separators=(",", ":"),
    ).split('"@"')
)
_BODY, _END = _TAIL.split(b'"#"')
_RUN = os.urandom(6).hex()


def event(number: int, now: int) -> bytes:
    """Return one event of about 1 KB, with the moment it is sent at."""
    return b'%s%d%s"%s-%d"%s' % (_HEAD, now, _BODY, _RUN.encode(), number, _END)


if __name__ == "__main__":
    json.dump(Generator(json.loads(sys.argv[1])).run(), sys.stdout)
