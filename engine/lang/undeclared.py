"""Which fields of an event its contract does not know: a walk over the event beside its schema's declared properties.

Undeclared is not the same as a violation of the schema: a field may be allowed, blocked or left out for it. A node is
open (everything below it is declared) if it says ``additionalProperties: true`` or declares no properties. What any
branch of ``allOf``, ``anyOf``, ``oneOf``, ``if``/``then``/``else`` or a ``$ref`` declares is declared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.lang.schema import Schema, resolve

ENVELOPE = frozenset(
    {
        "type",
        "event",
        "name",
        "category",
        "userId",
        "anonymousId",
        "groupId",
        "previousId",
        "messageId",
        "timestamp",
        "originalTimestamp",
        "sentAt",
        "receivedAt",
        "context",
        "integrations",
        "properties",
        "traits",
        "channel",
        "version",
        "writeKey",
        "_metadata",
    }
)
"""Top-level fields of every call (Segment's spec, common fields); never undeclared."""
BUILT_IN_CONTEXT = frozenset(
    {
        "active",
        "app",
        "campaign",
        "channel",
        "consent",
        "device",
        "direct",
        "groupId",
        "htevents",
        "ip",
        "library",
        "locale",
        "network",
        "os",
        "page",
        "referrer",
        "screen",
        "sessionId",
        "sessionStart",
        "timezone",
        "traits",
        "userAgent",
        "userAgentData",
    }
)
"""Fields the SDKs put into ``context`` by themselves; never undeclared."""

_BRANCHES = ("allOf", "anyOf", "oneOf")
_SIDES = ("if", "then", "else")


class Node:
    """What is declared at one place of an event.

    Attributes:
        fields: the nodes of the declared properties; None where nothing below is closed.
        patterns: nodes by the pattern of the property's name.
        rest: the node of any other property, when a schema is given for these.
        is_open: whether any other property is declared.
        items: the node of an array's elements.
        matters: whether anything at or below it can be undeclared; if not, the walk stops.
    """

    __slots__ = ("fields", "is_open", "items", "matters", "patterns", "rest")

    def __init__(self) -> None:
        self.fields: dict[str, Node] = {}
        self.patterns: list[tuple[re.Pattern[str], Node]] = []
        self.rest: Node | None = None
        self.is_open = True
        self.items: Node | None = None
        self.matters = False

    def below(self) -> Iterator[Node]:
        """Yield the nodes one step down."""
        yield from self.fields.values()
        for _, node in self.patterns:
            yield node
        yield from (node for node in (self.rest, self.items) if node is not None)

    def child(self, key: str) -> Node | None:
        """Return the node of the property *key*, or None if it is undeclared."""
        node = self.fields.get(key)
        if node is not None:
            return node
        for pattern, below in self.patterns:
            if pattern.search(key):
                return below
        return self.rest or (_OPEN if self.is_open else None)


_OPEN = Node()


def declared(root: Schema, *, built_in: bool = True) -> Node:
    """Return what *root*, a schema over whole events, declares; with or without `BUILT_IN_CONTEXT`."""
    builder = _Builder(root)
    node = builder.node([root])
    builder.mark()
    _know(node, ENVELOPE)
    context = node.fields.get("context")
    if context is not None and built_in:
        _know(context, BUILT_IN_CONTEXT)
    return node


def undeclared(event: dict[str, Any], node: Node) -> list[tuple[str | int, ...]]:
    """Return the places of all undeclared fields, outermost only, in order."""
    found: list[tuple[str | int, ...]] = []
    _walk(event, node, (), found)
    return found


def without(event: dict[str, Any], places: list[tuple[str | int, ...]]) -> dict[str, Any]:
    """Return *event* without these fields; what is not changed is shared with it."""
    copy = dict(event)
    fresh: dict[tuple[str | int, ...], Any] = {(): copy}
    for place in places:
        node: Any = copy
        for depth, key in enumerate(place[:-1], 1):
            if place[:depth] not in fresh:
                child = node[key]
                fresh[place[:depth]] = node[key] = dict(child) if isinstance(child, dict) else list(child)
            node = fresh[place[:depth]]
        del node[place[-1]]
    return copy


def _walk(value: Any, node: Node, place: tuple[str | int, ...], found: list[tuple[str | int, ...]]) -> None:
    if isinstance(value, dict):
        fields = node.fields
        for key, below in value.items():
            child = fields.get(key) or node.child(key)
            if child is None:
                found.append((*place, key))
            elif child.matters and isinstance(below, (dict, list)):
                _walk(below, child, (*place, key), found)
    elif isinstance(value, list) and node.items is not None and node.items.matters:
        for position, below in enumerate(value):
            _walk(below, node.items, (*place, position), found)


def _know(node: Node, names: frozenset[str]) -> None:
    if not node.is_open:
        for name in names:
            node.fields.setdefault(name, _OPEN)


class _Builder:
    """Builds nodes; a recursive schema gives a recursive node."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.made: dict[tuple[int, ...], Node] = {}

    def node(self, schemas: list[Schema]) -> Node:
        parts = list(dict.fromkeys(id(part) for schema in schemas for part in self._flat(schema, set())))
        key = tuple(parts)
        if key in self.made:
            return self.made[key]
        node = self.made[key] = Node()
        flat = [part for schema in schemas for part in self._flat(schema, set())]
        self._fill(node, flat)
        return node

    def mark(self) -> None:
        """Mark the nodes that matter: the closed ones, and all above one; round by round, since nodes may recur."""
        pending = list(self.made.values())
        while True:
            rest = []
            for node in pending:
                # What an open node takes without a schema of its own is open below, too.
                node.matters = not (node.is_open or node.rest) or any(below.matters for below in node.below())
                if not node.matters:
                    rest.append(node)
            if len(rest) == len(pending):
                return
            pending = rest

    def _fill(self, node: Node, flat: list[dict[str, Any]]) -> None:
        properties: dict[str, list[Schema]] = {}
        patterns: dict[str, list[Schema]] = {}
        for part in flat:
            for name, schema in part.get("properties", {}).items():
                properties.setdefault(name, []).append(schema)
            for pattern, schema in part.get("patternProperties", {}).items():
                patterns.setdefault(pattern, []).append(schema)
        rest = [part["additionalProperties"] for part in flat if "additionalProperties" in part]
        schemas = [schema for schema in rest if isinstance(schema, dict)]
        is_closed = any(schema is False for schema in rest)
        node.is_open = any(schema is True for schema in rest) or not (properties or patterns or is_closed)
        node.fields = {name: self.node(found) for name, found in properties.items()}
        node.patterns = [(re.compile(pattern), self.node(found)) for pattern, found in patterns.items()]
        node.rest = self.node(schemas) if schemas else None
        items = [schema for part in flat for schema in _items(part)]
        node.items = self.node(items) if items else None

    def _flat(self, schema: Schema, seen: set[int]) -> Iterator[dict[str, Any]]:
        """Yield *schema* and all that stands beside it for the same value."""
        if not isinstance(schema, dict) or id(schema) in seen:
            return
        seen.add(id(schema))
        if isinstance(schema.get("$ref"), str):
            yield from self._flat(resolve(self.root, schema["$ref"]), seen)
            return  # draft 7: what stands beside a $ref is ignored
        yield schema
        for key in _BRANCHES:
            for branch in schema.get(key, ()):
                yield from self._flat(branch, seen)
        for key in _SIDES:
            yield from self._flat(schema.get(key), seen)


def _items(part: dict[str, Any]) -> list[Schema]:
    """Return the schemas of an array's elements; positions are not told apart."""
    items = part.get("items", ())
    rest = [part["additionalItems"]] if isinstance(part.get("additionalItems"), dict) else []
    return [items, *rest] if isinstance(items, dict) else [*items, *rest] if isinstance(items, list) else rest
