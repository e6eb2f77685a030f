"""The tap: the last events of a source with what the door said, bounded and lossy; whoever looks holds nobody up.

A hand-over costs one ``extend``: what became of an event behind the door is found out only when somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import msgspec
import trio

from engine.messages import Envelope, Logged

KEPT = 500
"""Events kept per source."""


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    """An element that did not become an event.

    Attributes:
        verdict: ``refused`` or ``duplicate``.
        code: of the refusal, or "".
        message: its text, or "".
        raw: as it came; b"" if that cannot be said in JSON.
        at: epoch seconds.
    """

    message_id: str
    verdict: str
    code: str = ""
    message: str = ""
    raw: bytes = b""
    at: float


class Tap:
    """The last events of one source."""

    __slots__ = ("_kept", "_news", "upto")

    def __init__(self) -> None:
        self.upto = 0
        self._kept: deque[Logged | Turned] = deque(maxlen=KEPT)
        self._news: trio.Event | None = None

    def add(self, accepted: Sequence[Logged], turned: Sequence[Turned] = ()) -> None:
        """Take note of one submission; costs next to nothing while nobody looks."""
        self._kept.extend(accepted)
        self._kept.extend(turned)
        self.upto += len(accepted) + len(turned)
        if self._news is not None:
            self._news.set()
            self._news = None

    def since(self, after: int, limit: int) -> tuple[int, list[tuple[int, Logged | Turned]]]:
        """Return how many were missed, and the first *limit* of those after number *after* that are kept."""
        oldest = self.upto - len(self._kept) + 1
        first = max(after + 1, oldest)
        start = first - oldest
        kept = list(self._kept)[start : start + limit]
        return max(0, oldest - after - 1), list(enumerate(kept, first))

    def erase(self, positions: Collection[int]) -> int:
        """Forget what is kept of the events at these positions; return how many there were."""
        gone = 0
        for place, one in enumerate(self._kept):
            if isinstance(one, Logged) and one.position in positions:
                envelope = Envelope(message_id="", received_at=one.envelope.received_at, erased="passed")
                self._kept[place] = Logged(position=one.position, source=one.source, raw=b"", envelope=envelope)
                gone += 1
        return gone

    async def wait(self, after: int, seconds: float) -> None:
        """Return when there is more than *after*, or after *seconds*."""
        with trio.move_on_after(seconds):
            while self.upto <= after:
                if self._news is None:
                    self._news = trio.Event()
                await self._news.wait()
