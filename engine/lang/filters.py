"""Filters: ``event = "Order Completed" and (properties.total >= 100 or not exists(properties.coupon))``.

A superset of Segment's FQL. Comparisons ``= != < <= > >=``, ``in (…)`` and ``not in (…)``; ``and``, ``or``, ``not`` or
``!``, parentheses; functions ``exists contains match starts_with ends_with length lowercase typeof``; strings in either
quote; field references as in mappings. A bare reference ends before a sign, a parenthesis, a comma, or one of the words
``and or not in`` between spaces; a name that holds these is written ``['…']``.

A filter is total: it is true or false for every event. Types are strict (``"3" = 3`` is false), null counts as missing,
and ``!=`` is the negation of ``=``, so true where something is missing. Arrays and objects equal nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from engine.lang.cast import shown
from engine.lang.clauses import Leaf, Node, parse_filter
from engine.lang.compare import Test
from engine.lang.inline import compiled_filter
from engine.lang.path import Path


class Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a filter and what it is for one event.

    Attributes:
        text: the comparison as it was written.
        value: whether it holds by itself, whatever stands around it.
        found: what the event has in its fields, for a person: ``properties.total is "5"``.
    """

    text: str
    value: bool
    found: str = ""


class Filter:
    """A compiled filter.

    Attributes:
        text: as it was written.
        test: whether an event passes; total, never raises.
        references: the fields it looks at, each once, in order.
    """

    def __init__(self, text: str, root: Node) -> None:
        self.text = text
        self.test: Test = compiled_filter(root)
        self._root = root
        self._leaves = tuple(_leaves(root))
        self.references: tuple[Path, ...] = tuple(dict.fromkeys(path for leaf in self._leaves for path in leaf.paths))

    def interpret(self, event: dict[str, Any]) -> bool:
        """Do what `test` does, clause by clause: the reference for tests."""
        return _holds(self._root, event)

    def explain(self, event: dict[str, Any]) -> list[Clause]:
        """Return every comparison in order, each with its own answer."""
        return [
            Clause(text=leaf.text, value=leaf.test(event), found=", ".join(_found(path, event) for path in leaf.paths))
            for leaf in self._leaves
        ]

    def __repr__(self) -> str:
        """Return ``Filter('…')``."""
        return f"Filter({self.text!r})"


def compile_filter(text: str) -> Filter:
    """Compile *text*.

    Raises:
        LangError: a syntax error, with the column and a caret below it.
    """
    return Filter(text, parse_filter(text))


def _leaves(node: Node) -> list[Leaf]:
    if isinstance(node, Leaf):
        return [node]
    return [leaf for part in node.parts for leaf in _leaves(part)]


def _found(path: Path, event: dict[str, Any]) -> str:
    value = path.get(event)
    return f"{path} is {'missing' if value is UNSET else shown(value)}"


def _holds(node: Node, event: dict[str, Any]) -> bool:
    if isinstance(node, Leaf):
        return node.test(event)
    if node.word == "not":
        return not _holds(node.parts[0], event)
    join = all if node.word == "and" else any
    return join(_holds(part, event) for part in node.parts)
