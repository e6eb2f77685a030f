r"""Fields of an event by their reference: read, written, taken out. A dot in a key is written ``\.``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from engine.plugin import Problem, SettingsError

_PART = re.compile(r"((?:[^.\\]|\\[.\\])+)(?:\.|\Z)")
MISSING: Any = object()
"""What `get` returns where nothing is."""

Keys = tuple[str, ...]


def keys(reference: str) -> Keys:
    """Return the keys that lead to a field.

    Raises:
        ValueError: says what is wrong with the reference.
    """
    found: list[str] = []
    at = 0
    while at < len(reference) or reference.endswith(".") or not reference:
        match = _PART.match(reference, at)
        if match is None:
            raise ValueError(f"'{reference}' is no reference to a field; write properties.email, for example")
        found.append(re.sub(r"\\(.)", r"\1", match[1]))
        at = match.end()
        if at == len(reference) and not match[0].endswith("."):
            break
    return tuple(found)


def get(event: dict[str, Any], path: Keys) -> Any:
    """Return the value there, or `MISSING`."""
    node: Any = event
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return MISSING
        node = node[key]
    return node


def put(event: dict[str, Any], path: Keys, value: Any) -> None:
    """Write a value there; what stands in the way and is no object is replaced."""
    node = event
    for key in path[:-1]:
        if not isinstance(node.get(key), dict):
            node[key] = {}
        node = node[key]
    node[path[-1]] = value


def drop(event: dict[str, Any], path: Keys) -> Any:
    """Take the value there out and return it, or `MISSING`."""
    above = get(event, path[:-1])
    return above.pop(path[-1], MISSING) if isinstance(above, dict) else MISSING


def references(where: str, texts: Iterable[str]) -> list[Keys]:
    """Return the keys of each reference.

    Raises:
        SettingsError: one is none; says which.
    """
    problems: list[Problem] = []
    found: list[Keys] = []
    for index, text in enumerate(texts):
        try:
            found.append(keys(text))
        except ValueError as error:
            problems.append(Problem(where=f"{where}[{index}]", what=str(error)))
    if problems:
        raise SettingsError(problems)
    return found
