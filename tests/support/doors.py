"""An intake over a real store, with doors as the tree makes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from actors.receiver.doors import Door
from actors.receiver.frames import Frame, Item
from actors.receiver.intake import Intake, Terms
from engine.messages import Span
from engine.plan import Doorway, SourcePlan
from engine.plugin import Secret
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock, SystemClock
from engine.runtime.mark import Mark
from engine.store.base import Store
from engine.store.seen import Seen
from engine.wire import MAX_EVENT


def door(
    name: str = "shop",
    *keys: str,
    enabled: bool = True,
    inbox: int = 16,
    doorway: Doorway = Doorway(),  # noqa: B008
) -> Door:
    """Return a source's door; its write key is ``<name>-key`` unless *keys* are given."""
    plan = SourcePlan(name, enabled=enabled, write_keys=tuple(map(Secret, keys or (f"{name}-key",))))
    plan.doorway = doorway
    return Door(plan, Inbox(f"validator.{name}", inbox), Mark())


def intake(store: Store, *doors: Door, clock: Clock | None = None, late: bool = False, most: int = MAX_EVENT) -> Intake:
    """Return an intake; messageIds it assigns are ``new-1``, ``new-2`` …"""
    numbers = itertools.count(1)
    return Intake(
        store,
        {each.plan.name: each for each in doors or (door(),)},
        Seen(86_400.0, 10_000),
        clock or SystemClock(),
        lambda: f"new-{next(numbers)}",
        Terms(max_event=most, deliver_after_commit=late),
    )


def track(number: int, **members: object) -> dict[str, object]:
    """Return a track event with messageId ``m<number>``."""
    return {"type": "track", "event": "x", "userId": "u1", "messageId": f"m{number}", **members}


def frame(*events: dict[str, object] | Item, **more: object) -> Frame:
    """Return a frame of *events*."""
    items = [msgspec.json.encode(event) if isinstance(event, dict) else event for event in events]
    return Frame(items=tuple(items), **more)  # type: ignore[arg-type]


def offered(door: Door) -> Sequence[Span]:
    """Return the spans that wait for the validator."""
    spans = []
    while (span := door.inbox.take_nowait()) is not None:
        spans.append(span)
    return spans
