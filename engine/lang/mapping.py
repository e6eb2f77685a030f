"""Mappings: from an event to the payload a destination gets.

A mapping is a table of target = value. A string is a field reference, or a template if it has ``{{`` or ``{%``; numbers
and booleans are constants; arrays nest. A table is a *form* if its keys are exactly those of one: ``{value}``,
``{variable}``, ``{each, as}``, ``{from[, default, when_missing]}``, ``{template[, default, when_missing]}``,
``{merge}``, ``{flatten[, separator, omit_arrays]}``, ``{to_json}``, ``{parse_json}``, ``{object}``; any other table is
a nested object. Missing is left out, null is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from typing import Any, Protocol

import msgspec
from msgspec import UNSET

from engine.errors import HeadraceError, LangError, MappingFailed
from engine.lang.compare import a_type, type_name
from engine.lang.compiled import compiled_object
from engine.lang.forms import (
    Array,
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
from engine.lang.kinds import kind_of
from engine.lang.path import Path, from_keys, parse
from engine.lang.reading import Reader


class MappingErrors(HeadraceError):
    """A mapping that cannot be compiled; carries all of its problems.

    Attributes:
        problems: the dotted place below the mapping's own key (``properties_column`` for that), and the error.
    """

    def __init__(self, problems: Sequence[tuple[str, LangError]]) -> None:
        """Keep *problems* in the order in which they were met."""
        self.problems = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return one problem a line, hints below."""
        return "\n".join(f"{place}: {error}" for place, error in self.problems)


class Required(Protocol):
    """What `check_fields` needs to know about a destination's field."""

    @property
    def name(self) -> str:
        """The payload's key."""

    @property
    def type(self) -> str:
        """String | number | integer | boolean | object | array | any."""

    @property
    def required(self) -> bool:
        """Whether it must be there and not null."""


class Mapping:
    """A compiled mapping.

    Attributes:
        references: the event's fields it looks at, each once, in order; in an ``each`` those of its first element.
        targets: the payload's keys it can set, without what a properties column brings.
        kinds: the type of each of them that has the same one for every event.
    """

    def __init__(self, root: Object, column: _Column | None) -> None:
        self._root = root
        self._column = column
        own = tuple(_references(root, ()))
        self.references: tuple[Path, ...] = tuple(dict.fromkeys(own + ((column.path,) if column else ())))
        fields = {name for name, _ in root.fields}
        self.targets = frozenset(fields | ({column.field} if column and column.field else set()))
        self.kinds = {name: kind for name, form in root.fields if (kind := kind_of(form)) is not None}
        apply = compiled_object(root)
        self.apply: Callable[..., dict[str, Any]] = apply if column is None else _with_column(apply, column)
        """Return the payload of an event: ``apply(event, context=None)``; the event is not changed, parts are shared.

        Raises:
            MappingFailed: with the payload's field and the cause.
        """

    def left_out(self, payload: dict[str, Any]) -> list[str]:
        """Return a sentence for each field that *payload*, made by `apply`, has not: what it would come from."""
        return [
            f"{name} is left out: {form.path if isinstance(form, Reference) else 'its value'} is missing"
            for name, form in self._root.fields
            if name not in payload
        ]

    def interpret(self, event: dict[str, Any], context: dict[str, Any] | None = None) -> dict[str, Any]:
        """Do what `apply` does, form by form: the reference for tests."""
        payload: dict[str, Any] = self._root.evaluate(event, {"row": event, "context": context or {}})
        return payload if self._column is None else self._column.under(payload, event)

    def __repr__(self) -> str:
        """Return ``Mapping(targets)``."""
        return f"Mapping({', '.join(sorted(self.targets))})"


class _Column(msgspec.Struct, frozen=True):
    """Option B: the object in a single column is the base of the payload, or of one field of it."""

    path: Path
    field: str | None = None

    def under(self, payload: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """Return *payload* with the column's object below it: explicit keys win."""
        base = self.base(event)
        if self.field is None:
            return {**base, **payload}
        explicit = payload.get(self.field, UNSET)
        if explicit is UNSET:
            return {**payload, self.field: base}
        return {**payload, self.field: {**base, **explicit}} if isinstance(explicit, dict) else payload

    def base(self, event: dict[str, Any]) -> dict[str, Any]:
        found = self.path.get(event)
        value = found
        if isinstance(found, str):
            try:
                value = msgspec.json.decode(found)
            except (msgspec.DecodeError, RecursionError):
                value = None
        if isinstance(value, dict):
            return value
        state = "missing" if found is UNSET else a_type(found)
        raise MappingFailed(f"properties_column: '{self.path}' holds no object, it is {state}")


def compile_mapping(
    tree: dict[str, Any],
    *,
    variables: AbstractMapping[str, Any],
    properties_column: str | None = None,
    properties_field: str | None = None,
) -> Mapping:
    """Compile a mapping.

    Args:
        tree: the table as it was read; its own keys are always targets.
        variables: what ``{ variable = "…" }`` may name, for example ``sync.name``; known at load.
        properties_column: the reference of the object that is the base of the payload.
        properties_field: the payload's field that the object becomes the base of, instead.

    Raises:
        MappingErrors: all that is wrong.
    """
    reader = Reader(variables)
    root = reader.object(tree)
    column = None
    if properties_column is not None:
        try:
            column = _Column(parse(properties_column), properties_field)
        except LangError as error:
            reader.problems.append(("properties_column", error))
    if reader.problems:
        raise MappingErrors(reader.problems)
    return Mapping(root, column)


def check_fields(payload: dict[str, Any], fields: Sequence[Required]) -> None:
    """Check the payload against what the destination asks for.

    Raises:
        MappingFailed: names every required field that is missing or null, and every field of a wrong type.
    """
    wrong = []
    for field in fields:
        value = payload.get(field.name)
        if value is None:
            if field.required:
                wrong.append(f"'{field.name}' is required")
        elif not _is_of(value, field.type):
            article = "an" if field.type[0] in "aeio" else "a"
            wrong.append(f"'{field.name}' must be {article} {field.type}, and is {a_type(value)}")
    if wrong:
        raise MappingFailed("; ".join(wrong))


def _is_of(value: Any, kind: str) -> bool:
    if kind == "any":
        return True
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return type_name(value) == kind


def _with_column(apply: Callable[..., dict[str, Any]], column: _Column) -> Callable[..., dict[str, Any]]:
    def applied(event: dict[str, Any], context: dict[str, Any] | None = None) -> dict[str, Any]:
        return column.under(apply(event, context), event)

    return applied


def _references(form: Form, base: tuple[str | int, ...]) -> Iterator[Path]:
    """Yield the event's fields below *form*; *base* is where an ``each`` around it stands."""
    if isinstance(form, Reference):
        yield from_keys((*base, *form.path.keys)) if base else form.path
    elif isinstance(form, Templated):
        yield from form.template.references
    elif isinstance(form, Fallback | Flattened | Encoded | Parsed):
        yield from _references(form.inner, base)
    elif isinstance(form, Each):
        yield from _references(form.source, base)
        if isinstance(form.source, Reference):
            yield from _references(form.shape, (*base, *form.source.path.keys, 0))
    elif isinstance(form, (Merge, Array)):
        for part in form.parts if isinstance(form, Merge) else form.items:
            yield from _references(part, base)
    elif isinstance(form, Object):
        for _, field in form.fields:
            yield from _references(field, base)
