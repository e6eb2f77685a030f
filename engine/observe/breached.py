"""Broken contracts as commands and the Admin REST show them; their JSON is an interface that others rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.lang.dates import iso
from engine.observe.entries import decoded
from engine.violated import Violated


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``violations list --json``; the last six names are Hightouch's.

    Attributes:
        event_id: the event's position in the log, as text.
        at: ISO-8601, UTC.
    """

    id: str
    event_id: str
    message_id: str
    at: str
    source: str
    contract: str
    shadow: bool
    allowed: bool
    rules: tuple[str, ...]
    event_name: str
    event_type: str
    schema_version: str
    has_undeclared_schema: bool
    has_undeclared_fields: bool
    has_schema_violated: bool
    violations: tuple[str, ...]


class WholeBreach(Breach, frozen=True, kw_only=True):
    """The same with the event as it was sent."""

    payload: Any


class BreachCount(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``violations count --json``: events that broke one rule."""

    contract: str
    event: str
    rule: str
    events: int


def breach(one: Violated) -> Breach:
    """Return *one* as a line of a list."""
    return Breach(**_parts(one))


def whole_breach(one: Violated) -> WholeBreach:
    """Return all of *one*."""
    return WholeBreach(**_parts(one), payload=decoded(one.event))


def breach_counts(counts: Mapping[tuple[str, str], int]) -> list[BreachCount]:
    """Return what the books count of broken contracts, by contract, the most frequent first.

    Args:
        counts: by (scope, name), of all scopes.
    """
    found = []
    for (scope, name), events in counts.items():
        kind, _, contract = scope.partition(":")
        if kind == "contract":
            event, _, rule = name.partition("\t")
            found.append(BreachCount(contract=contract, event=event, rule=rule, events=events))
    return sorted(found, key=lambda one: (one.contract, -one.events, one.event, one.rule))


def _parts(one: Violated) -> dict[str, Any]:
    return {
        "id": one.id,
        "event_id": str(one.position),
        "message_id": one.message_id,
        "at": iso(one.at),
        "source": one.source,
        "contract": one.contract,
        "shadow": one.shadow,
        "allowed": one.allowed,
        "rules": one.rules,
        "event_name": one.name,
        "event_type": one.type,
        "schema_version": one.version,
        "has_undeclared_schema": one.undeclared_event,
        "has_undeclared_fields": one.undeclared_fields,
        "has_schema_violated": one.schema_violated,
        "violations": one.violations,
    }
