"""Contracts over events that were recorded: one that they propose, and what another one would do to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from engine.config import schema
from engine.lang.contract import Checked, Contract, ContractSpec, EventSpec
from engine.lang.envelope import normalise
from engine.messages import Logged
from engine.plan.breaches import violation_texts

Fate = Literal["pass", "flag", "omit", "block"]
"""What a contract does to an event; ``flag``: it goes on whole, in spite of violations."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_INNER = {"identify": "traits", "group": "traits"}
"""Where a call keeps its payload; elsewhere it is ``properties``."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded event under two contracts.

    Attributes:
        before: what the source's contract of today does to it; ``pass`` without one.
        after: what the other does.
        violations: of the other, as ``pointer: message``.
        omitted: pointers of the fields that the other leaves out.
    """

    position: int
    message_id: str
    type: str
    name: str
    before: Fate
    after: Fate
    violations: tuple[str, ...] = ()
    omitted: tuple[str, ...] = ()


def contract_spec(name: str, table: schema.Contract) -> ContractSpec:
    """Return a contract as it is configured, ready to be compiled."""
    events = tuple(
        EventSpec(
            type=event.type,
            name=event.name,
            version=event.version,
            schema=event.schema,
            on_undeclared_fields=event.on_undeclared_fields,
            on_schema_violation=event.on_schema_violation,
            include_built_in_context=event.include_built_in_context,
        )
        for event in table.events
    )
    return ContractSpec(
        name=name,
        events=events,
        on_undeclared_event=table.on_undeclared_event,
        schema_version_path=table.schema_version_path,
        propagate=table.propagate,
    )


def propose(logged: Iterable[Logged]) -> list[dict[str, Any]]:
    """Return the events of a contract that all of *logged* keep, as a contract's file holds them.

    Every event that was seen is declared, with all its fields and their types; what each one of them has is required.
    """
    from genson import SchemaBuilder  # noqa: PLC0415 - only here

    builders: dict[tuple[str, str], Any] = {}
    for one in logged:
        body = normalise(_decode(one.raw), one.envelope)
        kind, name = _named(body)
        key = (kind, name if kind == "track" else "")
        if key not in builders:
            builders[key] = SchemaBuilder(schema_uri=None)
        inner = body.get(_INNER.get(kind, "properties"))
        builders[key].add_object(inner if isinstance(inner, dict) else {})
    return [_proposed(kind, name, builder.to_schema()) for (kind, name), builder in sorted(builders.items(), key=_key)]


def compare(today: Contract | None, other: Contract, logged: Iterable[Logged]) -> Iterator[Compared]:
    """Yield what *other* would do to each event, beside what *today* does."""
    for one in logged:
        body = normalise(_decode(one.raw), one.envelope)
        checked = other.check(body)
        kind, name = _named(body)
        yield Compared(
            position=one.position,
            message_id=one.envelope.message_id,
            type=kind,
            name=name,
            before=_fate(today.check(body)) if today else "pass",
            after=_fate(checked),
            violations=tuple(violation_texts(checked)),
            omitted=checked.omitted,
        )


def _fate(checked: Checked) -> Fate:
    if not checked.allowed:
        return "block"
    return "omit" if checked.omitted else "flag" if checked.violations else "pass"


def _named(body: dict[str, Any]) -> tuple[str, str]:
    kind = str(body.get("type"))
    name = body.get("event" if kind == "track" else "name")
    return kind, name if isinstance(name, str) else ""


def _key(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _proposed(kind: str, name: str, inner: dict[str, Any]) -> dict[str, Any]:
    place = _INNER.get(kind, "properties")
    event: dict[str, Any] = {"type": kind, "name": name} if name else {"type": kind}
    required = {"required": [place]} if inner.get("required") else {}
    return {**event, "schema": {"type": "object", "properties": {place: inner}, **required}}
