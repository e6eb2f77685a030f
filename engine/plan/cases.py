"""`[[cases]]`: what a user says must become of an event, held against what the plan makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec

from engine.config.schema import Case, Expect
from engine.errors import HeadraceError
from engine.plan.compile import Plan
from engine.plan.explain import explain
from engine.plan.explained import Explained, Walk

AT = 1767225600.0
"""When every case happens, in epoch seconds: 2026-01-01T00:00:00Z, so that a payload with a time can be expected."""

_FATES = ("deliver", "blocked", "archived", "filtered")


class CaseResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one case came out.

    Attributes:
        ok: whether all that was expected came, and nothing else.
        text: what differs, one finding a line; "" if nothing does.
        file: where the case stands.
        line: counts from 1; 0 if it is not known.
    """

    name: str
    ok: bool
    text: str = ""
    file: str = ""
    line: int = 0


def run_cases(plan: Plan, at: float = AT) -> list[CaseResult]:
    """Return the result of every case, in the file's order.

    Args:
        plan: what decides; nothing is sent.
        at: epoch seconds at which the events are received.
    """
    return [_run(plan, case, index, at) for index, case in enumerate(plan.config.cases)]


def _run(plan: Plan, case: Case, index: int, at: float) -> CaseResult:
    file, line = plan.loaded.lines.where(f"cases[{index}]")
    try:
        explained = explain(
            plan,
            case.event,
            source=case.source or None,
            at=at,
            before=chain(case.before, repeat(case.event, case.times - 1)),
        )
        findings = list(_findings(case, explained))
    except HeadraceError as error:
        findings = [str(error)]
    return CaseResult(name=case.name, ok=not findings, text="\n".join(findings), file=file, line=line)


def _findings(case: Case, explained: Explained) -> Iterator[str]:
    """Yield what differs: deliveries that are missing, unexpected or otherwise than expected, then the fate."""
    left = [walk for walk in explained.syncs if walk.fate == "deliver"]
    for expect in case.expect:
        walk = _nearest(expect, left)
        if walk is None:
            yield f"{_named(expect)}: {_missing(expect, explained)}"
            continue
        left.remove(walk)
        if expect.payload is not None:
            head = f"{walk.sync}/{walk.event_type}: payload"
            yield from differences(expect.payload, walk.payload, head)
    if case.expect or case.fate != "deliver":
        for walk in left:
            yield f"{walk.sync}/{walk.event_type}: not expected, got a delivery of {_json(walk.payload)}"
    fate = _fate(explained)
    if case.fate and fate != case.fate:
        yield f"expected the fate {case.fate}, got {fate}{_reasons(explained)}"


def _nearest(expect: Expect, walks: Sequence[Walk]) -> Walk | None:
    """Return the delivery that *expect* means: the one with its payload, else the first of that event type."""
    fitting = [walk for walk in walks if walk.sync == expect.sync and expect.event_type in {"", walk.event_type}]
    exact = (walk for walk in fitting if expect.payload is None or walk.payload == expect.payload)
    return next(exact, fitting[0] if fitting else None)


def _missing(expect: Expect, explained: Explained) -> str:
    """Return what the sync made of the event instead of one more delivery."""
    walks = [walk for walk in explained.syncs if walk.sync == expect.sync]
    if not walks:
        return f"source '{explained.source}' has no sync of this name"
    came = [walk.event_type for walk in walks if walk.fate == "deliver"]
    ends = [f"{walk.event_type or ''} {walk.fate}{_reason(walk)}".strip() for walk in walks if walk.fate != "deliver"]
    got = [*ends, f"no more than as {', '.join(map(str, came))}"] if came else ends
    return f"expected a delivery, got {', '.join(dict.fromkeys(got))}"


def _fate(explained: Explained) -> str:
    """Return the event's fate over all syncs: delivered by any, else stopped, else filtered by all."""
    fates = {walk.fate for walk in explained.syncs}
    return next((fate for fate in _FATES if fate in fates), "filtered")


def _reasons(explained: Explained) -> str:
    reasons = dict.fromkeys(f"{walk.sync}: {walk.reason}" for walk in explained.syncs if walk.reason)
    return f" ({', '.join(reasons)})" if reasons else ""


def _reason(walk: Walk) -> str:
    what = ": ".join(part for part in (walk.reason, walk.error) if part)
    return f" ({what})" if what else ""


def differences(expected: Any, got: Any, where: str) -> Iterator[str]:
    """Yield one line per place where two JSON values differ; numbers are equal by value, 1 and true are not."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            if key not in got:
                yield f"{where}.{key}: expected {_json(value)}, got nothing"
            else:
                yield from differences(value, got[key], f"{where}.{key}")
        for key, value in got.items():
            if key not in expected:
                yield f"{where}.{key}: expected nothing, got {_json(value)}"
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (value, other) in enumerate(zip(expected, got, strict=True)):
            yield from differences(value, other, f"{where}[{index}]")
    elif isinstance(expected, bool) != isinstance(got, bool) or expected != got:
        yield f"{where}: expected {_json(expected)}, got {_json(got)}"


def _named(expect: Expect) -> str:
    return f"{expect.sync}/{expect.event_type}" if expect.event_type else expect.sync


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
