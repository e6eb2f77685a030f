"""Generated filters and events, and where ours differs from Segment's on purpose."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.lang.path import parse

SEED = 20261123
FILTERS = 500
EVENTS = 8


class Clause(NamedTuple):
    """One clause of Segment's FQL: ``left sign right``, or a function with its negation as sign."""

    left: str
    sign: str
    right: Any

    def __str__(self) -> str:
        right = {True: "true", False: "false", None: "null"}.get(self.right) if not is_number(self.right) else None
        literal = right or (f'"{self.right}"' if isinstance(self.right, str) else str(self.right))
        if "contains" in self.sign or "match" in self.sign:
            return f"{self.sign}({self.left}, {literal})"
        return f"{self.left} {self.sign} {literal}"

    def of(self, event: dict[str, Any]) -> Any:
        """Return what the event holds on the left; None where it holds nothing."""
        value = parse(self.left).get(event)
        return value if isinstance(value, (str, int, float, bool, list, dict)) else None


class Pair(NamedTuple):
    """A filter, its clauses and one event."""

    text: str
    clauses: tuple[Clause, ...]
    event: dict[str, Any]


class Waiver(NamedTuple):
    """A difference we want.

    Attributes:
        name: short.
        reason: why ours is another.
        covers: whether a clause of that sort meets such an event.
    """

    name: str
    reason: str
    covers: Callable[[Clause, dict[str, Any]], bool]


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _walks_through_nothing(clause: Clause, event: dict[str, Any]) -> bool:
    node: Any = event
    for key in clause.left.split(".")[:-1]:
        node = node.get(key) if isinstance(node, dict) else None
        if not node and not isinstance(node, dict) and node is not None:
            return True
    return False


def _is_whole_field(clause: Clause) -> bool:
    return clause.left in {"type", "event", "name", "userId"}


WAIVERS = (
    Waiver(
        "!= number of what is no number",
        "ours is the negation of =, so true where the field is missing or text; Segment's is false there",
        lambda clause, event: clause.sign == "!=" and is_number(clause.right) and not is_number(clause.of(event)),
    ),
    Waiver(
        "negated function of what is no text",
        "ours is the negation of the function, so true where the field is missing; Segment's is false there",
        lambda clause, event: (
            clause.sign.startswith("!") and clause.sign != "!=" and not isinstance(clause.of(event), str)
        ),
    ),
    Waiver(
        "!= true and != false",
        "Segment compares with the text 'true', so it is true for every boolean; ours compares booleans",
        lambda clause, event: clause.sign == "!=" and isinstance(clause.right, bool),
    ),
    Waiver(
        "true, false, null and numbers beside a field of the call",
        "Segment compares type, event, name and userId with the constant's text; ours keeps its type",
        lambda clause, event: _is_whole_field(clause) and not isinstance(clause.right, str),
    ),
    Waiver(
        "< and > of texts",
        "Segment's are false but for numbers, even beside a text that is one; ours order two texts",
        lambda clause, event: clause.sign in {"<", "<=", ">", ">="} and isinstance(clause.right, str),
    ),
    Waiver(
        "contains of an array",
        "ours looks for the element",
        lambda clause, event: "contains" in clause.sign and isinstance(clause.of(event), list),
    ),
    Waiver(
        "match with * on both sides, or none",
        "Segment cuts off one character and compares an end; ours is a glob",
        lambda clause, event: (
            "match" in clause.sign and str(clause.right).strip("*?") not in {clause.right[1:], clause.right[:-1]}
        ),
    ),
    Waiver(
        "0, false and '' on the way",
        "Segment's walk ends at a falsy value and takes it for the field's; ours finds nothing below it",
        _walks_through_nothing,
    ),
)
MIXED = Waiver(
    "and beside or without parentheses",
    "Segment joins all of them by the last word; ours binds 'and' closer, as everybody does",
    lambda clause, event: False,
)

IN_PARENTHESES = Waiver(
    "a function in parentheses",
    "Segment's group ends at the function's own parenthesis, so what follows is joined elsewhere; ours nests",
    lambda clause, event: False,
)

_WORDS = ("Order Completed", "Order Refunded", "Signed Up", "gold", "EUR", "", "5", "true", "x.y")
_FIELDS = (
    "properties.total",
    "properties.currency",
    "properties.gift",
    "properties.tags",
    "properties.nested.deep",
    "properties.nothing",
    "traits.plan",
    "traits.age",
    "context.page.path",
    "context.ip",
)


