"""What stops a template: a count of its steps, beside the sizes that `engine.lang.functions` guards.

The library limits loops, output and nesting, but not what a filter does to a text, nor loop after loop. So everything a
template does is counted: a path that is read, a filter that is called, a turn of a loop with all that stands in it; and
256 characters that it looks at are a step more. At a microsecond or two a step, the most it can take is some 30 ms.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.expression import Expression
from liquid.stream import TokenStream
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from engine.errors import MappingFailed

MOST_STEPS = 20_000
WIDEST_RANGE = 1_000
_CHARACTERS_A_STEP = 256
_WEIGHT_OF_ANYTHING = 8


class Context(RenderContext):
    """A render context that counts, without the library's ``now`` and ``today``.

    Attributes:
        steps: how many were taken.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.steps = 0

    def spend(self, steps: int) -> None:
        """Count *steps*.

        Raises:
            MappingFailed: they were too many.
        """
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise MappingFailed(f"it takes more than {MOST_STEPS} steps")

    def get(self, path: list[object], **named: Any) -> object:
        """Return what stands at *path*."""
        value = super().get(path, **named)
        self.spend(1 + (len(value) // _CHARACTERS_A_STEP if isinstance(value, (str, list)) else 0))
        return value

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Return the filter, so that its call is counted."""
        return functools.partial(self._called, super().filter(name, token))

    def _called(self, convert: Callable[..., object], *arguments: Any, **named: Any) -> object:
        self.spend(1 + sum(weight(argument) for argument in arguments) // _CHARACTERS_A_STEP)
        return convert(*arguments, **named)


class Bound(BoundTemplate):
    """A template that counts."""

    context_class = Context


class _Turn(BlockNode):
    """What stands in a loop: every turn costs as many steps as there are nodes and expressions in it."""

    __slots__ = ("steps",)

    def __init__(self, token: Token, nodes: list[Node], steps: int) -> None:
        super().__init__(token, nodes)
        self.steps = steps

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, Context)
        context.spend(self.steps)
        return super().render_to_output(context, buffer)


class CountedForTag(ForTag):
    """A ``for`` whose turns are counted."""

    def parse(self, stream: TokenStream) -> Node:
        """Return the library's node with a block that counts."""
        node = super().parse(stream)
        assert isinstance(node, ForNode)
        block = node.block
        node.block = _Turn(block.token, block.nodes, 1 + sum(1 for _ in below(block.nodes)))
        return node


class Range(RangeLiteral):
    """A range that refuses to be wide."""

    __slots__ = ()

    def _make_range(self, start: Any, stop: Any) -> range:
        made = super()._make_range(start, stop)
        if len(made) > WIDEST_RANGE:
            raise MappingFailed(f"the range {self} is {len(made)} wide, more than {WIDEST_RANGE}")
        return made


def below(nodes: Sequence[Node]) -> Iterator[Node | Expression]:
    """Yield *nodes* and every node and expression below them, outermost first."""
    pending: list[Node | Expression] = list(reversed(nodes))
    while pending:
        found = pending.pop()
        yield found
        if isinstance(found, Expression):
            pending += found.children()
        else:
            # Only `include` and `render` look at the context they are given, and they are not there.
            pending += [*found.expressions(), *found.children(None, include_partials=False)]  # type: ignore[arg-type]


def weight(value: Any) -> int:
    """Return about how many characters *value* has as JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(_WEIGHT_OF_ANYTHING + len(key) + weight(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return sum(_WEIGHT_OF_ANYTHING + weight(inner) for inner in value)
    return _WEIGHT_OF_ANYTHING * (len(value) if isinstance(value, range) else 1)
