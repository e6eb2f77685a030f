"""Liquid as we speak it: python-liquid with our filters, our text of a value, and limits that stop any template.

What differs from the library, and why:

* ``now`` and ``today`` are not defined, and ``date`` works in UTC: a mapping is a pure function of the event;
* ``include``, ``render`` and ``tablerow`` are not there: there are no files to include, and no HTML;
* arrays and objects are written as JSON, whole floats as ``12``;
* a range is at most 1,000 wide; loops, output, nesting, every text and all steps together have limits.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any, TextIO

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import tokenize
from liquid.builtin.expressions.filtered import Filter, FilteredExpression, TernaryFilteredExpression
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoTag
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.template import BoundTemplate
from liquid.token import TOKEN_DOT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_WORD, Token

from engine.errors import LangError, did_you_mean
from engine.lang.caret import pointed
from engine.lang.cast import KINDS
from engine.lang.functions import LONGEST_TEXT, OWN, on_text, stringify
from engine.lang.limits import WIDEST_RANGE, Bound, CountedForTag, Range, below
from engine.lang.regex import PatternError, compiled

LONGEST_TEMPLATE = 4_000
MOST_FILTERS = 8
"""In one chain."""

_REMOVED_TAGS = ("include", "render", "tablerow")
_CURLY = re.compile("[\u2018\u2019\u201c\u201d]")
_IDENTIFIER = re.compile(r"\w[\w-]*\??\Z")


class _OutputNode(OutputNode):
    """An output that writes our text of a value."""

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(stringify(self.expression.evaluate(context)))


class _Stream(TokenStream):
    """A template's tokens, whose expressions may have fields that are called like Liquid's words."""

    def into_inner(self, *, tag: Token | None = None, eat: bool = True) -> TokenStream:
        return _named(super().into_inner(tag=tag, eat=eat))


class _Output(Output):
    node_class = _OutputNode

    def parse(self, stream: TokenStream) -> OutputNode:
        token, expression = stream.eat(TOKEN_OUTPUT), stream.expect(TOKEN_EXPRESSION)
        tokens = _named(TokenStream(tokenize(expression.value, expression)))
        return self.node_class(token, FilteredExpression.parse(self.env, tokens))


def _named(tokens: TokenStream) -> TokenStream:
    """Make what follows a dot a name: in ``row.empty`` and ``row.contains`` the library sees its own words."""
    for position, (dot, token) in enumerate(itertools.pairwise(tokens.tokens), 1):
        if dot.kind == TOKEN_DOT and token.kind == token.value and _IDENTIFIER.match(token.value):
            tokens.tokens[position] = token._replace(kind=TOKEN_WORD)
    return tokens


class _EchoTag(EchoTag):
    node_class = _OutputNode  # type: ignore[assignment]


class Dialect(Environment):
    """The environment every template is compiled in."""

    template_class = Bound
    loop_iteration_limit = 1_000
    local_namespace_limit = LONGEST_TEXT
    output_stream_limit = LONGEST_TEXT
    context_depth_limit = 10
    block_nesting_limit = 30

    def __init__(self) -> None:
        super().__init__()
        for name in _REMOVED_TAGS:
            del self.tags[name]
        self.add_tag(_Output)
        self.add_tag(_EchoTag)
        self.add_tag(CountedForTag)
        for name, convert in self.filters.items():
            if convert.__module__ == "liquid.builtin.filters.string" and name != "slice":
                self.filters[name] = on_text(convert)
        self.filters.update(OWN)

    def _parse(self, source: str) -> list[Node]:
        return get_parser(self).parse(_Stream(self.tokenizer()(source)))

    def compile(self, text: str) -> BoundTemplate:
        """Parse *text* and check what the library checks only when it renders.

        Raises:
            LangError: syntax, unknown filter or variable, wrong arguments, too long, too wide.
        """
        if len(text) > LONGEST_TEMPLATE:
            raise LangError(f"a template may have {LONGEST_TEMPLATE} characters, this one has {len(text)}")
        try:
            template = self.from_string(text)
        except LiquidError as error:
            raise _syntax(error, text) from None
        for expression in expressions(template):
            self._check(expression, text)
        return template

    def _check(self, expression: Expression, text: str) -> None:
        if isinstance(expression, RangeLiteral):
            _check_range(expression, text)
        for chain in _chains(expression):
            if len(chain) > MOST_FILTERS:
                raise pointed(f"more than {MOST_FILTERS} filters in a row", text, chain[0].token.start_index + 1)
            for found in chain:
                self._check_filter(found, text)

    def _check_filter(self, found: Filter, text: str) -> None:
        column = found.token.start_index + 1
        function = self.filters.get(found.name)
        if function is None:
            near = did_you_mean(found.name, self.filters)
            raise pointed(f"unknown filter '{found.name}'{': ' if near else ''}{near}", text, column)
        positional = [argument.value for argument in found.args if not hasattr(argument, "name")]
        named: dict[str, Any] = {argument.name: argument.value for argument in found.args if hasattr(argument, "name")}
        if getattr(function, "with_environment", False):
            named["environment"] = self
        try:
            inspect.signature(function).bind(None, *positional, **named)
        except TypeError as error:
            raise pointed(f"the filter '{found.name}' got wrong arguments: {error}", text, column) from None
        _check_constants(found.name, [getattr(argument, "value", None) for argument in positional], text, column)


def expressions(template: BoundTemplate) -> Iterator[Expression]:
    """Yield every expression of *template*, outermost first."""
    return (found for found in below(template.nodes) if isinstance(found, Expression))


def undeclared(template: BoundTemplate, declared: AbstractSet[str]) -> list[tuple[str, int]]:
    """Return the variables that are not among *declared*, each with its column from 1."""
    found = template.analyze(include_partials=False).globals
    return [
        (name, variable.span.index + 1) for name, uses in found.items() if name not in declared for variable in uses
    ]


def _chains(expression: Expression) -> list[list[Filter]]:
    if isinstance(expression, TernaryFilteredExpression):
        return [chain for chain in (expression.filters, expression.tail_filters) if chain]
    if isinstance(expression, FilteredExpression) and expression.filters:
        return [expression.filters]
    return []


def _check_range(expression: RangeLiteral, text: str) -> None:
    start, stop = expression.start, expression.stop
    if isinstance(start, IntegerLiteral) and isinstance(stop, IntegerLiteral):
        width = stop.value - start.value + 1
        if width > WIDEST_RANGE:
            what = f"a range may be {WIDEST_RANGE} wide, this one is {width}"
            raise pointed(what, text, expression.token.start_index + 1)
    # Both ends may come from the event: the width is looked at again when the range is made.
    expression.__class__ = Range


def _check_constants(name: str, values: list[Any], text: str, column: int) -> None:
    constant = values[0] if values and isinstance(values[0], str) else None
    if constant is None:
        return
    if name == "cast" and constant not in KINDS:
        near = did_you_mean(constant, KINDS) or f"one of: {', '.join(sorted(KINDS))}"
        raise pointed(f"'cast' knows no '{constant}': {near}", text, column)
    if name in {"regex_replace", "regex_test"}:
        try:
            compiled(constant)
        except PatternError as error:
            raise pointed(f"the pattern of '{name}' is wrong: {error}", text, column) from None


def _syntax(error: LiquidError, text: str) -> LangError:
    """Return the library's syntax error as ours, with the hint that the text calls for."""
    what = str(error.message)
    index = error.token.start_index if error.token else -1
    curly = _CURLY.search(text)
    if curly:
        return pointed("a curly quote: write ' or \"", text, curly.start() + 1)
    return pointed(what, text, index + 1) if index >= 0 else LangError(what)
