"""Turning a value into the type a destination wants, or saying that it cannot be.

``cast`` never guesses: what would lose something (``12.5`` to an integer) or has no one meaning (``"abc"`` to a number)
fails. Missing stays missing and null stays null, whatever the kind: that is for `default` and `when_missing` to decide.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from engine.errors import MappingFailed
from engine.lang.dates import iso, to_seconds

_NUMBER = re.compile(r"\s*[+-]?(?:([0-9]+)|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?)\s*\Z")
"""With a group that is there for whole numbers."""
_LONGEST_NUMBER = 100
_LONGEST_SHOWN = 60
_EXACT = 1e15
"""Whole floats below this are written without a fraction, as JavaScript does."""
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class CastError(MappingFailed):
    """A value that is not of the kind that was asked for."""

    def __init__(self, value: Any, kind: str, why: str = "") -> None:
        """Name the value, shortened, and the kind."""
        article = "an" if kind[0] in "aio" else "a"
        super().__init__(f"cannot cast {shown(value)} to {article} {kind}{': ' if why else ''}{why}")


def cast(value: Any, kind: str) -> Any:
    """Return *value* as *kind*, one of `KINDS`; null and missing are returned as they are.

    Raises:
        CastError: it cannot be that.
        KeyError: *kind* is none of `KINDS` (checked at load).
    """
    convert = CONVERTERS[kind]
    if value is None or value is UNSET:
        return value
    return convert(value)


def text_of(value: Any) -> str:
    """Return *value* as text: JSON for arrays and objects, ``true`` for True, ``12`` for 12.0, "" for null."""
    if isinstance(value, str):
        return value
    if value is None or value is UNSET:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return msgspec.json.encode(value).decode()


def to_json(value: Any) -> str:
    """Return *value*, which is JSON, as JSON text."""
    return msgspec.json.encode(value).decode()


def parse_json(value: Any) -> Any:
    """Return what a JSON text stands for; what is no text is returned as it is.

    Raises:
        MappingFailed: a text that is not JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise MappingFailed(f"not JSON: {shown(value)}") from None


def shown(value: Any) -> str:
    """Return *value* as JSON for an error's text, at most 60 characters."""
    try:
        finite = not isinstance(value, float) or math.isfinite(value)
        text = msgspec.json.encode(value).decode() if finite else str(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return _finite(value, value)
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and (found := _NUMBER.match(value)):
        return int(value) if found.lastindex else _finite(float(value), value)
    raise CastError(value, "number")


def _finite(number: float, value: Any) -> float:
    if isinstance(number, float) and not math.isfinite(number):
        raise CastError(value, "number", "JSON has no infinity and no NaN")
    return number


def _integer(value: Any) -> int:
    try:
        number = _number(value)
    except CastError:
        raise CastError(value, "integer") from None
    if isinstance(number, float):
        if not number.is_integer():
            raise CastError(value, "integer", "it has a fraction")
        return int(number)
    return number


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLEANS.get(text_of(value).strip().lower()) if isinstance(value, (str, int, float)) else None
    if found is None:
        raise CastError(value, "boolean")
    return found


def _object(value: Any) -> dict[str, Any]:
    found = _parsed(value)
    if not isinstance(found, dict):
        raise CastError(value, "object")
    return found


def _array(value: Any) -> list[Any]:
    found = _parsed(value)
    if isinstance(found, tuple):
        return list(found)
    if not isinstance(found, list):
        raise CastError(value, "array")
    return found


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def _date(value: Any) -> str:
    seconds = to_seconds(value)
    if seconds is None:
        raise CastError(value, "date", "write ISO-8601, or seconds or milliseconds since 1970")
    return iso(seconds)


CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "number": _number,
    "integer": _integer,
    "string": text_of,
    "boolean": _boolean,
    "object": _object,
    "array": _array,
    "date": _date,
}
"""By kind, what `cast` does with a value that is neither missing nor null."""
KINDS = frozenset(CONVERTERS)
"""What a value can be cast to."""
