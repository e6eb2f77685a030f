"""Filters as Python: one function a filter, with every comparison written out.

In a filter null and missing are the same, so a plain reference is a chain of ``dict.get``. What is compared with a
constant is compared by Python's own operators behind a look at its type; everything else calls `engine.lang.compare`.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from engine.lang import compare
from engine.lang.clauses import Leaf, Node
from engine.lang.generate import Writer
from engine.lang.operands import TESTS, VALUES, Call, Clause, Compared, Constant, Field, Member, Operand, constant_of
from engine.lang.path import Path, getter, is_plain


def compiled_filter(root: Node) -> compare.Test:
    """Return ``test(event)`` for a whole filter."""
    writer = _Writer()
    source = writer.node(root)
    return writer.function("filter", "event", [f"return {source}"])


class _Writer(Writer):
    """Writes expressions; each method returns one that stands for itself between operators."""

    def node(self, node: Node) -> str:
        if isinstance(node, Leaf):
            return self._clause(node.clause)
        parts = [self.node(part) for part in node.parts]
        return f"(not {parts[0]})" if node.word == "not" else f"({f' {node.word} '.join(parts)})"

    def _clause(self, clause: Clause) -> str:
        if isinstance(clause, Compared):
            return self._compared(clause)
        return self._member(clause) if isinstance(clause, Member) else self._call(clause.call)

    def _compared(self, clause: Compared) -> str:
        value, constant = self._value(clause.left), constant_of(clause.right)
        if clause.sign in compare.ORDERS:
            if constant is UNSET or isinstance(clause.left, Constant):
                return f"{self.name(compare.ordered)}({clause.sign!r}, {value}, {self._value(clause.right)})"
            return self._ordered(clause.sign, value, constant)
        if constant is UNSET or isinstance(clause.left, Constant):
            equal = f"{self.name(compare.equal)}({value}, {self._value(clause.right)})"
        else:
            equal = self._equal(value, constant)
        return equal if clause.sign == "=" else f"(not {equal})"

    def _ordered(self, sign: str, value: str, constant: Any) -> str:
        held = self.local()
        ordered = f"{held} {sign} {self.literal(constant)}"
        if isinstance(constant, str):
            return f"(type({held} := {value}) is str and {ordered})"
        return f"((type({held} := {value}) is int or type({held}) is float) and {ordered})"

    def _equal(self, value: str, constant: Any) -> str:
        if constant is None:
            return f"{self.name(compare.is_missing)}({value})"
        if isinstance(constant, bool):
            return f"({value} is {constant})"
        if isinstance(constant, str) or constant not in {0, 1}:
            return f"({value} == {self.literal(constant)})"
        held = self.local()  # to Python, true equals 1
        return f"(({held} := {value}) == {constant!r} and {held} is not True and {held} is not False)"

    def _member(self, clause: Member) -> str:
        value, constants = self._value(clause.left), [constant_of(choice) for choice in clause.choices]
        if all(isinstance(constant, str) for constant in constants):
            held = self.local()
            found = f"(type({held} := {value}) is str and {held} in {self.name(frozenset(constants))})"
        else:
            choices = "".join(f"{self._value(choice)}, " for choice in clause.choices)
            found = f"{self.name(compare.member)}({value}, ({choices}))"
        return f"(not {found})" if clause.is_negated else found

    def _value(self, operand: Operand) -> str:
        if isinstance(operand, Constant):
            return self.literal(operand.value)
        return self._call(operand) if isinstance(operand, Call) else self._field(operand.path)

    def _field(self, path: Path) -> str:
        if not is_plain(path) or any(segment.key.isdigit() for segment in path.segments):
            return f"{self.name(getter(path))}(event)"
        first, *others = [segment.key for segment in path.segments]
        found = f"event.get({first!r})"
        for key in others:
            held = self.local()
            found = f"({held}.get({key!r}) if type({held} := {found}) is dict else None)"
        return found

    def _call(self, call: Call) -> str:
        value = self._value(call.arguments[0])
        if call.name == "exists":
            return self._exists(call.arguments[0], value)
        if call.name in VALUES:
            return f"{self.name(VALUES[call.name])}({value})"
        constant = constant_of(call.arguments[1])
        if isinstance(constant, str) and call.name != "contains":
            held = self.local()
            return f"(type({held} := {value}) is str and {self._text_test(call.name, held, constant)})"
        return f"{self.name(TESTS[call.name])}({value}, {self._value(call.arguments[1])})"

    def _text_test(self, name: str, held: str, constant: str) -> str:
        if name == "match":
            return f"{self.name(compare.glob(constant).match)}({held}) is not None"
        method = "startswith" if name == "starts_with" else "endswith"
        return f"{held}.{method}({constant!r})"

    def _exists(self, operand: Operand, value: str) -> str:
        if value.startswith("_") or not isinstance(operand, Field):
            return f"(not {self.name(compare.is_missing)}({value}))"
        return f"({value} is not None)"
