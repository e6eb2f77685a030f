"""Somebody with the console open, in a process of their own: the live feed, and two pages a second; or a stuck browser.

``watcher.py live PORT`` reads the live feed as it comes and loads Overview and the debugger every second.
``watcher.py stuck PORT`` opens feeds and never reads. Prints ``port PORT`` once it watches, and on SIGTERM one line of
JSON: pages, bytes of the feed, and its longest wait for a page in ms.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sys
import threading
import time

EVERY = 1.0
"""Seconds between two rounds of pages."""
PAGES = ("/", "/sources/shop")
FEEDS = ("/live/overview", "/live/sources/shop")
SMALL = 4096
"""Bytes that a stuck browser's socket takes at most."""


class Watcher:
    """Counts what it is shown.

    Args:
        port: of the console.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages = 0
        self.fed = 0
        self.longest = 0.0
        self.over = threading.Event()

    def feed(self, path: str, *, stuck: bool) -> socket.socket:
        """Open a feed; return its socket."""
        made = socket.socket()
        if stuck:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        made.connect(("127.0.0.1", self.port))
        made.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        return made

    def read(self, opened: socket.socket) -> None:
        """Read a feed to its end."""
        while data := opened.recv(65536):
            self.fed += len(data)

    def look(self) -> None:
        """Load the pages, round after round."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        due = time.monotonic()
        while not self.over.wait(max(due - time.monotonic(), 0)):
            for path in PAGES:
                began = time.monotonic()
                connection.request("GET", path, headers={"Accept": "text/html"})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == 200, (path, answer.status)
                self.longest = max(self.longest, time.monotonic() - began)
                self.pages += 1
            due += EVERY


def main() -> None:
    """Watch until told to stop."""
    kind, watcher = sys.argv[1], Watcher(int(sys.argv[2]))
    signal.signal(signal.SIGTERM, lambda *_: watcher.over.set())
    opened = [watcher.feed(path, stuck=kind == "stuck") for path in FEEDS]
    print(f"port {watcher.port}", flush=True)
    if kind == "live":
        for one in opened:
            threading.Thread(target=watcher.read, args=(one,), daemon=True).start()
        watcher.look()
    else:
        watcher.over.wait()
    said = {"pages": watcher.pages, "fed": watcher.fed, "longest_ms": round(watcher.longest * 1000, 1)}
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
