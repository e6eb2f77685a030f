"""What a filter's comparisons and functions mean: total, strict about types, null counts as missing.

Every function here returns a value for any event and never raises: a wrong type is simply not true. Values are JSON's
(None, bool, int, float, str, list, dict) or `msgspec.UNSET` for what is missing.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

Test = Callable[[dict[str, Any]], bool]

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MIRRORED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The sign to use when the two sides are swapped."""

_GLOB_SPECIAL = re.compile(r"\\(.)|\[\^", re.DOTALL)
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def is_missing(value: Any) -> bool:
    """Return whether *value* is not there; null counts as missing."""
    return value is None or value is UNSET


def equal(left: Any, right: Any) -> bool:
    """Return whether both are the same scalar of the same type; missing equals only missing.

    Arrays and objects equal nothing.
    """
    if is_missing(left) or is_missing(right):
        return is_missing(left) and is_missing(right)
    kind = type_name(left)
    return kind == type_name(right) and kind not in {"array", "object"} and bool(left == right)


def ordered(sign: str, left: Any, right: Any) -> bool:
    """Return whether *left* stands before or after *right*: two numbers, or two strings by code point."""
    kind = type_name(left)
    return kind in {"number", "string"} and kind == type_name(right) and ORDERS[sign](left, right)


def type_name(value: Any) -> str:
    """Return string, number, boolean, array, object, or null (also for what is missing)."""
    return _TYPES.get(type(value), "null")


def a_type(value: Any) -> str:
    """Return the type's name with its article, for an error's text; ``null`` has none."""
    kind = type_name(value)
    return kind if kind == "null" else f"an {kind}" if kind in {"array", "object"} else f"a {kind}"


def length(value: Any) -> Any:
    """Return the characters of a string or the elements of an array; missing for anything else."""
    return len(value) if isinstance(value, (str, list)) else UNSET


def lowercase(value: Any) -> Any:
    """Return a string in small letters; missing for anything else."""
    return value.lower() if isinstance(value, str) else UNSET


def contains(value: Any, part: Any) -> bool:
    """Return whether a string has *part* in it, or an array an element equal to *part*."""
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    return isinstance(value, list) and not is_missing(part) and any(equal(item, part) for item in value)


def starts_with(value: Any, part: Any) -> bool:
    """Return whether a string begins with the string *part*."""
    return isinstance(value, str) and isinstance(part, str) and value.startswith(part)


def ends_with(value: Any, part: Any) -> bool:
    """Return whether a string ends with the string *part*."""
    return isinstance(value, str) and isinstance(part, str) and value.endswith(part)


def glob(pattern: str) -> re.Pattern[str]:
    r"""Return the expression for strings that match all of *pattern*.

    ``*`` is any text, ``?`` one character, ``[a-z]`` one of a set and ``[!a-z]`` one outside it; a backslash takes the
    next character as it is. fnmatch's translation does not backtrack into an earlier ``*``.
    """
    return re.compile(fnmatch.translate(_GLOB_SPECIAL.sub(_as_fnmatch, pattern)))


def _as_fnmatch(found: re.Match[str]) -> str:
    if found[0] == "[^":
        return "[!"
    return f"[{found[1]}]" if found[1] in "*?[" else found[1]


def matches(value: Any, pattern: str) -> bool:
    """Return whether the string *value* matches all of *pattern*, see `glob`."""
    return isinstance(value, str) and glob(pattern).match(value) is not None


def member(value: Any, choices: Sequence[Any]) -> bool:
    """Return whether *value* equals one of *choices*."""
    return any(equal(value, choice) for choice in choices)
