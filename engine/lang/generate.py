"""The one place where Python source becomes a function.

Only source that this package wrote comes here: every name, key and constant of a user stands in it as a `repr` of a
str, or is passed in *names*. A generated function does in one call what a chain of closures does in a dozen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def function(name: str, parameters: str, lines: Sequence[str], names: dict[str, Any]) -> Callable[..., Any]:
    """Compile ``def name(parameters):`` with *lines* as its body (indented by the caller, below the first level)."""
    source = f"def {name}({parameters}):\n" + "".join(f"    {line}\n" for line in lines)
    scope = dict(names)
    exec(compile(source, f"<headrace {name}>", "exec"), scope)  # noqa: S102 - see the docstring
    made: Callable[..., Any] = scope[name]
    return made
