"""The far end of the pipeline bench: a raw HTTP/1.1 server, in a process of its own, that notes each arrival.

Prints ``port N`` when it listens. On SIGTERM it writes one line of JSON: requests, and [arrival - sent, arrival] of
every event, in ns of the machine-wide monotonic clock. An event is found by ``"sent":<ns>`` in the body, however it
was mapped.
"""

from __future__ import annotations

import json
import re
import selectors
import signal
import socket
import sys
import time

SENT = re.compile(rb'"sent":(\d+)')
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Sink:
    """Counts on one thread; a request costs it about 15 µs."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, int]] = []
        self.requests = 0
        self.selector = selectors.DefaultSelector()
        self.buffers: dict[socket.socket, bytearray] = {}
        self.over = False

    def listen(self) -> int:
        """Open the port and return it."""
        server = socket.create_server(("127.0.0.1", 0), backlog=512)
        server.setblocking(False)
        self.selector.register(server, selectors.EVENT_READ, self.accept)
        port: int = server.getsockname()[1]
        return port

    def accept(self, server: socket.socket) -> None:
        """Take one connection."""
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.buffers[connection] = bytearray()
        self.selector.register(connection, selectors.EVENT_READ, self.read)

    def read(self, connection: socket.socket) -> None:
        """Take what came, and answer every whole request in it."""
        try:
            data = connection.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self.selector.unregister(connection)
            connection.close()
            del self.buffers[connection]
            return
        buffer = self.buffers[connection]
        buffer += data
        while (body := take(buffer)) is not None:
            now = time.perf_counter_ns()
            self.requests += 1
            self.arrivals += [(now - int(sent), now) for sent in SENT.findall(body)]
            connection.send(OK)

    def run(self) -> None:
        """Serve until told to stop."""
        while not self.over:
            for key, _ in self.selector.select(timeout=0.2):
                key.data(key.fileobj)


def take(buffer: bytearray) -> bytes | None:
    """Cut the first whole request's body off *buffer*; None if there is none."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = LENGTH.search(buffer, 0, head)
    end = head + 4 + (int(length[1]) if length else 0)
    if len(buffer) < end:
        return None
    body = bytes(buffer[head + 4 : end])
    del buffer[:end]
    return body


def main() -> None:
    """Run until SIGTERM, then report."""
    sink = Sink()

    def stop(_number: int, _frame: object) -> None:
        sink.over = True

    signal.signal(signal.SIGTERM, stop)
    print(f"port {sink.listen()}", flush=True)
    sink.run()
    json.dump({"requests": sink.requests, "arrivals": sink.arrivals}, sys.stdout)


if __name__ == "__main__":
    main()
