"""Lint against the contract: what filters and mappings look for, and what a source's events promise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from engine.config import schema
from engine.errors import LangError, did_you_mean
from engine.lang.clauses import parse_filter
from engine.lang.contract import ContractSpec, EventSpec
from engine.lang.path import Path
from engine.plan.destinations import Kind
from engine.plan.problems import Problems
from engine.plan.texts import Reading, comparison, leaves, pins, readings

_UNDECIDED = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "patternProperties", "const", "enum")
_CARRIERS = {"properties": {"track", "page", "screen"}, "traits": {"identify", "group"}}
"""Which call types have what their own data is in."""
_JSON_TYPES = {"integer": "number"}


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What a schema says about one field.

    Attributes:
        known: whether it can be there; true where the schema leaves it open.
        types: string, number, boolean, object, array, null; empty where the schema leaves it open.
        siblings: the names declared where it is missing.
    """

    known: bool = True
    types: frozenset[str] = frozenset()
    siblings: tuple[str, ...] = ()


_OPEN = Promise()


def lint_promises(where: str, contract: ContractSpec, sync: schema.Sync, kind: Kind | None, problems: Problems) -> None:
    """Note fields that no declared event has or that are typed otherwise, and events that are not declared.

    Not for a source with functions: they may add fields and rename events after the contract.
    """
    for index, event_type in enumerate(sync.event_types):
        here = f"{where}.event_types[{index}]"
        try:
            pinned = pins(event_type.filter) if event_type.filter else {}
        except LangError:
            continue
        events = _declared(contract, pinned)
        check = _Check(contract.name, events, problems)
        if not events:
            check.undeclared(f"{here}.filter", contract, pinned)
            continue
        check.filter(f"{here}.filter", event_type.filter)
        known = kind.event_types.get(event_type.type) if kind else None
        wanted = {name: field.type for name, field in known.fields.items()} if known else {}
        if event_type.properties_column:
            column = f"{here}.properties_column"
            check.mapping(Reading(kind="reference", where=column, text=event_type.properties_column), None)
        for reading in readings(event_type.mapping, f"{here}.mapping"):
            check.mapping(reading, wanted.get(reading.where.removeprefix(f"{here}.mapping.")))


def _declared(contract: ContractSpec, pinned: dict[str, frozenset[Any]]) -> list[EventSpec]:
    """Return the declared events that a filter with these pins can take."""
    return [
        event
        for event in contract.events
        if _allows(pinned, "type", event.type)
        and _allows(pinned, "event", event.name if event.type == "track" else None)
    ]


def _allows(pinned: dict[str, frozenset[Any]], key: str, value: str | None) -> bool:
    return key not in pinned or (False, value) in pinned[key]


class _Check:
    """Holds one event type against the schemas of the events that it can get."""

    def __init__(self, contract: str, events: Sequence[EventSpec], problems: Problems) -> None:
        self.contract = contract
        self.events = events
        self.problems = problems

    def undeclared(self, where: str, contract: ContractSpec, pinned: dict[str, frozenset[Any]]) -> None:
        """Note a filter that asks for an event that the contract does not have."""
        names = [value for _, value in pinned.get("event", ()) if isinstance(value, str)]
        declared = [event.name for event in contract.events if event.name]
        if not names or set(names) & set(declared):
            return
        blocks = contract.on_undeclared_event == "block"
        what = f"contract '{self.contract}' declares no event '{names[0]}'"
        what += ", and blocks what it does not declare" if blocks else ""
        self.problems.warn(where, what, did_you_mean(names[0], declared))

    def filter(self, where: str, text: str) -> None:
        """Note references of a filter that are not there, and comparisons that are never true."""
        if not text:
            return
        for leaf in leaves(parse_filter(text)):
            if not all(self._known(where, path) for path in leaf.paths):
                continue
            compared = comparison(leaf)
            if compared is None or compared.constant is None:
                continue
            types = self._types(compared.path)
            kind = _kind(compared.constant)
            if types and kind not in types:
                always = "always" if compared.sign == "!=" else "never"
                known = f"'{compared.path}' is {_listed(types)} in contract '{self.contract}'"
                self.problems.warn(where, f"'{leaf.text}' is {always} true: {known}")

    def mapping(self, reading: Reading, wanted: str | None) -> None:
        """Note references of a mapping that are not there, or that the destination wants typed otherwise."""
        try:
            paths = reading.paths()
        except LangError:
            return
        known = [self._known(reading.where, path) for path in paths]
        if not all(known):
            return
        if reading.kind != "reference" or wanted in {None, "any"}:
            return
        types = self._types(paths[0]) - {"null"}
        want = _JSON_TYPES.get(wanted or "", wanted)
        if types and want not in types:
            what = f"'{reading.text}' is {_listed(types)} in contract '{self.contract}', not {wanted}"
            self.problems.warn(
                reading.where, what, f"\"{{{{ row.{reading.text} | cast: '{wanted}' }}}}\" turns it into one"
            )

    def _known(self, where: str, path: Path) -> bool:
        """Return whether some event can have *path*, and note it if none can."""
        promises = list(self._promises(path))
        if any(promise.known for promise in promises):
            return True
        siblings = {name for promise in promises for name in promise.siblings}
        hint = did_you_mean(str(path.keys[-1]), siblings)
        self.problems.warn(where, f"contract '{self.contract}' has no '{path}' in {self._names()}", hint)
        return False

    def _types(self, path: Path) -> frozenset[str]:
        """Return the types that *path* can have in any event; empty where one leaves it open."""
        promises = [promise for promise in self._promises(path) if promise.known]
        if not all(promise.types for promise in promises):
            return frozenset()
        return frozenset(kind for promise in promises for kind in promise.types)

    def _promises(self, path: Path) -> Iterator[Promise]:
        return (_promised(event, path) for event in self.events)

    def _names(self) -> str:
        names = [f"'{event.name or event.type}'" for event in self.events]
        return names[0] if len(names) == 1 else f"any of its {len(names)} events"


def _promised(event: EventSpec, path: Path) -> Promise:
    """Return what the schema of a whole *event* says about *path*.

    A top-level field that the schema does not declare is the protocol's own (userId, context, …): open, unless calls of
    this type do not have it.
    """
    top = path.keys[0]
    if top not in event.schema.get("properties", {}):
        return _OPEN if event.type in _CARRIERS.get(str(top), {event.type}) else Promise(known=False)
    current: Any = event.schema
    for key in path.keys:
        if not isinstance(current, dict) or any(word in current for word in _UNDECIDED):
            return _OPEN
        if current.get("type") == "array" or isinstance(key, int):
            current = current.get("items")
            continue
        declared = current.get("properties")
        if not declared or (key not in declared and current.get("additionalProperties", False) is not False):
            return _OPEN
        if key not in declared:
            return Promise(known=False, siblings=tuple(declared))
        current = declared[key]
    return Promise(types=_schema_types(current))


def _schema_types(node: Any) -> frozenset[str]:
    if not isinstance(node, dict) or any(word in node for word in ("$ref", "anyOf", "oneOf", "allOf")):
        return frozenset()
    kinds = node.get("type", [])
    return frozenset(_JSON_TYPES.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _kind(constant: Any) -> str:
    if isinstance(constant, bool):
        return "boolean"
    return "string" if isinstance(constant, str) else "number"


def _listed(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))
