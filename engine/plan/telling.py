"""An explanation as text, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec

from engine.plan.changes import changes
from engine.plan.explained import Explained, Shown, Tried, Verdict, Walk

_INDENT = "  "


def as_text(explained: Explained) -> str:
    """Return *explained* as lines that follow the event on its way; no colours, no trailing newline."""
    lines = [
        _headline(explained),
        *_door(explained),
        *_contract(explained.contract),
        *_functions(explained),
    ]
    several = len({walk.message_id for walk in explained.syncs}) > 1
    for name, walks in groupby(explained.syncs, key=lambda walk: walk.sync):
        lines += ["", f"sync {name}"]
        for message_id, own in groupby(walks, key=lambda walk: walk.message_id):
            lines += _indented([f"event {message_id}"]) if several else []
            lines += _indented(_sync(list(own)))
    return "\n".join(lines)


def _headline(explained: Explained) -> str:
    event = explained.event
    name = event.get("event")
    kind = event.get("type") or "an event without a type"
    called = f"{kind} '{name}'" if name else str(kind)
    return f"{called} by source {explained.source}"


def _door(explained: Explained) -> list[str]:
    return [f"door: refused, {explained.refused}"] if explained.refused else []


def _contract(verdict: Verdict) -> Iterator[str]:
    if verdict.name is None:
        yield "contract: none"
        return
    yield f"contract {verdict.name}: {'kept' if verdict.allowed else f'blocked ({verdict.reason})'}"
    yield from _indented(verdict.violations)
    if verdict.omitted:
        yield f"{_INDENT}taken out: {', '.join(verdict.omitted)}"


def _functions(explained: Explained) -> Iterator[str]:
    if explained.function_error:
        yield "functions: failed"
        yield from _indented(explained.function_error.splitlines())
    elif explained.functions is not None:
        count = len(explained.functions)
        yield f"functions: {count} event{'' if count == 1 else 's'} came out"
        for body in explained.functions:
            message_id = body.get("messageId")
            if message_id == explained.event.get("messageId"):
                yield from _indented(changes(explained.event, body))
            else:
                yield f"{_INDENT}new: {message_id}"


def _sync(walks: Sequence[Walk]) -> Iterator[str]:
    """Tell what one event met in one sync: the filters, then each end."""
    yield from _tried(walks[0].tried)
    for walk in walks:
        yield f"→ {_end(walk)}"
        yield from _indented([*walk.error.splitlines(), *walk.trace.splitlines(), *walk.notes])
        if walk.payload is not None:
            yield from _indented(["payload", *_indented(_pretty(walk.payload))])
        if walk.request is not None:
            yield from _indented(["request", *_indented(_request(walk.request))])


def _end(walk: Walk) -> str:
    if walk.fate == "deliver":
        return f"deliver as {walk.event_type}"
    as_type = f" as {walk.event_type}" if walk.event_type else ""
    return f"{walk.fate}{as_type} ({walk.reason})"


def _tried(tried: Sequence[Tried]) -> Iterator[str]:
    width = max((len(kind.event_type) for kind in tried), default=0)
    for kind in tried:
        answer = "yes" if kind.takes else "no"
        yield f"{kind.event_type:<{width}}  {answer:<3}  {kind.filter or '(takes every event)'}"
        if len(kind.clauses) > 1 or not kind.takes:
            for clause in kind.clauses:
                found = f"   ({clause.found})" if clause.found and not clause.value else ""
                yield f"{'':<{width}}       {'+' if clause.value else '-'} {clause.text}{found}"


def _request(request: Shown) -> Iterator[str]:
    yield f"{request.method} {request.url}"
    for name, value in request.headers.items():
        yield f"{name}: {value}"
    if request.body is not None:
        yield ""
        yield from request.body.splitlines() if isinstance(request.body, str) else _pretty(request.body)


def _pretty(value: Any) -> list[str]:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode().splitlines()


def _indented(lines: Sequence[str] | Iterator[str]) -> list[str]:
    return [f"{_INDENT}{line}" if line else "" for line in lines]
