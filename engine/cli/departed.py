"""What syncs that are gone had on its way when the engine last ended: made again by their plan, and archived."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.lang.retry import RetryPolicy
from engine.plan import Plan
from engine.plan.again import restored
from engine.store.base import Change, Progress, Store
from engine.store.start import Wish
from engine.store.tally import Tally

TOGETHER = 256
"""Positions that are looked through at once."""


async def archive_departed(store: Store, old: Plan, wishes: Iterable[Wish], now: float) -> None:
    """Archive what was open of every sync that is in none of *wishes*, reason ``sync_removed``.

    Each part is one transaction with the progress, so that a crash in the middle repeats nothing. What *old* does not
    make of its event any more is left: it is counted as discarded when the sync is forgotten.
    """
    wishes = list(wishes)
    stay = {(name, wish.source) for wish in wishes for name in (wish.sync, wish.was)}
    for page in await store.meta.progress():
        known = page.sync in old.syncs and old.syncs[page.sync].source == page.source
        if known and (page.sync, page.source) not in stay:
            await _archive(store, old, page, now)


async def _archive(store: Store, old: Plan, page: Progress, now: float) -> None:
    sync, source = old.syncs[page.sync], old.sources[page.source]
    left = set(page.open)
    positions = sorted({position for position, _ in left})
    while positions:
        first = positions[0]
        some = [position for position in positions if position < first + TOGETHER]
        positions = positions[len(some) :]
        found = await store.results(some)
        tally = Tally(RetryPolicy(), now, lambda: 0.0)
        for logged in await store.read(page.source, first - 1, some[-1], TOGETHER):
            for event in restored(source, logged, found.get(logged.position), now):
                for delivery in sync.route(event, now).deliveries:
                    if (delivery.position, delivery.key) in left:
                        left.discard((delivery.position, delivery.key))
                        tally.sync_removed(delivery)
        rest = msgspec.structs.replace(page, open=tuple(sorted(left)))
        await store.commit(Change(progress=(rest,), troubles=tally.settled(None).troubles))
