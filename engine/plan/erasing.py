"""Erasing one user, step by step: what to forget next. Whoever runs it also forgets what is in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

import msgspec

from engine.messages import Logged, Result, Trouble
from engine.plan.sources import SourcePlan
from engine.store import looking
from engine.store.base import Store
from engine.store.erasing import Erasure, Tomb
from engine.store.selection import Selection

LOOKED = 20_000
"""Positions of the log in one step: 20 to 50 ms beside the loop."""
ROWS = 500
"""Rows of the ledger in one step."""
CHUNK = 200
"""Rows that one transaction overwrites."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What one step erased.

    Attributes:
        erasure: as it is after the step.
        events: as they were, for who has copies in memory.
    """

    erasure: Erasure
    events: Sequence[Logged] = ()


Judge = Callable[[str, int], Awaitable[SourcePlan | None]]
"""Returns a source as it judged the event at a position, or None if it is gone."""
Out = Callable[[Collection[int]], Awaitable[None]]
"""Takes out of memory what waits there to be sent, by the positions of its events."""


async def nothing_waits(_positions: Collection[int]) -> None:
    """Take nothing out: no engine runs."""


async def forget(erasure: Erasure, store: Store, judge: Judge, now: float, out: Out = nothing_waits) -> Forgotten:
    """Make the next step of *erasure*.

    Args:
        erasure: as the last step left it.
        store: erased from.
        judge: tells which events their contract had stopped, so that the books go on.
        now: epoch seconds.
        out: called when events are gone from the log and before their ledger rows go: the end of a row lets go what
            waits behind it.
    """
    if not erasure.last and erasure.state == "log":
        rows = await store.history.newest()
        erasure = msgspec.structs.replace(erasure, last=store.last, below=store.last + 1, rows=rows)
    if erasure.state == "log" and erasure.below > 1:
        return await _log(erasure, store, judge, now, out)
    if erasure.state == "log":
        return Forgotten(erasure=msgspec.structs.replace(erasure, state="ledger"))
    if erasure.state == "ledger":
        return await _ledger(erasure, store, out)
    found = await store.eraser.erase_rest(erasure.who, ())
    scrubbed = await store.eraser.scrub()
    return Forgotten(
        erasure=msgspec.structs.replace(
            erasure,
            state="done",
            violations=erasure.violations + found["violations"],
            windows=erasure.windows + found["windows"],
            scrubbed=scrubbed,
        )
    )


async def _log(erasure: Erasure, store: Store, judge: Judge, now: float, out: Out) -> Forgotten:
    """Erase a stretch of the log, with everything that is kept of its positions."""
    events, below = await store.history.of_user(erasure.who, erasure.below, LOOKED)
    # Waits until all of it is durable; whoever asks says where it began, and may say anything.
    await store.read("", 0, min(erasure.last, store.last), 1)
    positions = [one.position for one in events]
    results = await store.results(positions) if positions else {}
    cursors = {cursor.source: cursor.position for cursor in await store.meta.cursors()}
    tombs = [
        _tomb(one, await judge(one.source, one.position), now, read=one.position <= cursors.get(one.source, 0))
        for one in events
    ]
    tombs = [msgspec.structs.replace(tomb, result=results.get(tomb.position)) for tomb in tombs]
    buried = 0
    for start in range(0, len(tombs), CHUNK):
        buried += await store.eraser.bury(tombs[start : start + CHUNK])
    if positions:
        await out(positions)
    results |= await _late(store, tombs)
    rows = await store.history.troubles(positions) if positions else []
    states = await _rows(store, rows)
    violations = (await store.eraser.erase_rest(None, positions))["violations"] if positions else 0
    after = msgspec.structs.replace(
        erasure,
        below=below,
        events=erasure.events + buried,
        results=erasure.results + len(results),
        rows_erased=dict(Counter(erasure.rows_erased) + states),
        violations=erasure.violations + violations,
    )
    return Forgotten(erasure=after, events=events)


async def _late(store: Store, tombs: Sequence[Tomb]) -> dict[int, Result]:
    """Bury, and return, what functions made of events while they were buried."""
    found = await store.results([tomb.position for tomb in tombs if tomb.result is None]) if tombs else {}
    late = {position: result for position, result in found.items() if result.events}
    if late:
        buried = (msgspec.structs.replace(tomb, result=late[tomb.position]) for tomb in tombs if tomb.position in late)
        await store.eraser.bury(tuple(buried))
    return late


async def _ledger(erasure: Erasure, store: Store, out: Out) -> Forgotten:
    """Erase entries that outlived their event in the log, of which they have a copy; and what was left of others."""
    found = await store.history.sweep(Selection(), (erasure.row, erasure.rows), ROWS)
    left = await _left(store, [row for _, row in found])
    mine = [row for _, row in found if row.position in left or looking.is_of(row.event, erasure.who)]
    if mine:
        await out([row.position for row in mine])
    states = await _rows(store, mine)
    more = len(found) == ROWS
    after = msgspec.structs.replace(
        erasure,
        row=found[-1][0] if more else erasure.rows,
        state="ledger" if more else "rest",
        rows_erased=dict(Counter(erasure.rows_erased) + states),
    )
    return Forgotten(erasure=after)


async def _left(store: Store, rows: Sequence[Trouble]) -> set[int]:
    """Return the positions of rows whose events are erased: an erasure that was cut off has left them."""
    events = await store.history.events(sorted({row.position for row in rows})) if rows else {}
    return {position for position, event in events.items() if not event.raw}


async def _rows(store: Store, rows: Sequence[Trouble]) -> Counter[str]:
    """Erase ledger rows; return how many by state."""
    states: Counter[str] = Counter()
    ids = [row.id for row in rows]
    for start in range(0, len(ids), CHUNK):
        gone = await store.eraser.erase_rows(ids[start : start + CHUNK])
        states.update(row.state.value for row in gone)
    return states


def _tomb(logged: Logged, source: SourcePlan | None, now: float, *, read: bool) -> Tomb:
    """Return what stays of an event; *read*: whether its source has decided on it."""
    blocked = read and source is not None and isinstance(source.examine(logged, now), Trouble)
    return Tomb(
        position=logged.position, source=logged.source, received_at=logged.envelope.received_at, blocked=blocked
    )
