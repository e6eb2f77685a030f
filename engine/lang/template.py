"""Liquid templates: ``{{ row['properties'].price | cast: 'number' }}``.

A template that is one lone output gives that output's own type; anything else gives text. Simple outputs are compiled
to Python; whatever these cannot do (a missing field, an array index, any exception) is done again by the interpreter,
which is the reference, so both agree by construction.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.filtered import Filter, FilteredExpression
from liquid.builtin.expressions.path import Path as LiquidPath
from liquid.builtin.expressions.primitive import Literal
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.template import BoundTemplate

from engine.errors import MappingFailed
from engine.lang.caret import pointed
from engine.lang.environment import Dialect, undeclared
from engine.lang.functions import LONGEST_TEXT, MOST_BITS, plain, stringify
from engine.lang.generate import function
from engine.lang.path import Path, from_keys

Variables = Mapping[str, Any]
"""``{"row": event, "context": {…}}``, and ``"item"`` inside an ``each``."""

_BYTES_PER_CHARACTER = 4


class Template:
    """A compiled template.

    Attributes:
        text: as it was written.
        is_typed: whether it is one lone output, which keeps its type.
        references: the event's fields it looks at, as far as they are names and positions.
    """

    def __init__(self, text: str, parsed: BoundTemplate) -> None:
        self.text = text
        self.references = _references(parsed)
        self._parsed = parsed
        nodes = [node for node in parsed.nodes if not (isinstance(node, ContentNode) and node.blank)]
        lone = nodes[0] if len(nodes) == 1 else None
        self._lone = lone.expression if isinstance(lone, OutputNode) else None
        self.is_typed = self._lone is not None
        self.render: Callable[[Variables], Any] = self._compiled() or self.interpret
        """Return the typed value or text for *variables*; `msgspec.UNSET` for a lone output that is missing.

        Raises:
            MappingFailed: whatever went wrong, with the template and the cause.
        """

    def interpret(self, variables: Variables) -> Any:
        """Do what `render` does by the interpreter, the reference."""
        try:
            if self._lone is None:
                return self._parsed.render(variables)
            return finished(self._lone.evaluate(self._parsed.context_class(self._parsed, globals=variables)))
        except Exception as error:
            cause = error.message if isinstance(error, LiquidError) else error
            raise MappingFailed(f"the template {self.text}: {cause or type(error).__name__}") from error

    def __repr__(self) -> str:
        """Return ``Template('…')``."""
        return f"Template({self.text!r})"

    def _compiled(self) -> Callable[[Variables], Any] | None:
        writer = _Writer(self._parsed)
        source = writer.expression(self._lone) if self._lone is not None else writer.text(self._parsed.nodes)
        if source is None:
            return None
        names = writer.names | {"finished": finished, "interpret": self.interpret, "stringify": stringify}
        if self._lone is not None:
            body = [f"    return finished({source})"]
        else:
            # Beyond this length the interpreter counts bytes and says what is wrong.
            most = LONGEST_TEXT // _BYTES_PER_CHARACTER
            body = [f"    text = {source}", f"    if len(text) <= {most}:", "        return text"]
        lines = ["try:", *body, "except Exception:", "    pass", "return interpret(variables)"]
        return function("template", "variables", lines, names)


def compile_template(text: str, *, in_each: bool = False) -> Template:
    """Compile *text*.

    Args:
        text: Liquid; at most 4,000 characters.
        in_each: whether there is an ``item`` beside ``row`` and ``context``.

    Raises:
        LangError: syntax, unknown filter or variable, wrong arguments, with the column and a caret.
    """
    parsed = _dialect().compile(text)
    unknown = undeclared(parsed, {"row", "context", "item"} if in_each else {"row", "context"})
    if unknown:
        name, column = unknown[0]
        raise pointed(f"unknown variable '{name}': a field of the event is written row.{name}", text, column)
    return Template(text, parsed)


def is_template(text: str) -> bool:
    """Return whether a mapping's string is a template rather than a field reference."""
    return "{{" in text or "{%" in text


def finished(value: Any) -> Any:
    """Return an output's value as JSON knows it.

    Raises:
        MappingFailed: a number that JSON has not, or that is absurdly large.
    """
    kind = type(value)
    if kind is str or kind is dict or kind is bool:
        return value
    if kind is float and not math.isfinite(value):
        raise MappingFailed(f"the result is {value}, and JSON has no infinity and no NaN")
    if kind is int and value.bit_length() > MOST_BITS:
        raise MappingFailed("the result is a number of more than 300 digits")
    return plain(value)


class _Writer:
    """Writes the Python of simple outputs; None for what is not simple."""

    def __init__(self, parsed: BoundTemplate) -> None:
        self.filters = parsed.env.filters
        self.environment = parsed.env
        self.names: dict[str, Any] = {}

    def text(self, nodes: list[Node]) -> str | None:
        parts: list[str] = []
        for node in nodes:
            if isinstance(node, ContentNode):
                parts.append(repr(node.text))
                continue
            source = self.expression(node.expression) if isinstance(node, OutputNode) else None
            if source is None:
                return None
            parts.append(f"stringify({source})")
        return f"''.join(({', '.join(parts)},))" if parts else "''"

    def expression(self, expression: Expression) -> str | None:
        if type(expression) is not FilteredExpression:
            return None
        source = self._value(expression.left)
        for found in expression.filters or ():
            source = source and self._filtered(source, found)
        return source

    def _value(self, expression: Expression) -> str | None:
        if isinstance(expression, Literal):
            return self._name(expression.value)
        if not isinstance(expression, LiquidPath):
            return None
        keys = expression.path
        if not all(isinstance(key, str) for key in keys):
            return None  # an index also reads characters of a string; the interpreter refuses that
        return "variables" + "".join(f"[{str(key)!r}]" for key in keys)

    def _filtered(self, source: str, found: Filter) -> str | None:
        convert = self.filters[found.name]
        if getattr(convert, "with_context", False):
            return None
        if getattr(convert, "with_environment", False):
            convert = functools.partial(convert, environment=self.environment)
        arguments = [source]
        for argument in found.args:
            value = self._value(argument.value)
            if value is None:
                return None
            arguments.append(f"{argument.name}={value}" if hasattr(argument, "name") else value)
        return f"{self._name(convert)}({', '.join(arguments)})"

    def _name(self, value: Any) -> str:
        name = f"_{len(self.names)}"
        self.names[name] = value
        return name


@functools.cache
def _dialect() -> Dialect:
    """Make the environment when the first template is compiled, not at import."""
    return Dialect()


def _references(parsed: BoundTemplate) -> tuple[Path, ...]:
    found: dict[tuple[str | int, ...], None] = {}
    for variable in parsed.analyze(include_partials=False).globals.get("row", ()):
        keys: list[str | int] = []
        for segment in variable.segments[1:]:
            if not isinstance(segment, (str, int)) or (isinstance(segment, int) and segment < 0):
                break
            keys.append(segment)
        if keys and isinstance(keys[0], str):
            found[tuple(keys)] = None
    return tuple(from_keys(keys) for keys in found)
