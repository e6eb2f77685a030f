"""What a source had accepted, and nobody judged before it was removed: it is dropped, event by event, and counted."""

from __future__ import annotations

from engine.results import SOURCE_REMOVED, Result
from engine.store.base import Change, Cursor, Store

TOGETHER = 256
"""Events in one transaction: it must not hold up the log's."""


async def drop_unjudged(store: Store, cursor: Cursor) -> int:
    """Drop what a source accepted behind *cursor*; return how many.

    Each gets a stored result, so that its trace says what became of it, in one transaction with the count and the
    cursor: after a crash in the middle it goes on from there. Its bytes stay in the log as long as others.
    """
    source, at, dropped = cursor.source, cursor.position, 0
    while found := await store.read(source, at, store.last, TOGETHER):
        at = found[-1].position
        dropped += len(found)
        await store.commit(
            Change(
                cursors=(Cursor(source=source, position=at),),
                counts={(f"source:{source}", "dropped"): len(found)},
                results=tuple(Result(position=e.position, outcome="dropped", reason=SOURCE_REMOVED) for e in found),
            )
        )
    return dropped
