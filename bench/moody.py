"""Far ends that may be sick: one that is always well, one that is sick in another way every few seconds, or in one.

Arguments: ``well``, ``moody`` or one of its `MOODS`, and the seconds of a slot. Prints ``port N`` when it listens.
SIGUSR1 heals it for good, SIGUSR2 lets it be dead. On SIGTERM it prints one line of JSON: requests, events that were
answered with 200, when its slots began, and for each slot its events and their p50 and p99 from send to arrival, in ms.
"""

from __future__ import annotations

import heapq
import json
import selectors
import signal
import socket
import sys
import time
from array import array

from bench.sink import OK, SENT, Sink, take

MOODS = ("fine", "dead", "500", "hang", "429", "slow")
"""What it is like, one after another, for a slot each."""
REFUSED = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
LATER = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
SLOW = 0.2
"""Seconds before an answer while it is slow."""
TURN = 0.05
"""Seconds between two looks at the time, at most."""


class Slots:
    """Durations by slot, in µs: a number each, so that half an hour of them is small."""

    def __init__(self, seconds: float) -> None:
        self.width = int(seconds * 1e9)
        self.began = time.perf_counter_ns()
        self.taken: list[array[int]] = []

    def append(self, one: tuple[int, int]) -> None:
        """Add (took, at), both ns of the machine-wide monotonic clock, to the slot of *at*."""
        took, at = one
        slot = max(at - self.began, 0) // self.width
        while len(self.taken) <= slot:
            self.taken.append(array("L"))
        self.taken[slot].append(took // 1000)

    def figures(self) -> list[dict[str, float]]:
        """Return per slot how many there were, and p50 and p99 in ms."""
        return [_figures(sorted(one)) for one in self.taken]


def _figures(ordered: list[int]) -> dict[str, float]:
    if not ordered:
        return {"count": 0, "p50": 0.0, "p99": 0.0}
    last = len(ordered) - 1
    p50, p99 = (ordered[min(int(len(ordered) * part), last)] / 1000 for part in (0.5, 0.99))
    return {"count": len(ordered), "p50": p50, "p99": p99}


class Far(Sink):
    """Answers by its mood; only what it took counts as arrived."""

    def __init__(self, moods: tuple[str, ...], seconds: float) -> None:
        super().__init__()
        self.moods, self.seconds = moods, seconds
        self.slots = Slots(seconds)
        self.events = 0
        self.mood = "fine"
        self.began = time.monotonic()
        self.port = 0
        self.server: socket.socket | None = None
        self.later: list[tuple[float, int, socket.socket]] = []

    def open(self) -> int:
        """Listen, on the same port as before; return it."""
        self.server = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.server.setblocking(False)
        self.selector.register(self.server, selectors.EVENT_READ, self.accept)
        self.port = self.server.getsockname()[1]
        return self.port

    def heal(self) -> None:
        """Be fine from now on."""
        self.moods = ("fine",)

    def die(self) -> None:
        """Be dead from now on."""
        self.moods = ("dead",)

    def run(self) -> None:
        """Serve until told to stop."""
        while not self.over:
            self._feel()
            for key, _ in self.selector.select(timeout=TURN):
                key.data(key.fileobj)

    def read(self, connection: socket.socket) -> None:
        """Take what came, and answer every whole request in it, now, later or never."""
        try:
            data = connection.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self._close(connection)
            return
        buffer = self.buffers[connection]
        buffer += data
        while (body := take(buffer)) is not None:
            self.requests += 1
            self._answer(connection, body)

    def _answer(self, connection: socket.socket, body: bytes) -> None:
        if self.mood in {"fine", "slow"}:
            now = time.perf_counter_ns()
            for sent in SENT.findall(body):
                self.events += 1
                self.slots.append((now - int(sent), now))
        if self.mood == "slow":
            heapq.heappush(self.later, (time.monotonic() + SLOW, self.requests, connection))
        elif self.mood != "hang":
            _send(connection, {"500": REFUSED, "429": LATER}.get(self.mood, OK))

    def _feel(self) -> None:
        """Take on the mood of this moment, and send what is due."""
        now = time.monotonic()
        mood = self.moods[int((now - self.began) / self.seconds) % len(self.moods)]
        if mood != self.mood:
            before, self.mood = self.mood, mood
            if before == "hang" or mood == "dead":
                for connection in list(self.buffers):
                    self._close(connection)
            if mood == "dead" and self.server is not None:
                self.selector.unregister(self.server)
                self.server.close()
                self.server = None
        if mood != "dead" and self.server is None:
            self.open()
        while self.later and self.later[0][0] <= now:
            _send(heapq.heappop(self.later)[2], OK)

    def _close(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        connection.close()
        del self.buffers[connection]


def _send(connection: socket.socket, answer: bytes) -> None:
    try:
        connection.send(answer)
    except OSError:
        return  # it has gone meanwhile, and comes again


def main() -> None:
    """Run until SIGTERM, then report."""
    kind, seconds = sys.argv[1], float(sys.argv[2])
    far = Far({"moody": MOODS, "well": ("fine",)}.get(kind, (kind,)), seconds)

    def stop(_number: int, _frame: object) -> None:
        far.over = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, lambda *_: far.heal())
    signal.signal(signal.SIGUSR2, lambda *_: far.die())
    print(f"port {far.open()}", flush=True)
    far.run()
    slots = far.slots
    told = {"requests": far.requests, "events": far.events, "began": slots.began, "slots": slots.figures()}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
