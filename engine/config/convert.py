"""Plain tables to Structs, with every problem at once and each in a person's words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as types

from engine.config.describe import docs
from engine.config.lines import Lines, join
from engine.config.secrets import Secrets, Unresolved
from engine.config.wording import arms, choices, example, expected, got, holds_secret
from engine.errors import PluginError, Problem, did_you_mean, one_of
from engine.plugin import Secret

T = TypeVar("T", bound=msgspec.Struct)

_WRONG: Any = object()
"""What stands for a value that cannot be had; its problem is told already."""
_INT64 = 1 << 63


def convert_settings(
    settings_type: type[T],
    table: dict[str, Any],
    where: str,
    lines: Lines,
    *,
    secrets: Secrets | None = None,
    beside: Collection[str] = (),
) -> tuple[T | None, list[Problem]]:
    """Return *table* as *settings_type*, or None, and all that is wrong with it.

    Args:
        settings_type: fields may be text, numbers, booleans, literals, enums, `Secret`, the unit types, further
            Structs, and arrays, tables and unions of these.
        table: as it is written; keys named in *beside* are left out.
        where: its dotted path, for example ``destinations.crm``.
        lines: where its keys stand.
        secrets: turns what is written into values; None hides every secret.
        beside: keys of the same table that belong to somebody else; listed among the choices for a wrong one.

    Raises:
        PluginError: a field of *settings_type* has a type that config.toml cannot say.
    """
    converter = Converter(lines, secrets)
    own = {key: value for key, value in table.items() if key not in beside}
    try:
        info = types.type_info(settings_type)
    except (NameError, TypeError) as error:
        raise PluginError(f"{settings_type.__module__}.{settings_type.__qualname__}: {error}") from error
    made = converter.struct(info, own, where, beside)
    return (None if converter.problems else made), converter.problems


class Converter:
    """Collects problems while it converts, and makes what it can in spite of them, so that more of them are found.

    An unknown key is left out, an optional one with a wrong value has its default, a named table that is wrong is left
    out. An array is whole or not at all: its indexes are places.

    Args:
        lines: where keys stand.
        secrets: turns what is written into values; None hides every secret.
    """

    def __init__(self, lines: Lines, secrets: Secrets | None = None) -> None:
        """Start without problems."""
        self.lines = lines
        self.secrets = secrets or Secrets(None, Path(), Path.read_bytes)
        self.problems: list[Problem] = []
        self._steps: dict[type[types.Type], Callable[[Any, Any, str], Any]] = {
            types.AnyType: self._any,
            types.BoolType: self._bool,
            types.IntType: self._number,
            types.FloatType: self._number,
            types.StrType: self._text,
            types.LiteralType: self._choice,
            types.EnumType: self._choice,
            types.CustomType: self._custom,
            types.StructType: self.struct,
            types.DictType: self._table,
            types.VarTupleType: self._array,
            types.ListType: self._array,
            types.SetType: self._array,
            types.FrozenSetType: self._array,
            types.TupleType: self._tuple,
            types.UnionType: self._union,
        }

    def problem(self, where: str, what: str, hint: str = "", severity: str = "error") -> None:
        """Note one problem at the line of *where*."""
        self.problems.append(self.lines.problem(where, what, hint, severity))

    def value(self, info: types.Type, value: Any, where: str) -> Any:
        """Return *value* as *info* wants it; if `problems` grew, a makeshift that later checks can work with."""
        step = self._steps.get(type(info))
        if not step:
            raise PluginError(f"{where}: a setting cannot be of type {type(info).__name__}; use text and parse it")
        return step(info, value, where)

    def struct(self, info: types.Type, value: Any, where: str, beside: Collection[str] = ()) -> Any:
        """Return *value* as a Struct."""
        assert isinstance(info, types.StructType)
        if not isinstance(value, dict):
            return self._unexpected(info, value, where)
        fields = {field.encode_name: field for field in info.fields}
        self._keys(info, fields, value, where, beside)
        parts = {
            key: self.value(field.type, value[key], join(where, key)) for key, field in fields.items() if key in value
        }
        if any(
            parts.get(key, _WRONG) is _WRONG for key, field in fields.items() if _must_be_right(field, key in value)
        ):
            return _WRONG
        try:
            return info.cls(**{fields[key].name: part for key, part in parts.items() if part is not _WRONG})
        except ValueError as error:
            return self._wrong(where, str(error))

    def _keys(
        self,
        info: types.StructType,
        fields: dict[str, types.Field],
        table: dict[str, Any],
        where: str,
        beside: Collection[str],
    ) -> None:
        """Note unknown and missing keys."""
        unknown = [key for key in table if key not in fields] if info.forbid_unknown_fields else []
        missing = [key for key, field in fields.items() if field.required and key not in table]
        free = [key for key in (*fields, *beside) if key not in table]
        for key in unknown:
            near = did_you_mean(key, missing) or did_you_mean(key, free)
            self.problem(join(where, key), "unknown key", near or one_of((*fields, *beside)))
        meant = "".join(did_you_mean(key, missing) for key in unknown)
        for key in missing:
            if f"'{key}'" not in meant:
                text = docs(info.cls).get(key, "").partition("\n")[0]
                hint = f"add {key} = {example(fields[key].type)}"
                self.problem(where, f"missing key '{key}'", f"{hint}  # {text}" if text else hint)

    def _table(self, info: types.DictType, value: Any, where: str) -> Any:
        """Return *value* as a dict whose keys a user chose."""
        if not isinstance(value, dict):
            return self._unexpected(info, value, where)
        made = {key: self.value(info.value_type, inner, join(where, key)) for key, inner in value.items()}
        is_json = isinstance(info.value_type, types.AnyType)
        if is_json and any(part is _WRONG for part in made.values()):
            return _WRONG
        return {key: part for key, part in made.items() if part is not _WRONG}

    def _array(self, info: Any, value: Any, where: str) -> Any:
        """Return *value* as a tuple, list or set."""
        if not isinstance(value, (list, tuple)):
            return self._unexpected(info, value, where, _brackets(info, value, where))
        if info.min_length and len(value) < info.min_length:
            return self._wrong(where, f"expected at least {info.min_length} in this array, got {len(value)}")
        if info.max_length is not None and len(value) > info.max_length:
            return self._wrong(where, f"expected at most {info.max_length} in this array, got {len(value)}")
        made = [self.value(info.item_type, inner, join(where, index)) for index, inner in enumerate(value)]
        kinds = {types.ListType: list, types.SetType: set, types.FrozenSetType: frozenset}
        return _WRONG if any(part is _WRONG for part in made) else kinds.get(type(info), tuple)(made)

    def _tuple(self, info: types.TupleType, value: Any, where: str) -> Any:
        """Return *value* as a tuple of a fixed length."""
        count = len(info.item_types)
        if not isinstance(value, (list, tuple)) or len(value) != count:
            return self._wrong(where, f"expected an array of {count}, got {got(value, hide=holds_secret(info))}")
        pairs = zip(info.item_types, value, strict=True)
        made = tuple(self.value(item, inner, join(where, index)) for index, (item, inner) in enumerate(pairs))
        return _WRONG if any(part is _WRONG for part in made) else made

    def _union(self, info: types.UnionType, value: Any, where: str) -> Any:
        """Return *value* as the first type that takes it; if none does, say what the likeliest minds."""
        tried = []
        for arm in arms(info):
            attempt = Converter(self.lines, self.secrets)
            made = attempt.value(arm, value, where)
            if not attempt.problems:
                return made
            tried.append((arm, attempt.problems))
        alike = [problems for arm, problems in tried if len(tried) == 1 or _is_alike(arm, value)]
        if not alike:
            return self._unexpected(info, value, where)
        self.problems += alike[0]
        return _WRONG

    def _any(self, _: Any, value: Any, where: str) -> Any:
        """Return *value* as JSON would have it: times as text."""
        match value:
            case dict():
                return self._table(_ANYTHING, value, where)
            case list() | tuple():
                made = [self._any(_, inner, join(where, index)) for index, inner in enumerate(value)]
                return _WRONG if any(part is _WRONG for part in made) else made
            case dt.datetime() | dt.date() | dt.time():
                return _iso(value)
            case float() if not math.isfinite(value):
                return self._wrong(where, f"JSON has no number {value}", "leave the key out, or write a number")
            case int() if not -_INT64 <= value < _INT64:
                return self._wrong(where, "expected a whole number of at most 64 bits", "write it in quotes")
            case _:
                return value

    def _bool(self, info: Any, value: Any, where: str) -> Any:
        """Return *value* if it is a boolean."""
        if isinstance(value, bool):
            return value
        hint = f"write it without quotes: {value}" if value in ("true", "false") else ""
        return self._unexpected(info, value, where, hint)

    def _number(self, info: Any, value: Any, where: str) -> Any:
        """Return *value* if it is a number of the right kind and within the bounds."""
        whole = isinstance(info, types.IntType)
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not fits or not -_INT64 <= value < _INT64 or not _is_within(info, value):
            hint = f"write it without quotes: {value}" if isinstance(value, str) and _is_number(value) else ""
            return self._unexpected(info, value, where, hint)
        return value if whole else float(value)

    def _text(self, info: types.StrType, value: Any, where: str) -> Any:
        """Return *value* if it is text."""
        if not isinstance(value, str):
            return self._unexpected(info, value, where)
        if info.min_length and len(value) < info.min_length:
            return self._wrong(
                where, "expected some text, got none" if info.min_length == 1 else "the text is too short"
            )
        return value

    def _choice(self, info: Any, value: Any, where: str) -> Any:
        """Return *value* if it is one of the choices; an enum's member for an enum."""
        allowed = choices(info)
        if value in allowed and not isinstance(value, bool):
            return value if isinstance(info, types.LiteralType) else info.cls(value)
        near = did_you_mean(value, map(str, allowed)) if isinstance(value, str) else ""
        return self._unexpected(info, value, where, near)

    def _custom(self, info: types.CustomType, value: Any, where: str) -> Any:
        """Return *value* as a secret or as a type that is text with a meaning."""
        if issubclass(info.cls, Secret):
            return self._secret(info, value, where)
        if isinstance(value, (dt.datetime, dt.date)):
            value = _iso(value)
        shown = got(value)
        try:
            made = _made(info.cls, str(value))
        except ValueError as error:
            return self._wrong(where, f"{error}, got {shown}")
        return made if isinstance(value, str) else self._wrong(where, f"expected text, got {shown}")

    def _secret(self, info: types.CustomType, value: Any, where: str) -> Any:
        """Return the secret that *value* is or names."""
        if not isinstance(value, str):
            return self._unexpected(info, value, where)
        try:
            return self.secrets.resolve(value)
        except Unresolved as error:
            return self._wrong(where, error.what, error.hint)

    def _unexpected(self, info: types.Type, value: Any, where: str, hint: str = "") -> Any:
        """Note that *value* is of the wrong type."""
        return self._wrong(where, f"expected {expected(info)}, got {got(value, hide=holds_secret(info))}", hint)

    def _wrong(self, where: str, what: str, hint: str = "") -> Any:
        """Note a problem and return the mark for a value that cannot be had."""
        self.problem(where, what, hint)
        return _WRONG


