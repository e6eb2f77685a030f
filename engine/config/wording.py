"""Types and values in words that a person understands."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

from msgspec import inspect as types

from engine.plugin import Secret

_BITS = 64
_SHOWN = 40  # characters of a wrong text that an error shows


def expected(info: types.Type) -> str:
    """Return what a value of *info* is called, with its bounds."""
    match info:
        case types.BoolType():
            return "true or false"
        case types.IntType() | types.FloatType():
            return ("a whole number" if isinstance(info, types.IntType) else "a number") + _bounds(info)
        case types.LiteralType() | types.EnumType():
            return any_of([_quoted(choice) for choice in choices(info)])
        case types.UnionType():
            return any_of([expected(arm) for arm in arms(info)])
        case types.StructType() | types.DictType():
            return "a table"
        case types.VarTupleType() | types.ListType() | types.TupleType() | types.SetType() | types.FrozenSetType():
            return "an array"
        case _:
            return "text"


def got(value: Any, *, hide: bool = False) -> str:
    """Return what *value* is, for the end of a sentence; *hide* leaves out what it says."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return "text" if hide else f"text {_quoted(value)}"
        case int() if value.bit_length() > _BITS:
            return "a number of more than 64 bits"
        case int() | float():
            return "a number" if hide else f"the number {value}"
        case dict():
            return "a table"
        case list() | tuple():
            return "an array"
        case dt.datetime():
            return "a date and time"
        case dt.date():
            return "a date"
        case dt.time():
            return "a time"
        case _:
            return "nothing"


def example(info: types.Type) -> str:
    """Return how a value of *info* is written, with … for what only the user knows."""
    match info:
        case types.BoolType():
            return "true"
        case types.IntType() | types.FloatType():
            return "1"
        case types.LiteralType() | types.EnumType():
            return _quoted(choices(info)[0])
        case types.UnionType():
            return example(arms(info)[0])
        case types.StructType() | types.DictType() | types.AnyType():
            return "{ … }"
        case types.VarTupleType() | types.ListType() | types.SetType() | types.FrozenSetType():
            return f"[{example(info.item_type)}]"
        case types.CustomType(cls=cls) if issubclass(cls, Secret):
            return '"env:NAME"'
        case types.CustomType(cls=cls):
            return _quoted(getattr(cls, "example", "…"))
        case _:
            return '"…"'


def choices(info: types.LiteralType | types.EnumType) -> list[Any]:
    """Return the values that *info* allows."""
    return list(info.values) if isinstance(info, types.LiteralType) else [member.value for member in info.cls]


def arms(info: types.UnionType) -> list[types.Type]:
    """Return the types of a union but for None, which TOML cannot say."""
    return [arm for arm in info.types if not isinstance(arm, types.NoneType)]


def holds_secret(info: types.Type, above: tuple[type, ...] = ()) -> bool:
    """Tell whether a value written for *info* may be a secret, so that no error may show it.

    Args:
        info: what is expected; somebody may write ``basic = "user:password"`` where a table is.
        above: Structs that are looked into already, since one may hold itself.
    """
    match info:
        case types.CustomType(cls=cls):
            return issubclass(cls, Secret)
        case types.StructType(cls=cls):
            inside = () if cls in above else info.fields
            return any(holds_secret(field.type, (*above, cls)) for field in inside)
        case types.UnionType():
            return any(holds_secret(arm, above) for arm in info.types)
        case types.VarTupleType() | types.ListType() | types.SetType() | types.FrozenSetType():
            return holds_secret(info.item_type, above)
        case types.TupleType():
            return any(holds_secret(item, above) for item in info.item_types)
        case types.DictType():
            return holds_secret(info.value_type, above)
        case _:
            return False


def any_of(words: Sequence[str]) -> str:
    """Return ``a, b or c``."""
    *firsts, last = dict.fromkeys(words)
    return f"{', '.join(firsts)} or {last}" if firsts else last


def _quoted(value: Any) -> str:
    """Return *value* as it is written in TOML, cut if it is long."""
    if isinstance(value, str) and len(value) > _SHOWN:
        value = value[: _SHOWN - 1] + "…"
    return json.dumps(value, ensure_ascii=False)


def _bounds(info: types.IntType | types.FloatType) -> str:
    """Return the bounds of a number: `` of at least 1`` and the like."""
    named = {"at least": info.ge, "more than": info.gt, "at most": info.le, "less than": info.lt}
    parts = [f"{words} {bound}" for words, bound in named.items() if bound is not None]
    return f" of {' and '.join(parts)}" if parts else ""
