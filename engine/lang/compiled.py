"""Mappings as Python: one function an object, with every plain field written out.

Plain references and constants cost a subscript each; a field that is missing, an array or a failing template takes the
way of the reference form. `engine.lang.forms` says what a form means, and a property test says that both agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET

from engine.errors import MappingFailed
from engine.lang.forms import (
    Array,
    Constant,
    Each,
    Fallback,
    Form,
    Merge,
    Object,
    Reference,
    Templated,
    at_field,
    merged,
)
from engine.lang.generate import function
from engine.lang.path import getter, is_plain, subscripts
from engine.lang.template import Variables

Evaluate = Callable[[Any, Variables], Any]


def compiled_object(root: Object) -> Callable[..., dict[str, Any]]:
    """Return ``apply(event, context=None)`` for a whole mapping."""
    writer = _Writer()
    lines = writer.object(root, "out", "event")
    if writer.uses_variables:
        lines.insert(0, "variables = {'row': event, 'context': context or {}}")
    return function("mapping", "event, context=None", [*lines, "return out"], writer.names)


def compiled(form: Form) -> Evaluate:
    """Return a form as a function of its root and the template's variables."""
    if isinstance(form, Constant):
        value = form.value
        return lambda _root, _variables: value
    if isinstance(form, Reference):
        get = getter(form.path)
        return lambda root, _variables: get(root)
    if isinstance(form, Templated):
        render = form.template.render
        return lambda _root, variables: render(variables)
    if isinstance(form, Object):
        writer = _Writer()
        lines = writer.object(form, "out", "root")
        return function("nested", "root, variables", [*lines, "return out"], writer.names)
    return _compound(form)


def _compound(form: Fallback | Each | Merge | Array) -> Evaluate:
    if isinstance(form, Fallback):
        inner, otherwise = compiled(form.inner), form.otherwise
        return lambda root, variables: otherwise(inner(root, variables))
    if isinstance(form, Merge):
        parts = [compiled(part) for part in form.parts]
        return lambda root, variables: merged([part(root, variables) for part in parts])
    if isinstance(form, Array):
        items = [compiled(item) for item in form.items]
        return lambda root, variables: [value for item in items if (value := item(root, variables)) is not UNSET]
    return _each(form)


def _each(form: Each) -> Evaluate:
    source, elements, shape = compiled(form.source), form.items, compiled(form.shape)

    def each(root: Any, variables: Variables) -> Any:
        items = elements(source(root, variables))
        if items is UNSET:
            return UNSET
        return [value for item in items if (value := shape(item, {**variables, "item": item})) is not UNSET]

    return each


class _Writer:
    """Writes the statements that fill one object.

    Attributes:
        names: what the statements refer to.
        uses_variables: whether anything needs the template's variables.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"UNSET": UNSET, "MappingFailed": MappingFailed, "at_field": at_field}
        self.uses_variables = False

    def object(self, form: Object, target: str, root: str) -> list[str]:
        lines = [f"{target} = {{}}"]
        for name, field in form.fields:
            lines += self._field(name, field, target, root)
        return lines

    def _field(self, name: str, form: Form, target: str, root: str) -> list[str]:
        place = f"{target}[{name!r}]"
        if isinstance(form, Constant):
            return [f"{place} = {self._name(form.value)}"]
        if isinstance(form, Reference) and is_plain(form.path):
            return [
                "try:",
                f"    {place} = {subscripts(root, form.path)}",
                "except KeyError:",
                "    pass",
                "except (TypeError, IndexError):",
                *self._set(f"{self._name(form.path.get)}({root})", place, "    "),
            ]
        if isinstance(form, Reference):
            return self._set(f"{self._name(form.path.get)}({root})", place, "")
        if isinstance(form, Templated):
            self.uses_variables = True
            return self._guarded(f"{self._name(form.template.render)}(variables)", name, place)
        self.uses_variables = True
        return self._guarded(f"{self._name(compiled(form))}({root}, variables)", name, place)

    def _guarded(self, source: str, name: str, place: str) -> list[str]:
        return [
            "try:",
            f"    value = {source}",
            "except MappingFailed as error:",
            f"    raise at_field({name!r}, error) from error",
            "if value is not UNSET:",
            f"    {place} = value",
        ]

    def _set(self, source: str, place: str, indent: str) -> list[str]:
        return [f"{indent}value = {source}", f"{indent}if value is not UNSET:", f"{indent}    {place} = value"]

    def _name(self, value: Any) -> str:
        name = f"_{len(self.names)}"
        self.names[name] = value
        return name
