"""What one hop between two actors costs: our inbox beside trio's own channel, single messages and lists."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
import trio

from engine.runtime.channel import Closed, Inbox


class Batch(msgspec.Struct, frozen=True):
    """A message for the bench: a list of numbers that can be halved."""

    items: tuple[int, ...]

    def halves(self) -> None:
        """Return None: nobody dies here."""


async def raw(count: int, message: Batch) -> None:
    """Pass *count* messages through trio's memory channel."""
    into, from_ = trio.open_memory_channel[Batch](16)

    async def feed() -> None:
        async with into:
            for _ in range(count):
                await into.send(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        async for _ in from_:
            pass


async def ours(count: int, message: Batch) -> None:
    """Pass *count* messages through an inbox."""
    inbox: Inbox[Batch] = Inbox("bench", 16)

    async def feed() -> None:
        for _ in range(count):
            await inbox.send(message)
        inbox.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed)
        try:
            while True:
                await inbox.take()
        except Closed:
            pass


async def offered(count: int, message: Batch) -> None:
    """Offer and drain *count* messages without a checkpoint."""
    inbox: Inbox[Batch] = Inbox("bench", 256)
    for _ in range(count // 256):
        for _ in range(256):
            inbox.offer(message)
        await inbox.take()
        while inbox.take_nowait():
            pass
        inbox.done()


def measure(*, smoke: bool) -> dict[str, float | str]:
    """Return µs of CPU per hop, and ours as a ratio to trio's own."""
    count = 5_000 if smoke else 100_000
    single, twenty = Batch((1,)), Batch(tuple(range(20)))
    floor = _cost(raw, count, single)
    hop = _cost(ours, count, single)
    return {
        "trio channel, one message, µs": round(floor, 2),
        "inbox, one message, µs": round(hop, 2),
        "inbox / trio channel": round(hop / floor, 2),
        "inbox, per event in lists of 20, µs": round(_cost(ours, count, twenty) / 20, 3),
        "offer and drain, µs": round(_cost(offered, count, single), 3),
    }


def _cost(run: Callable[[int, Batch], Awaitable[None]], count: int, message: Batch) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        trio.run(run, count, message)
        best = min(best, (time.process_time() - start) / count * 1e6)
    return best
