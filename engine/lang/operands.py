"""What a filter compares, and what a comparison means.

`Clause.test` here is the reference: slow, plain, and what the generated function of `engine.lang.inline` must agree
with. A filter is total, so nothing here raises, whatever the event holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET

from engine.lang import compare
from engine.lang.path import Path

VALUES: dict[str, Callable[[Any], Any]] = {
    "length": compare.length,
    "lowercase": compare.lowercase,
    "typeof": compare.type_name,
}
"""Functions of one argument that give a value to compare."""

TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "contains": compare.contains,
    "starts_with": compare.starts_with,
    "ends_with": compare.ends_with,
    "match": compare.matches,
}
"""Functions of two arguments that are true or false."""

ARGUMENTS = {"exists": 1} | dict.fromkeys(VALUES, 1) | dict.fromkeys(TESTS, 2)
"""How many arguments each function takes."""


class Constant(msgspec.Struct, frozen=True):
    """A string, number, true, false or null."""

    value: Any

    def of(self, event: dict[str, Any]) -> Any:  # noqa: ARG002 - all operands are asked alike
        """Return the value."""
        return self.value


class Field(msgspec.Struct, frozen=True):
    """What a reference names."""

    path: Path

    def of(self, event: dict[str, Any]) -> Any:
        """Return what *event* holds there."""
        return self.path.get(event)


class Call(msgspec.Struct, frozen=True):
    """A function of a filter.

    Attributes:
        name: one of `ARGUMENTS`.
        arguments: as many as that says.
    """

    name: str
    arguments: tuple[Operand, ...]

    def of(self, event: dict[str, Any]) -> Any:
        """Return the function's value."""
        given = [argument.of(event) for argument in self.arguments]
        if self.name == "exists":
            return not compare.is_missing(given[0])
        return VALUES[self.name](given[0]) if self.name in VALUES else TESTS[self.name](given[0], given[1])

    @property
    def is_test(self) -> bool:
        """Return whether it is true or false, so that it may stand alone."""
        return self.name not in VALUES


Operand: TypeAlias = Constant | Field | Call


class Compared(msgspec.Struct, frozen=True):
    """Two operands and the sign between them."""

    sign: str
    left: Operand
    right: Operand

    def test(self, event: dict[str, Any]) -> bool:
        """Return whether it holds; ``!=`` is the negation of ``=``."""
        left, right = self.left.of(event), self.right.of(event)
        if self.sign in compare.ORDERS:
            return compare.ordered(self.sign, left, right)
        return compare.equal(left, right) is (self.sign == "=")


class Member(msgspec.Struct, frozen=True):
    """``in (…)`` and ``not in (…)``."""

    left: Operand
    choices: tuple[Operand, ...]
    is_negated: bool

    def test(self, event: dict[str, Any]) -> bool:
        """Return whether the left side equals one of the choices, or none."""
        choices = [choice.of(event) for choice in self.choices]
        return compare.member(self.left.of(event), choices) is not self.is_negated


class Standing(msgspec.Struct, frozen=True):
    """A test that stands alone: ``exists(properties.coupon)``."""

    call: Call

    def test(self, event: dict[str, Any]) -> bool:
        """Return the test's answer."""
        return bool(self.call.of(event))


Clause: TypeAlias = Compared | Member | Standing


def constant_of(operand: Operand) -> Any:
    """Return an operand's value when it is the same for every event, else UNSET."""
    return operand.value if isinstance(operand, Constant) else UNSET


def paths_of(*operands: Operand) -> tuple[Path, ...]:
    """Return the references in *operands*, in order."""
    found: list[Path] = []
    for operand in operands:
        if isinstance(operand, Field):
            found.append(operand.path)
        elif isinstance(operand, Call):
            found += paths_of(*operand.arguments)
    return tuple(found)
