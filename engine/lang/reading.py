"""From a mapping's table to its forms, with all that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from engine.errors import LangError, did_you_mean, one_of
from engine.lang.forms import (
    Array,
    Constant,
    Each,
    Encoded,
    Fallback,
    Flattened,
    Form,
    Merge,
    Object,
    Parsed,
    Reference,
    Templated,
)
from engine.lang.path import parse
from engine.lang.template import compile_template, is_template

WHEN_MISSING = ("omit", "null", "fail")
_OPTIONAL = frozenset({"default", "when_missing"})
_FLATTEN = frozenset({"separator", "omit_arrays"})
_DEEPEST = 30


class Reader:
    """Reads the values of one mapping; keeps what is wrong instead of stopping at the first.

    Attributes:
        problems: the dotted place below the mapping, and the error.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self.problems: list[tuple[str, LangError]] = []
        self._variables = variables
        self._in_each = 0
        self._depth = 0

    def object(self, table: dict[str, Any], place: str = "") -> Object:
        """Read *table* as an object whose keys are all names of fields."""
        return Object(tuple((name, self.value(value, _below(place, name))) for name, value in table.items()))

    def value(self, value: Any, place: str) -> Form:
        """Read one value; a problem makes it a constant null, so that reading goes on."""
        self._depth += 1
        try:
            return self._read(value, place)
        except LangError as error:
            self.problems.append((place, error))
            return Constant(None)
        finally:
            self._depth -= 1

    def _read(self, value: Any, place: str) -> Form:
        if self._depth > _DEEPEST:
            raise LangError(f"more than {_DEEPEST} levels")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (bool, int, float)):
            return _constant(value)
        if isinstance(value, list):
            return Array(tuple(self.value(item, f"{place}[{position}]") for position, item in enumerate(value)))
        if isinstance(value, dict):
            return self._table(value, place)
        raise LangError(f"a {type(value).__name__} is no value of a mapping", "write it as a string: { value = '…' }")

    def _text(self, text: str) -> Reference | Templated:
        if is_template(text):
            return Templated(compile_template(text, in_each=self._in_each > 0))
        try:
            return Reference(parse(text))
        except LangError as error:
            hint = f"{error.hint}\na string is a field reference; a constant is written {{ value = … }}"
            raise LangError(error.what, hint, error.column) from None

    def _table(self, table: dict[str, Any], place: str) -> Form:
        keys = frozenset(table)
        if keys == {"value"}:
            return _constant(table["value"])
        if keys == {"variable"}:
            return self._variable(table["variable"])
        if keys == {"each", "as"}:
            return self._each(table, place)
        if keys == {"merge"}:
            return self._merge(table["merge"], place)
        if keys == {"object"} and isinstance(table["object"], dict):
            return self.object(table["object"], place)
        for word in ("from", "template"):
            if keys - _OPTIONAL == {word}:
                return self._fallback(word, table)
        return self._converted(table, place) or self.object(table, place)

    def _converted(self, table: dict[str, Any], place: str) -> Form | None:
        """Read a form that converts another; None for an object."""
        keys = frozenset(table)
        if keys == {"to_json"}:
            return Encoded(self.value(table["to_json"], _below(place, "to_json")))
        if keys == {"parse_json"}:
            return Parsed(self.value(table["parse_json"], _below(place, "parse_json")))
        return self._flatten(table, place) if keys - _FLATTEN == {"flatten"} else None

    def _variable(self, name: Any) -> Constant:
        if not isinstance(name, str) or name not in self._variables:
            near = did_you_mean(str(name), self._variables)
            raise LangError(f"unknown variable '{name}'", near or one_of(self._variables))
        return Constant(self._variables[name])

    def _each(self, table: dict[str, Any], place: str) -> Each:
        if not isinstance(table["each"], str):
            raise LangError("'each' is a field reference or a template")
        source = self._text(table["each"])
        self._in_each += 1
        shape = self.value(table["as"], _below(place, "as"))
        self._in_each -= 1
        return Each(source, _named(source, table["each"]), shape)

    def _merge(self, parts: Any, place: str) -> Merge:
        if not isinstance(parts, list) or not parts:
            raise LangError("'merge' is an array of references and objects")
        place = _below(place, "merge")
        return Merge(tuple(self.value(part, f"{place}[{position}]") for position, part in enumerate(parts)))

    def _flatten(self, table: dict[str, Any], place: str) -> Flattened:
        separator, omit_arrays = table.get("separator", "."), table.get("omit_arrays", False)
        if not isinstance(separator, str):
            raise LangError("'separator' is a string")
        if not isinstance(omit_arrays, bool):
            raise LangError("'omit_arrays' is true or false")
        text = table["flatten"]
        inner = self.value(text, _below(place, "flatten"))
        return Flattened(inner, _named(inner, text) if isinstance(text, str) else "it", separator, omit_arrays)

    def _fallback(self, word: str, table: dict[str, Any]) -> Form:
        text, policy = table[word], table.get("when_missing", "omit")
        if not isinstance(text, str):
            raise LangError(f"'{word}' is a string", "a constant is written { value = … }")
        if policy not in WHEN_MISSING:
            raise LangError(f"unknown when_missing '{policy}'", f"one of: {', '.join(WHEN_MISSING)}")
        inner = self._text(text) if word == "from" else Templated(compile_template(text, in_each=self._in_each > 0))
        default = table.get("default", UNSET)
        if default is UNSET and policy == "omit":
            return inner
        return Fallback(inner, _named(inner, text), default if default is UNSET else _constant(default).value, policy)


def _constant(value: Any) -> Constant:
    """Return *value* as a constant, if all of it is JSON."""
    pending = [value]
    while pending:
        found = pending.pop()
        if isinstance(found, dict):
            pending += found.values()
        elif isinstance(found, list):
            pending += found
        elif not isinstance(found, (str, bool, int, float, type(None))):
            raise LangError(f"a {type(found).__name__} is not JSON", "write it as a string")
        elif isinstance(found, float) and (found - found) != 0:
            raise LangError(f"{found} is not JSON", "JSON has no infinity and no NaN")
    return Constant(value)


def _named(form: Form, text: str) -> str:
    return f"the template {text}" if isinstance(form, Templated) else f"'{text}'"


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
