"""JSON Schema (draft 7) made ready for contracts: references checked, closed objects left to the undeclared walk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from engine.errors import LangError

Schema = Any
"""A JSON Schema: an object, or true or false."""

_NOT_SCHEMAS = frozenset({"enum", "const", "default", "examples"})
_CHOICES = ("oneOf", "anyOf", "not", "if", "then", "else", "contains", "propertyNames", "dependencies")
"""Below these a closed object decides which branch holds, so it stays as it is."""
_ONE = ("additionalProperties", "additionalItems", "items")
_MAPS = ("properties", "patternProperties", "definitions")
_LISTS = ("allOf", "items")


def check_references(schema: Schema) -> None:
    """Refuse a ``$ref`` that leads out of *schema* or nowhere: a validator would fetch it from the network.

    Raises:
        LangError: names the reference.
    """
    for reference in _references(schema):
        if not reference.startswith("#"):
            raise LangError(f"the reference '{reference}' leads out of the schema", "only '#…' is followed")
        resolve(schema, reference)


def resolve(root: Schema, reference: str) -> Schema:
    """Return what ``#/definitions/x`` stands for in *root*.

    Raises:
        LangError: nothing is there.
    """
    node = root
    for part in unquote(reference.removeprefix("#")).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            raise LangError(f"the reference '{reference}' leads nowhere in the schema")
    return node


def opened(root: Schema) -> Schema:
    """Return a copy of *root* without the ``additionalProperties: false`` that the undeclared walk answers for.

    Undeclared is no violation of the schema. Closed objects below a choice stay, and so do definitions that a choice
    refers to.
    """
    return _opened(root, _kept(root))


def _opened(node: Schema, kept: frozenset[int]) -> Schema:
    if not isinstance(node, dict) or id(node) in kept:
        return node
    copy = {key: value for key, value in node.items() if not (key == "additionalProperties" and value is False)}
    for key in _ONE:
        if isinstance(copy.get(key), dict):
            copy[key] = _opened(copy[key], kept)
    for key in _MAPS:
        if isinstance(copy.get(key), dict):
            copy[key] = {name: _opened(value, kept) for name, value in copy[key].items()}
    for key in _LISTS:
        if isinstance(copy.get(key), list):
            copy[key] = [_opened(value, kept) for value in copy[key]]
    return copy


def _kept(root: Schema) -> frozenset[int]:
    """Return the identities of all nodes that a choice refers to, also through other references."""
    kept: set[int] = set()
    pending = [reference for choice in _choices(root) for reference in _references(choice)]
    while pending:
        target = resolve(root, pending.pop())
        if id(target) not in kept:
            kept.add(id(target))
            pending += _references(target)
    return frozenset(kept)


def _choices(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        for value in node:
            yield from _choices(value)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _CHOICES:
                yield value
            elif key not in _NOT_SCHEMAS:
                yield from _choices(value)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for value in node:
            yield from _references(value)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                # Also inside enum, const and examples: fastjsonschema looks there too, and would fetch it.
                yield from _references(value)