def pairs() -> list[Pair]:
    """Return filters with `EVENTS` events each; the same ones in every run."""
    roll = random.Random(SEED)
    found = []
    for _ in range(FILTERS):
        text, clauses = _filter(roll)
        found += [Pair(text, clauses, _event(roll, clauses)) for _ in range(EVENTS)]
    return found


def waiver_of(pair: Pair) -> Waiver | None:
    """Return the first waiver that a pair falls under."""
    if " and " in _flat(pair.text) and " or " in _flat(pair.text):
        return MIXED
    if re.search(r"\((?:[^()]* )?!?(?:contains|match)\(", pair.text):
        return IN_PARENTHESES
    for clause in pair.clauses:
        for waiver in WAIVERS:
            if waiver.covers(clause, pair.event):
                return waiver
    return None


def _flat(text: str) -> str:
    """Return *text* without what stands in parentheses and quotes."""
    depth, quoted, flat = 0, False, ""
    for letter in text:
        if letter == '"':
            quoted = not quoted
        depth += (letter == "(") - (letter == ")") if not quoted else 0
        if not depth and not quoted:
            flat += letter
    return flat


def _filter(roll: random.Random) -> tuple[str, tuple[Clause, ...]]:
    clauses = tuple(_clause(roll) for _ in range(roll.choice([1, 1, 2, 3, 3])))
    texts = [str(clause) for clause in clauses]
    word, other = roll.sample(["and", "or"], 2)
    if len(texts) == 3 and roll.random() < 0.6:
        return f"{texts[0]} {word} ({texts[1]} {other} {texts[2]})", clauses
    if len(texts) == 3 and roll.random() < 0.2:
        return f"{texts[0]} {word} {texts[1]} {other} {texts[2]}", clauses
    return f" {word} ".join(texts), clauses


def _clause(roll: random.Random) -> Clause:
    left = roll.choice(["type", "event", "event", "userId", "name", *_FIELDS, *_FIELDS])
    kind = roll.random()
    if left == "type":  # Segment's functions know no type
        return Clause(left, roll.choice(["=", "!="]), roll.choice(["track", "identify"]))
    if kind < 0.25:
        sign = roll.choice(["contains", "!contains"])
        return Clause(left, sign, roll.choice(["e", "Order", "gold", "5"]))
    if kind < 0.45:
        return Clause(
            left, roll.choice(["match", "!match"]), roll.choice(["Order*", "*ed", "g*", "*5", "*", "gold", "*e*"])
        )
    if kind < 0.6 and left in _FIELDS:
        return Clause(left, roll.choice(["<", "<=", ">", ">="]), roll.choice([5, 0, 12.5, 100, "5"]))
    if left in _FIELDS:
        return Clause(left, roll.choice(["=", "!="]), roll.choice([*_WORDS, 5, 0, 12.5, True, False, None]))
    return Clause(left, roll.choice(["=", "!="]), roll.choice([*_WORDS, "u1", 5, None]))


def _event(roll: random.Random, clauses: tuple[Clause, ...]) -> dict[str, Any]:
    event: dict[str, Any] = {
        "type": roll.choice(["track", "identify"]),
        "event": roll.choice(_WORDS),
        "userId": roll.choice(["u1", "5", None]),
        "properties": {"tags": roll.choice([["gold", 5], "gold", []]), "nothing": None},
        "traits": {"plan": roll.choice(["gold", "free", True])},
        "context": {"page": roll.choice([{"path": "/gold"}, {}, "", 0])},
    }
    for field in _FIELDS[:3]:
        if roll.random() < 0.8:
            event["properties"][field.removeprefix("properties.")] = _value(roll)
    for clause in clauses:
        if clause.left.startswith("properties.") and roll.random() < 0.5:
            # Half of the time the clause's own constant, else most comparisons would be false.
            event["properties"][clause.left.split(".")[1]] = _near(roll, clause.right)
    return event


def _value(roll: random.Random) -> Any:
    return roll.choice([*_WORDS, 5, 0, 12.5, 200, -1, True, False, None, ["gold"], {"deep": "gold"}])


def _near(roll: random.Random, constant: Any) -> Any:
    if is_number(constant):
        return constant + roll.choice([-1, 0, 0, 1])
    return constant.replace("*", "Or") if isinstance(constant, str) else constant
