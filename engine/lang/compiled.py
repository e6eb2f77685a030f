"""Mappings as Python: one function a mapping, with every plain field and simple template written out.

Plain references cost a look and a subscript each, and the object that they are in is looked up once. An array on the
way or a failing template is asked of the form itself: `engine.lang.forms` says what a form means, and a property test
says that both agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from msgspec import UNSET

from engine.errors import MappingFailed
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
    at_field,
    merged,
)
from engine.lang.generate import Writer
from engine.lang.path import getter, is_plain

Evaluate: TypeAlias = Callable[[Any, Any, Any], Any]
"""From the root (the event, or an ``each``'s item), the event and the template's ``context`` to the value."""

_Keys: TypeAlias = tuple[str, ...]


def compiled_object(root: Object) -> Callable[..., dict[str, Any]]:
    """Return ``apply(event, context=None)`` for a whole mapping."""
    return _function("mapping", "event, context=None", root, in_each=False)


def _function(name: str, parameters: str, form: Object, *, in_each: bool) -> Callable[..., Any]:
    """Write the object twice: only after the first time it is known which objects are read more than once."""
    draft = _Writer(in_each=in_each)
    draft.object(form, "out", ())
    writer = _Writer(in_each=in_each, shared=[keys for keys, count in draft.uses.items() if count > 1])
    lines = writer.object(form, "out", ())
    return writer.function(name, parameters, [*writer.lookups(), *lines, "return out"])


def compiled(form: Form, *, in_each: bool) -> Evaluate:
    """Return any form as a function.

    Args:
        form: what to evaluate.
        in_each: whether its root is the item of an ``each``, and a template's ``item`` with it.
    """
    if isinstance(form, Constant):
        value = form.value
        return lambda _root, _event, _context: value
    if isinstance(form, Reference):
        get = getter(form.path)
        return lambda root, _event, _context: get(root)
    if isinstance(form, Templated):
        render = form.template.render
        return lambda root, event, context: render(_variables(root, event, context, in_each=in_each))
    if isinstance(form, Object):
        return _function("nested", "root, event, context", form, in_each=in_each)
    return _compound(form, in_each=in_each)


def _compound(form: Fallback | Each | Merge | Array | Flattened | Encoded | Parsed, *, in_each: bool) -> Evaluate:
    if isinstance(form, Merge):
        parts = [compiled(part, in_each=in_each) for part in form.parts]
        return lambda root, event, context: merged([part(root, event, context) for part in parts])
    if isinstance(form, Array):
        items = [compiled(item, in_each=in_each) for item in form.items]
        return lambda root, event, context: [
            value for item in items if (value := item(root, event, context)) is not UNSET
        ]
    if isinstance(form, Each):
        return _each(form, in_each=in_each)
    inner, finish = compiled(form.inner, in_each=in_each), form.finish
    return lambda root, event, context: finish(inner(root, event, context))


def _each(form: Each, *, in_each: bool) -> Evaluate:
    source, elements = compiled(form.source, in_each=in_each), form.items
    shape = compiled(form.shape, in_each=True)

    def each(root: Any, event: Any, context: Any) -> Any:
        items = elements(source(root, event, context))
        if items is UNSET:
            return UNSET
        return [value for item in items if (value := shape(item, event, context)) is not UNSET]

    return each


def _variables(root: Any, event: Any, context: Any, *, in_each: bool) -> dict[str, Any]:
    variables = {"row": event, "context": context or {}}
    return {**variables, "item": root} if in_each else variables


def _by_form(form: Form, names: _Keys, *, in_each: bool) -> Evaluate:
    """Return the form itself as a function that says which field failed."""

    def evaluate(root: Any, event: Any, context: Any) -> Any:
        try:
            return form.evaluate(root, _variables(root, event, context, in_each=in_each))
        except MappingFailed as error:
            failed = error
            for name in reversed(names):
                failed = at_field(name, failed)
            raise failed from error

    return evaluate


class _Writer(Writer):
    """Writes the statements that fill one object and those nested in it.

    Args:
        in_each: whether the root is an item rather than the event.
        shared: the objects that are looked up once, as a variable and the names below it.

    Attributes:
        uses: how many subscripts go through each object.
    """

    def __init__(self, *, in_each: bool, shared: Sequence[_Keys] = ()) -> None:
        super().__init__()
        self.names |= {"UNSET": UNSET, "EMPTY": {}, "MappingFailed": MappingFailed, "at_field": at_field}
        self.uses: Counter[_Keys] = Counter()
        self._in_each = in_each
        self._root = "root" if in_each else "event"
        self._shared = {keys: f"o{number}" for number, keys in enumerate(sorted(shared, key=len))}

    def lookups(self) -> list[str]:
        """Return the statements that look up what is shared; an empty object where there is none."""
        lines = []
        for keys, local in self._shared.items():
            if len(keys) == 1:
                lines.append(f"{local} = {keys[0]} if type({keys[0]}) is dict else EMPTY")
                continue
            # An event is an object, and what is shared is one by now; an item or a template's context may be anything.
            holder = self._shared.get(keys[:-1], keys[0])
            guard = f"type({holder}) is dict and " if holder in {"root", "context"} else ""
            found = f"type({local} := {holder}.get({keys[-1]!r})) is dict"
            lines.append(f"{local} = {local} if {guard}{found} else EMPTY")
        return lines

    def object(self, form: Object, local: str, names: _Keys) -> list[str]:
        """Return the statements that make *local* the object that stands at *names* in the payload."""
        lines = [f"{local} = {{}}"]
        for name, field in form.fields:
            lines += self._field(field, f"{local}[{name!r}]", (*names, name))
        return lines

    def _field(self, form: Form, place: str, names: _Keys) -> list[str]:
        if isinstance(form, Constant):
            return [f"{place} = {self.literal(form.value)}"]
        if isinstance(form, Object):
            nested = self.local()
            return [*self.object(form, nested, names), f"{place} = {nested}"]
        if isinstance(form, Reference):
            return self._reference(form, place)
        if isinstance(form, Templated):
            return self._template(form, place, names)
        return self._called(compiled(form, in_each=self._in_each), place, names)

    def _reference(self, form: Reference, place: str) -> list[str]:
        keys = (self._root, *(segment.key for segment in form.path.segments))
        if not is_plain(form.path) or any(key.isdigit() for key in keys):
            return self._unless_missing(f"{self.name(form.path.get)}({self._root})", place)
        # Its object is looked up once and for all, however often: what is often missing must not cost an exception.
        self.uses.update([keys[:length] for length in range(1 if self._in_each else 2, len(keys))] * 2)
        holder = self._shared.get(keys[:-1], self._root)
        return [f"if {keys[-1]!r} in {holder}:", f"    {place} = {holder}[{keys[-1]!r}]"]

    def _template(self, form: Templated, place: str, names: _Keys) -> list[str]:
        by_form = f"{self.name(_by_form(form, names, in_each=self._in_each))}({self._call})"
        written = form.template.written(self, self._reach_variable)
        if written is None:
            return self._unless_missing(by_form, place)
        if written.kind != "any":
            missing = self._unless_missing(by_form, place, "    ")
            return ["try:", f"    {place} = {written.source}", "except Exception:", *missing]
        lines = ["try:", f"    value = {written.source}", "except Exception:", f"    value = {by_form}"]
        return [*lines, "if value is not UNSET:", f"    {place} = value"]

    def _called(self, evaluate: Evaluate, place: str, names: _Keys) -> list[str]:
        failed = "error"
        for name in reversed(names):
            failed = f"at_field({name!r}, {failed})"
        return [
            "try:",
            f"    value = {self.name(evaluate)}({self._call})",
            "except MappingFailed as error:",
            f"    raise {failed} from error",
            "if value is not UNSET:",
            f"    {place} = value",
        ]

    @property
    def _call(self) -> str:
        return f"{self._root}, event, context"

    def _unless_missing(self, source: str, place: str, indent: str = "") -> list[str]:
        return [f"{indent}value = {source}", f"{indent}if value is not UNSET:", f"{indent}    {place} = value"]

    def _reach_variable(self, keys: Sequence[str]) -> str:
        """Return the source of a template's variable and the names below it."""
        heads = {"row": "event", "context": "context", "item": "root"}
        return self._reach((heads[keys[0]], *keys[1:]))

    def _reach(self, keys: _Keys) -> str:
        """Return the subscripts of *keys*, from the nearest object that is looked up already."""
        self.uses.update(keys[:length] for length in range(2, len(keys)))
        return self._chain(keys)

    def _chain(self, keys: _Keys) -> str:
        for length in range(len(keys) - 1, 0, -1):
            if keys[:length] in self._shared:
                return self._shared[keys[:length]] + "".join(f"[{key!r}]" for key in keys[length:])
        return keys[0] + "".join(f"[{key!r}]" for key in keys[1:])
