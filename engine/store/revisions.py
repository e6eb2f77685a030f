"""Which configuration was in force when: each that an engine ran with, as it was written, with where it took effect.

Kept in Meta, the last `KEPT` of them: a slot each, and one page of heads to find them by. What decides an event is the
revision in force where its router stood, which is what `Head.reached` is for: a sync that lags reads older events with
a newer plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from engine.errors import StoreError
from engine.store.base import Store

HEADS = "revisions"
"""The Meta key of the heads, the oldest first, as JSON."""
SLOT = "revision:{}"
"""The Meta key of one revision; the slots are used in a circle."""
KEPT = 64
"""Revisions kept at most; older ones are forgotten."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What tells one revision from another.

    Attributes:
        number: from 1 on, without a gap.
        position: the log's last position when it took effect.
        at: epoch seconds when it took effect.
        digest: of all texts it was made from, see `engine.config.load.Loaded.digest`.
        reached: by sync, the highest position that was read with the revision before.
        judged: by source, the highest position that was judged with the revision before.
    """

    number: int
    position: int
    at: float
    digest: str
    reached: dict[str, int] = {}
    judged: dict[str, int] = {}


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far everybody had come when a configuration took effect: see `Head.reached` and `Head.judged`."""

    syncs: dict[str, int] = {}
    sources: dict[str, int] = {}


class Revision(Head, frozen=True, kw_only=True):
    """One configuration. No secret was resolved: what was ``env:NAME`` in the file is that here.

    Attributes:
        text: config.toml and what it includes, one after another, as they were written.
        tables: the same as tables, merged, contracts with the events of their files; function files are named only.
            `engine.config.load.read_tables` makes a configuration of it.
    """

    text: str
    tables: dict[str, Any]


async def keep_revision(
    store: Store,
    now: float,
    *,
    digest: str,
    text: str,
    tables: Mapping[str, Any],
    reached: Reached,
) -> Revision | None:
    """Remember the configuration that takes effect now, unless it is the one that is in force; return what was kept.

    After a crash in the middle it is there whole, or not at all; then it is kept at the next start.

    Raises:
        StoreError: somebody else keeps revisions at the same time; nothing was kept.
    """
    stored = await store.meta.get(HEADS)
    known = heads_in(stored)
    if known and known[-1].digest == digest:
        return None
    revision = Revision(
        number=known[-1].number + 1 if known else 1,
        position=store.last,
        at=now,
        digest=digest,
        reached=reached.syncs,
        judged=reached.sources,
        text=text,
        tables=dict(tables),
    )
    slot = slot_of(revision.number)
    before = await store.meta.get(slot)
    if not await store.meta.put(slot, msgspec.json.encode(revision), before[1] if before else 0):
        raise StoreError("the configuration was changed by somebody else at the same time; nothing was kept")
    names = Head.__struct_fields__
    head = Head(**{name: getattr(revision, name) for name in names})
    if not await store.meta.put(HEADS, msgspec.json.encode([*known, head][-KEPT:]), stored[1] if stored else 0):
        raise StoreError("the configuration was changed by somebody else at the same time; nothing was kept")
    return revision


async def heads(store: Store) -> list[Head]:
    """Return what is kept, the oldest first; the last is in force."""
    return heads_in(await store.meta.get(HEADS))


async def revision(store: Store, number: int) -> Revision | None:
    """Return one revision, or None if it is forgotten or never was."""
    return revision_in(await store.meta.get(slot_of(number)), number)


def number_of(known: Iterable[Head], sync: str, position: int) -> int:
    """Return the number of the revision with which *sync* read the event at *position*; it may be forgotten.

    For an event that was not read yet it is the one in force.

    Args:
        known: every head, the oldest first.
        sync: its name.
        position: of the event.
    """
    number = 1  # what was before the first is the first's, which is forgotten once there are many
    for head in known:
        if head.reached.get(sync, head.position) < position:
            number = head.number
    return number


def judge_of(known: Iterable[Head], source: str, position: int) -> int:
    """Return the number of the revision by which *source* judged the event at *position*; it may be forgotten.

    Args:
        known: every head, the oldest first.
        source: its name.
        position: of the event.
    """
    number = 1
    for head in known:
        if head.judged.get(source, head.position) < position:
            number = head.number
    return number


def heads_in(stored: tuple[bytes, int] | None) -> list[Head]:
    """Return the heads in what Meta has at `HEADS`."""
    return msgspec.json.decode(stored[0], type=list[Head]) if stored else []


def slot_of(number: int) -> str:
    """Return the Meta key of one revision."""
    return SLOT.format(number % KEPT)


def revision_in(stored: tuple[bytes, int] | None, number: int) -> Revision | None:
    """Return the revision in what Meta has at its slot, or None if another one took it."""
    found = msgspec.json.decode(stored[0], type=Revision) if stored else None
    return found if found and found.number == number else None
