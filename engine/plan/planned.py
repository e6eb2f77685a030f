"""What another plan makes of recorded events: which requests change, appear and vanish. Pure but for user functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from engine.messages import Logged, Result, Trouble
from engine.plan.cases import differences
from engine.plan.compile import Plan
from engine.plan.diff import Diff
from engine.plan.explain import explain_logged
from engine.plan.explained import Walk

What = Literal["same", "changes", "appears", "vanishes"]
Key = tuple[str, str, str]
"""Sync, event type and messageId of one delivery."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that either plan makes of a recorded event.

    Attributes:
        position: of the event in the log.
        message_id: of the event that is delivered; functions may have made several.
        sync: its name in the new plan, or in the old one if it is gone.
        what: what the new plan does to it.
        reasons: where the requests differ; or why there is none any more, or was none before.
    """

    position: int
    message_id: str
    sync: str
    event_type: str
    what: What
    reasons: tuple[str, ...] = ()


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a sync's deliveries are how."""

    sync: str
    same: int = 0
    changes: int = 0
    appears: int = 0
    vanishes: int = 0


def summed(found: Sequence[Found]) -> list[Sum]:
    """Return one sum for each sync."""
    counts: dict[str, Counter[str]] = {}
    for one in found:
        counts.setdefault(one.sync, Counter())[one.what] += 1
    return [Sum(sync=sync, **count) for sync, count in counts.items()]


class Planned:
    """Two plans, held against the same events.

    Args:
        old: what runs.
        new: what is to run.
        diff: what *new* changes in *old*.
        at: epoch seconds, taken as the time of every request.
    """

    def __init__(self, old: Plan, new: Plan, diff: Diff, at: float) -> None:
        self._old = old
        self._new = new
        self._at = at
        self._renamed = {edit.was: edit.name for edit in diff.of("sync", "renamed")}
        self._same_source = set(old.sources) & set(new.sources) - {edit.name for edit in diff.of("source")}

    def compare(self, source: str, events: Sequence[Logged]) -> Iterator[Found]:
        """Yield every delivery that either plan makes of *events*, all of one source, in their order.

        Functions are run again, in batches as they are given here; once, if the source is the same in both plans.
        """
        before = _results(self._old, source, events, self._at)
        after = before if source in self._same_source else _results(self._new, source, events, self._at)
        for logged in events:
            was = self._walks(self._old, logged, before)
            now = self._walks(self._new, logged, after)
            yield from _compared(logged, was, now)

    def _walks(self, plan: Plan, logged: Logged, results: Mapping[int, Result]) -> list[Walk]:
        if logged.source not in plan.sources:
            return []
        told = explain_logged(plan, logged, self._at, results.get(logged.position))
        if plan is self._new:
            return list(told.syncs)
        return [msgspec.structs.replace(walk, sync=self._renamed.get(walk.sync, walk.sync)) for walk in told.syncs]


def _results(plan: Plan, source: str, events: Sequence[Logged], at: float) -> dict[int, Result]:
    """Return what the source's functions make of the events that its contract lets through."""
    found = plan.sources.get(source)
    if found is None or not found.has_functions:
        return {}
    examined = [(logged, found.examine(logged, at)) for logged in events]
    good = [(logged, body) for logged, body in examined if not isinstance(body, Trouble)]
    return {result.position: result for result in found.transform(good)}


def _compared(logged: Logged, was: list[Walk], now: list[Walk]) -> Iterator[Found]:
    before, after = _delivered(was), _delivered(now)
    for key in dict.fromkeys([*before, *after]):
        sync, event_type, message_id = key
        what, reasons = _fate(before.get(key), after.get(key), [walk for walk in (*now, *was) if walk.sync == sync])
        yield Found(
            position=logged.position,
            message_id=message_id,
            sync=sync,
            event_type=event_type,
            what=what,
            reasons=reasons,
        )


def _delivered(walks: Sequence[Walk]) -> dict[Key, Walk]:
    return {(walk.sync, walk.event_type or "", walk.message_id): walk for walk in walks if walk.fate == "deliver"}


def _fate(before: Walk | None, after: Walk | None, walks: Sequence[Walk]) -> tuple[What, tuple[str, ...]]:
    """Return what happens to one delivery, and why."""
    if before is None or after is None:
        others = [walk for walk in walks if walk.fate != "deliver"]
        why = tuple(dict.fromkeys(": ".join(filter(None, (walk.fate, walk.reason, walk.error))) for walk in others))
        return ("appears" if before is None else "vanishes"), why or ("the other plan has no such delivery",)
    found = tuple(differences(_sent(before), _sent(after), "request" if after.request else "payload"))
    return ("changes" if found else "same"), found


def _sent(walk: Walk) -> Any:
    """Return the request, or the payload where there is none."""
    return msgspec.to_builtins(walk.request) if walk.request else walk.payload
