"""A process that writes to a store until it is killed; run as a script.

It reads one line a life, ``append SEED FOLDER`` or ``maintain SEED FOLDER``, and forks a child that lives it, so that
fifty deaths need one start of the interpreter. It prints ``pid N``, what the child saw acknowledged, then ``over``.
"""

from __future__ import annotations

import os
import pathlib
import random
import sys
from collections.abc import Awaitable, Callable

import trio

from engine.messages import Logged, Result, Settle, Settlement, State
from engine.store.base import Change, Cursor, Selection, Store
from engine.store.opening import open_store
from tests.support.stores import NOW, event, progress, settle, trouble

CONNECTIONS = 4
OPEN = 3
"""Positions that a maintained sync leaves open."""


def say(text: str) -> None:
    """Write a line at once; a pipe takes it whole."""
    os.write(1, f"{text}\n".encode())


def batch(store: Store, chance: random.Random) -> list[Logged]:
    """Return the next events; each tells which batch it is of."""
    first = store.last + 1
    last = first + chance.choice((0, 0, 3, 20, 300))
    source = chance.choice(("shop", "app"))
    return [event(at, source, raw=b'{"first":%d,"last":%d}' % (first, last)) for at in range(first, last + 1)]


async def append(store: Store, chance: random.Random) -> None:
    """Append as several connections do, and say what is durable."""

    async def connection() -> None:
        while True:
            ready = trio.Event()
            events = batch(store, chance)

            def done(error: BaseException | None, last: int = events[-1].position, ready: trio.Event = ready) -> None:
                assert error is None
                say(f"durable {last}")
                ready.set()

            store.append(events, done)
            store.keep([Result(position=events[0].position, outcome="dropped")], lambda _: None)
            if chance.random() < 0.2:
                high = store.last
                await store.commit(
                    Change(cursors=(Cursor(source="shop", position=high),), progress=(progress(high, (high,)),))
                )
            await ready.wait()

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(connection)


async def maintain(store: Store, chance: random.Random) -> None:
    """Settle deliveries of a sync in every way, and say how many were made durable."""
    known = await store.meta.progress()
    high = known[0].high if known else 0
    opened = [at for at, _ in known[0].open] if known else []
    while True:
        fresh = range(high + 1, high + 1 + chance.randint(1, 30))
        store.append([event(at) for at in fresh], lambda _: None)
        high = fresh[-1]
        pending = [*opened, *fresh]
        closed, opened = pending[:-OPEN], pending[-OPEN:]
        fates = {at: chance.choice(("delivered", State.RETRYING, State.ARCHIVED)) for at in closed}
        claims = await store.claim("crm", NOW, 20)
        settles = [_end(claim, chance) for claim in claims]
        await store.commit(
            Change(
                progress=(progress(high, opened),),
                troubles=tuple(trouble(at, fate) for at, fate in fates.items() if isinstance(fate, State)),
                settles=tuple(settles),
                counts={
                    ("sync:orders", "matched"): len(fresh),
                    ("sync:orders", "delivered"): list(fates.values()).count("delivered"),
                },
            )
        )
        say(f"matched {high}")
        if chance.random() < 0.2:
            some = Selection(ids=tuple(trouble(chance.randint(1, high)).id for _ in range(50)))
            await chance.choice((store.ledger.retry, store.ledger.discard))(some, NOW)


def _end(claim, chance: random.Random) -> Settle:
    how = chance.choice(list(Settlement))
    new = {Settlement.RETRY: State.RETRYING, Settlement.ARCHIVE: State.ARCHIVED}.get(how)
    return settle(claim, how, trouble(claim.trouble.position, new) if new else None)


LIVES: dict[str, Callable[[Store, random.Random], Awaitable[None]]] = {"append": append, "maintain": maintain}


async def live(what: str, seed: str, folder: str) -> None:
    """Open the store and write until the end."""
    store = await open_store("sqlite", pathlib.Path(folder))
    say(f"durable {store.durable}")
    await LIVES[what](store, random.Random(int(seed)))


def main() -> None:
    """Give a child one life a line."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            say(f"pid {os.getpid()}")
            trio.run(live, *line.split())
        os.waitpid(child, 0)
        say("over")


if __name__ == "__main__":
    main()
