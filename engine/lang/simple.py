"""Simple Liquid as Python: a field of a variable or a constant, through filters, alone or between texts.

Every expression here either has the interpreter's value or raises, and then the interpreter is asked. So a shortcut
may be wrong only by raising: a subscript where the interpreter looks for ``size`` or ``first``, a string's method where
the filter would first have to make it one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import msgspec
from liquid import Environment
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.filtered import Filter, FilteredExpression
from liquid.builtin.expressions.path import Path as LiquidPath
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.output import OutputNode
from liquid.expression import Expression

from engine.errors import MappingFailed
from engine.lang.cast import CONVERTERS
from engine.lang.functions import CONVERTING, LONGEST_TEXT, finished, stringify
from engine.lang.generate import Writer

Reach = Callable[[Sequence[str]], str]
"""From a variable and the names below it to the source that reads it, or raises where it is missing."""

_BYTES_PER_CHARACTER = 4
_MOST_FILTERS = 16
"""In one template; of more, the interpreter counts the steps."""
_METHODS = {"upcase": "upper", "downcase": "lower", "strip": "strip", "lstrip": "lstrip", "rstrip": "rstrip"}
"""Filters that do to a string what its method does."""


class Written(msgspec.Struct, frozen=True):
    """An expression.

    Attributes:
        source: Python.
        kind: "text" for a str; "clean" for JSON that needs no look; "number" for a float that is finite, or an int;
            "any" for what `finished` must look at.
    """

    source: str
    kind: str = "any"


class Simple:
    """Writes the Python of simple outputs; None for what is not simple.

    Args:
        writer: keeps what the expressions refer to.
        reach: see `Reach`.
        environment: has the filters.
    """

    def __init__(self, writer: Writer, reach: Reach, environment: Environment) -> None:
        self._writer = writer
        self._reach = reach
        self._environment = environment
        self._filters = 0

    def lone(self, expression: Expression) -> Written | None:
        """Return a lone output as its typed value."""
        written = self._filtered_value(expression)
        if written is None or written.kind in {"text", "clean"}:
            return written
        held = self._writer.local()
        quick = "float" if written.kind == "number" else "str"
        finish = f"{self._writer.name(finished)}({held})"
        return Written(f"({held} if type({held} := {written.source}) is {quick} else {finish})")

    def text(self, nodes: Sequence[Node]) -> Written | None:
        """Return outputs between texts as one text."""
        parts: list[str] = []
        for node in nodes:
            if isinstance(node, ContentNode):
                parts.append(repr(node.text))
                continue
            written = self._filtered_value(node.expression) if isinstance(node, OutputNode) else None
            if written is None:
                return None
            parts.append(self._as_text(written))
        joined = f"''.join(({', '.join(parts)},))" if parts else "''"
        return Written(f"{self._writer.name(_within)}({joined})", "text")

    def _as_text(self, written: Written) -> str:
        if written.kind == "text":
            return written.source
        held = self._writer.local()
        return f"({held} if type({held} := {written.source}) is str else {self._writer.name(stringify)}({held}))"

    def _filtered_value(self, expression: Expression) -> Written | None:
        if type(expression) is not FilteredExpression:
            return None
        source = self._value(expression.left)
        written = None if source is None else Written(source)
        self._filters += len(expression.filters or ())
        if self._filters > _MOST_FILTERS:
            return None
        for found in expression.filters or ():
            written = written and self._filtered(written, found)
        return written

    def _value(self, expression: Expression) -> str | None:
        if isinstance(expression, Literal):
            return self._writer.literal(expression.value)
        if not isinstance(expression, LiquidPath):
            return None
        keys = [key for key in expression.path if isinstance(key, str)]
        # An index also reads characters of a string; the interpreter refuses that.
        return self._reach(keys) if len(keys) == len(expression.path) else None

    def _filtered(self, written: Written, found: Filter) -> Written | None:
        if found.name in _METHODS and not found.args:
            return self._method(written, found)
        if found.name in CONVERTING and len(found.args) <= 1:
            return self._converted(written, found)
        return self._called(written, found)

    def _method(self, written: Written, found: Filter) -> Written:
        method = _METHODS[found.name]
        if written.kind == "text":
            return Written(f"{written.source}.{method}()", "text")
        held = self._writer.local()
        call = f"{self._writer.name(self._environment.filters[found.name])}({held})"
        return Written(f"({held}.{method}() if type({held} := {written.source}) is str else {call})", "text")

    def _converted(self, written: Written, found: Filter) -> Written | None:
        """Return one of our own filters that lets null through, without the wrapper that does so."""
        convert, kind = CONVERTING[found.name]
        argument = found.args[0].value if found.args else None
        if found.name == "cast" and isinstance(argument, Literal) and argument.value in CONVERTERS:
            convert, arguments = CONVERTERS[argument.value], ""
            kind = _CAST_KINDS.get(argument.value, "any")
        else:
            value = self._value(argument) if argument is not None else ""
            if value is None:
                return None
            arguments = f", {value}" if value else ""
        held = self._writer.local()
        call = f"{self._writer.name(convert)}({held}{arguments})"
        return Written(f"({call} if ({held} := {written.source}) is not None else None)", kind)

    def _called(self, written: Written, found: Filter) -> Written | None:
        convert = self._environment.filters[found.name]
        if getattr(convert, "with_context", False):
            return None
        if getattr(convert, "with_environment", False):
            convert = functools.partial(convert, environment=self._environment)
        arguments = [written.source]
        for argument in found.args:
            value = self._value(argument.value)
            if value is None:
                return None
            arguments.append(f"{argument.name}={value}" if hasattr(argument, "name") else value)
        return Written(f"{self._writer.name(convert)}({', '.join(arguments)})")


_CAST_KINDS = {"string": "clean", "boolean": "clean", "date": "clean", "number": "number"}


def _within(text: str) -> str:
    # Beyond this length the interpreter counts bytes and says what is wrong.
    if len(text) > LONGEST_TEXT // _BYTES_PER_CHARACTER:
        raise MappingFailed("too long")
    return text
