"""What retention must not take, and what it takes first: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from engine.store.base import Cursor, Progress


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    """Which log rows someone still needs.

    Attributes:
        floors: source to the highest position that its validator and all syncs on it have read.
        open: positions of deliveries whose fate is not known.
    """

    floors: dict[str, int]
    open: frozenset[int]


def pins(cursors: Iterable[Cursor], progress: Iterable[Progress]) -> Pins:
    """Return what these readers of the log still need; a source without a cursor has floor 0, so is not in it."""
    floors = {cursor.source: cursor.position for cursor in cursors}
    opened: set[int] = set()
    for sync in progress:
        if sync.source in floors:
            floors[sync.source] = min(floors[sync.source], sync.high)
        opened.update(position for position, _ in sync.open)
    return Pins(floors=floors, open=frozenset(opened))


def old_ones(rows: Iterable[tuple[int, str, float]], before: float) -> Iterator[int]:
    """Yield positions of (position, source, received_at), per source up to its first that is not older than *before*.

    Taking a prefix keeps this from reading the whole log; it may let an old event stay that was received before the
    clock was set back.
    """
    young: set[str] = set()
    for position, source, received_at in rows:
        if received_at >= before:
            young.add(source)
        elif source not in young:
            yield position
