"""What happens, once a second: sampled from counters that are there anyway, and shown to whoever watches.

Nobody's watching costs the engine anything per event, and a browser that does not read misses seconds: each watcher
takes the newest when it has room, and nothing is kept for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from actors.console.answers import NOT_KEPT, Refused
from engine.observe.sampling import Sample, sample
from engine.observe.status import Status
from engine.runtime.http_message import Feed, Response

if TYPE_CHECKING:
    from actors.operator import Operator

EVERY: Final = 1.0
"""Seconds between two samples."""
KEPT: Final = 300
"""Samples that charts show: five minutes."""
WATCHERS: Final = 32
"""Browsers that watch at a time; a further one is told to come later. Below the console's connections."""

Send = Callable[[bytes], Awaitable[None]]
Tell = Callable[[Status, Sequence[Sample]], Any]


class Live:
    """Samples the engine, and wakes who watches.

    Args:
        operator: what is asked.
        sleep: waits so many seconds.
    """

    def __init__(self, operator: Operator, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.samples: deque[Sample] = deque(maxlen=KEPT)
        self.watchers = 0
        self._operator = operator
        self.sleep = sleep
        self._status: Status | None = None
        self._news = trio.Event()
        self._told: dict[Tell, bytes] = {}

    async def run(self) -> None:
        """Sample until cancelled."""
        before = await self._operator.reading()
        while True:
            await self.sleep(EVERY)
            after = await self._operator.reading()
            self.samples.append(sample(before, after))
            before = after
            self._status = await self._operator.status() if self.watchers else None
            self._told.clear()
            self._news.set()
            self._news = trio.Event()

    def feed(self, tell: Tell) -> Response:
        """Return an answer that says every second what *tell* makes of it; made once for all who watch.

        Raises:
            Refused: too many watch already.
        """

        async def watch(send: Send) -> None:
            while True:
                await self._news.wait()
                if self._status is None:  # began to watch within this second
                    continue
                if tell not in self._told:
                    self._told[tell] = as_event(tell(self._status, self.samples))
                await send(self._told[tell])

        return self.stream(watch)

    def stream(self, source: Feed) -> Response:
        """Return an answer that is *source*, counted among those who watch.

        Raises:
            Refused: too many watch already.
        """
        if self.watchers >= WATCHERS:
            raise Refused(503, "too_many_watchers", f"{WATCHERS} watch already; close one of them")

        async def counted(send: Send) -> None:
            if self.watchers >= WATCHERS:
                return
            self.watchers += 1
            try:
                await send(b"retry: 2000\n\n")
                await source(send)
            finally:
                self.watchers -= 1

        headers = (("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no"), *NOT_KEPT)
        return Response(status=200, headers=headers, feed=counted)


def as_event(said: Any, number: int | None = None) -> bytes:
    """Return *said* as a server-sent event; a browser that connects again tells the last *number* it saw."""
    return (b"" if number is None else b"id: %d\n" % number) + b"data: " + msgspec.json.encode(said) + b"\n\n"
