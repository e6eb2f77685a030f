"""What makes room when the store is full of what waits: the deliveries of the destination that waits longest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from engine.observe.status import Status

SOME = 256
"""Deliveries that expire at once, at most."""


class Expiring(Protocol):
    """What belongs to a destination, as far as it matters here."""

    def expire(self, most: int) -> int:
        """Let the sender archive the first *most* of what waits; return how many these are."""


def oldest_of(ports: Mapping[str, Expiring], status: Callable[[], Awaitable[Status]]) -> Callable[[], Awaitable[int]]:
    """Return what lets some deliveries expire, of the destination whose oldest event has waited longest.

    Those that wait in its lanes go; its routers and the retry scheduler fill these again with what is next. What waits
    for a paused sync or for a function can be picked from no lane, and does not expire.

    Args:
        ports: by destination.
        status: the engine at a glance.
    """

    async def expire() -> int:
        found = [one for one in (await status()).syncs if one.oldest_pending is not None]
        found.sort(key=lambda one: one.oldest_pending or 0.0, reverse=True)
        for sync in found:
            port = ports.get(sync.destination)
            if port is not None and (some := port.expire(SOME)):
                return some
        return 0

    return expire
