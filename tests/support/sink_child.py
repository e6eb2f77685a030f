"""A sink in a process of its own, which can be frozen. Prints its port, and at SIGTERM its arrivals."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import trio

from tests.support.child import Child
from tests.support.sink import Arrival, Sink


class FarSink(Sink):
    """Looks like a sink once it was `read`; until then it only has a port.

    Args:
        folder: for what it writes to standard error.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.child = Child(["sink"], folder, __name__)
        self.port = int(self.child.until("port").split()[1])

    def read(self) -> None:
        """End it, and learn what arrived there."""
        self.child.signal(signal.SIGTERM)
        ahead = trio.current_time() - time.monotonic()
        told: list[dict[str, Any]] = json.loads(self.child.until("["))
        self.child.wait()
        self.arrivals = [Arrival(**one | {"at": one["at"] + ahead}) for one in told]
        self.taken = {arrival.number for arrival in self.arrivals if arrival.status == 200}


async def main() -> None:
    """Serve until SIGTERM."""
    sink = Sink()
    async with trio.open_nursery() as nursery:
        await nursery.start(sink.run)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            sys.stdout.write(f"port {sink.port}\n")
            sys.stdout.flush()
            async for _ in signals:
                break
        behind = time.monotonic() - trio.current_time()
        arrivals = [msgspec.structs.asdict(one) | {"at": one.at + behind} for one in sink.arrivals]
        sys.stdout.write(json.dumps(arrivals) + "\n")
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
