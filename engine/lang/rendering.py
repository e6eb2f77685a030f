"""A compiled template: its value for an event.

Simple outputs are compiled to Python; whatever these cannot do (a missing field, an array index, any exception) is done
again by the interpreter, which is the reference, so both agree by construction.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.template import BoundTemplate

from engine.errors import MappingFailed
from engine.lang.caret import pointed
from engine.lang.environment import Dialect, undeclared
from engine.lang.functions import finished
from engine.lang.generate import Writer
from engine.lang.kinds import CAST_KINDS, FILTER_KINDS
from engine.lang.path import Path, from_keys
from engine.lang.simple import Reach, Simple, Written
from engine.lang.template import Variables


class Template:
    """A compiled template.

    Attributes:
        text: as it was written.
        is_typed: whether it is one lone output, which keeps its type.
        kind: the type of what it gives, None if only an event can tell.
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
        self.kind = "string" if self._lone is None else _kind(self._lone)

    @functools.cached_property
    def render(self) -> Callable[[Variables], Any]:
        """Return the typed value or text for *variables*; `msgspec.UNSET` for a lone output that is missing.

        Raises:
            MappingFailed: whatever went wrong, with the template and the cause.
        """
        writer = Writer()
        written = self.written(writer, _from_variables)
        if written is None:
            return self.interpret
        lines = ["try:", f"    return {written.source}", "except Exception:", "    pass"]
        lines += [f"return {writer.name(self.interpret)}(variables)"]
        return writer.function("template", "variables", lines)

    def interpret(self, variables: Variables) -> Any:
        """Do what `render` does by the interpreter, the reference."""
        try:
            if self._lone is None:
                return self._parsed.render(variables)
            return finished(self._lone.evaluate(self._parsed.context_class(self._parsed, globals=variables)))
        except Exception as error:
            cause = error.message if isinstance(error, LiquidError) else error
            raise MappingFailed(f"the template {self.text}: {cause or type(error).__name__}") from error

    def written(self, writer: Writer, reach: Reach) -> Written | None:
        """Return the template as a Python expression, or None if it is not simple.

        Where the expression raises, whatever it is, `interpret` has the answer.

        Args:
            writer: keeps what the expression refers to.
            reach: says how the source gets at a variable's field.
        """
        simple = Simple(writer, reach, self._parsed.env)
        return simple.text(self._parsed.nodes) if self._lone is None else simple.lone(self._lone)

    def __repr__(self) -> str:
        """Return ``Template('…')``."""
        return f"Template({self.text!r})"


def read_template(text: str, *, in_each: bool) -> Template:
    """Do what `engine.lang.template.compile_template` says."""
    parsed = _dialect().compile(text)
    unknown = undeclared(parsed, {"row", "context", "item"} if in_each else {"row", "context"})
    if unknown:
        name, column = unknown[0]
        raise pointed(f"unknown variable '{name}': a field of the event is written row.{name}", text, column)
    return Template(text, parsed)


@functools.cache
def _dialect() -> Dialect:
    """Make the environment when the first template is compiled, not at import."""
    return Dialect()


def _kind(expression: Expression) -> str | None:
    """Return the type of what the last filter of a lone output gives."""
    if type(expression) is not FilteredExpression or not expression.filters:
        return None
    last = expression.filters[-1]
    if last.name == "cast":
        kind = getattr(last.args[0].value, "value", None)
        return CAST_KINDS.get(kind, kind) if isinstance(kind, str) else None
    return FILTER_KINDS.get(last.name)


def _from_variables(keys: Sequence[str]) -> str:
    return "variables" + "".join(f"[{key!r}]" for key in keys)


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
