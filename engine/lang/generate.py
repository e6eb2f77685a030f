"""The one place where Python source becomes a function.

Only source that this package wrote comes here: every name, key and constant of a user stands in it as a `repr` of a
str or number, or is passed by a name of ours. A generated function does in one call what a chain of closures does in a
dozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

_LITERALS = frozenset({str, int, bool, type(None)})


class Writer:
    """Keeps what generated source refers to.

    Attributes:
        names: what the source calls by a name, and the value.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self._locals = 0
        self._known: dict[int, str] = {}

    def name(self, value: Any) -> str:
        """Return the name under which the source finds *value*; the same one for the same object."""
        known = self._known.get(id(value))
        if known is None:
            # The value is kept in `names`, so its identity stays its own.
            known = self._known[id(value)] = f"_{len(self.names)}"
            self.names[known] = value
        return known

    def literal(self, value: Any) -> str:
        """Return *value* as it is written in Python; what has no literal gets a name."""
        plain = type(value) in _LITERALS or (type(value) is float and math.isfinite(value))
        return repr(value) if plain else self.name(value)

    def local(self) -> str:
        """Return a local variable that nothing else uses."""
        self._locals += 1
        return f"v{self._locals}"

    def function(self, name: str, parameters: str, lines: Sequence[str]) -> Callable[..., Any]:
        """Return ``def name(parameters):`` with *lines* as its body."""
        return function(name, parameters, lines, self.names)


def function(name: str, parameters: str, lines: Sequence[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Compile ``def name(parameters):`` with *lines* as its body (indented by the caller, below the first level)."""
    source = f"def {name}({parameters}):\n" + "".join(f"    {line}\n" for line in lines)
    scope = dict(names)
    exec(compile(source, f"<headrace {name}>", "exec"), scope)  # noqa: S102 - see the docstring
    made: Callable[..., Any] = scope[name]
    return made