_ANYTHING = types.DictType(key_type=types.StrType(), value_type=types.AnyType())


def _iso(value: dt.datetime | dt.date | dt.time) -> str:
    """Return a TOML time as the ISO-8601 text that JSON would carry."""
    return value.isoformat().replace("+00:00", "Z")


def _is_within(info: types.IntType | types.FloatType, value: float) -> bool:
    """Tell whether *value* keeps the bounds of *info*."""
    return (
        (info.ge is None or value >= info.ge)
        and (info.gt is None or value > info.gt)
        and (info.le is None or value <= info.le)
        and (info.lt is None or value < info.lt)
    )


def _made(kind: Any, text: str) -> Any:
    """Return *text* as a *kind*, whose class takes text; raises ValueError."""
    return kind(text)


def _must_be_right(field: types.Field, is_given: bool) -> bool:  # noqa: FBT001 - read beside its call
    """Tell whether a Struct makes no sense without this field: its default would bring up problems that are none."""
    return field.required or (is_given and isinstance(field.type, (types.DictType, types.AnyType)))


def _is_number(text: str) -> bool:
    """Tell whether *text* could stand as a number without its quotes."""
    return text.replace(".", "", 1).removeprefix("-").isdecimal() and text.isascii()


def _is_alike(arm: types.Type, value: Any) -> bool:
    """Tell whether *value* has the shape of *arm*, so that its problems are the ones to tell."""
    match arm:
        case types.StructType() | types.DictType():
            return isinstance(value, dict)
        case types.VarTupleType() | types.ListType() | types.TupleType() | types.SetType() | types.FrozenSetType():
            return isinstance(value, list)
        case types.CustomType():
            return isinstance(value, str)
        case _:
            return False


def _brackets(info: Any, value: Any, where: str) -> str:
    """Return what to do about one thing where several may stand."""
    if isinstance(value, dict) and isinstance(info.item_type, types.StructType):
        return f"write [[{where}]], with two brackets"
    return "" if isinstance(value, dict) else f"put it in brackets: {example(info)}"
