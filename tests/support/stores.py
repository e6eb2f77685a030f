"""Events, troubles and an open store, made in a line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import trio

from engine.messages import Claim, Envelope, Logged, Settle, Settlement, Stage, State, Trouble, trouble_id
from engine.store.base import Change, Progress, Store

NOW = 1_700_000_000.25


def event(position: int, source: str = "shop", *, at: float = NOW, raw: bytes | None = None, **more: Any) -> Logged:
    """Return the event at *position*, received at *at*."""
    envelope = Envelope(message_id=f"m{position}", received_at=at, **more)
    return Logged(
        position=position, source=source, raw=b'{"n":%d}' % position if raw is None else raw, envelope=envelope
    )


def key_of(number: int) -> str:
    """Return a delivery's key: 32 hex digits that differ from the first on."""
    return f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}"[::-1]


def trouble(position: int, state: State = State.RETRYING, **changes: Any) -> Trouble:
    """Return the trouble of sync ``orders`` with the event at *position*; due at `NOW` if it waits."""
    key = changes.pop("key", key_of(position))
    fields: dict[str, Any] = {
        "id": trouble_id(position, key),
        "state": state,
        "stage": Stage.SEND,
        "reason": "rejected_500",
        "source": "shop",
        "sync": "orders",
        "destination": "crm",
        "position": position,
        "key": key,
        "message_id": f"m{position}",
        "received_at": NOW - 60,
        "attempts": 1,
        "status": 500,
        "first_at": NOW - 30,
        "last_at": NOW - 20 + position,
        "due_at": NOW if state is State.RETRYING else 0.0,
        "error": "the server said 500; it will be tried again",
        "payload": b'{"mapped":%d}' % position,
    }
    return Trouble(**(fields | changes))


def settle(claim: Claim, how: Settlement, new: Trouble | None = None) -> Settle:
    """Return the end of *claim*."""
    return Settle(id=claim.trouble.id, token=claim.token, how=how, trouble=new)


def progress(high: int, opened: Sequence[int] = (), sync: str = "orders", source: str = "shop") -> Progress:
    """Return a sync's progress with those positions open."""
    return Progress(sync=sync, source=source, high=high, open=tuple((at, key_of(at)) for at in opened))


def changed(before: Trouble, **changes: Any) -> Trouble:
    """Return another row like *before*."""
    return msgspec.structs.replace(before, **changes)


class Disk:
    """A disk that has as much left as the test says."""

    def __init__(self) -> None:
        """Begin with plenty."""
        self.free = 2**40


class OpenedStore:
    """A store under test.

    Args:
        opening: opens it, and later opens it again.
        disk: what the store takes for its disk.
    """

    def __init__(self, opening: Callable[[], Awaitable[Store]], disk: Disk) -> None:
        """Nothing is open before `open`."""
        self._opening = opening
        self.disk = disk
        self.store: Store

    async def open(self) -> Store:
        """Open the store."""
        self.store = await self._opening()
        return self.store

    async def again(self) -> Store:
        """Close it and open it again."""
        await self.store.aclose()
        return await self.open()

    async def append(self, *events: Logged) -> None:
        """Append, and wait until it is durable."""
        durable = trio.Event()
        failed: list[BaseException | None] = []

        def done(error: BaseException | None) -> None:
            failed.append(error)
            durable.set()

        self.store.append(events, done)
        await durable.wait()
        assert failed == [None]

    async def fill(self, many: int, source: str = "shop") -> None:
        """Append *many* events after what is there, a second apart."""
        start = self.store.last + 1
        await self.append(*[event(position, source, at=NOW + position) for position in range(start, start + many)])

    async def trouble(self, *troubles: Trouble) -> None:
        """Write ledger rows."""
        await self.store.commit(Change(troubles=troubles))

    async def claimed(self, now: float = NOW, limit: int = 10, destination: str = "crm") -> list[int]:
        """Claim, and return the positions."""
        return [claim.trouble.position for claim in await self.store.claim(destination, now, limit)]

    async def sync_counts(self, sync: str = "orders") -> dict[str, int]:
        """Return the counts of a sync that are not 0."""
        counts = await self.store.meta.counts()
        return {name: value for (scope, name), value in counts.items() if scope == f"sync:{sync}" and value}
