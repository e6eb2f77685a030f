"""What a mapping is made of: one Struct a form, each with its meaning.

`evaluate` here is the reference: slow, plain, and what the compiled mapping must agree with. A value is JSON or
`msgspec.UNSET` for missing. An object leaves missing fields out, an array missing elements; null is a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from msgspec import UNSET

from engine.errors import MappingFailed
from engine.lang.cast import parse_json, to_json
from engine.lang.compare import a_type, is_missing
from engine.lang.path import Path
from engine.lang.template import Variables

if TYPE_CHECKING:
    from engine.lang.rendering import Template


class Constant(msgspec.Struct, frozen=True):
    """The same value for every event."""

    value: Any

    def evaluate(self, root: Any, variables: Variables) -> Any:  # noqa: ARG002 - all forms are called alike
        """Return the value."""
        return self.value


class Reference(msgspec.Struct, frozen=True):
    """A field of the event, or of the item inside an `Each`."""

    path: Path

    def evaluate(self, root: Any, variables: Variables) -> Any:  # noqa: ARG002 - all forms are called alike
        """Return the field."""
        return self.path.get(root)


class Templated(msgspec.Struct, frozen=True):
    """A Liquid template."""

    template: Template

    def evaluate(self, root: Any, variables: Variables) -> Any:  # noqa: ARG002 - all forms are called alike
        """Return its typed value or text."""
        return self.template.interpret(variables)


class Fallback(msgspec.Struct, frozen=True):
    """A reference or template, and what to do when it is missing.

    Attributes:
        inner: what is looked at.
        text: as it was written, for the error.
        default: the value instead, or UNSET.
        when_missing: omit | null | fail; only looked at without a default.
    """

    inner: Reference | Templated
    text: str
    default: Any = UNSET
    when_missing: str = "omit"

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the inner value or what stands for it."""
        return self.finish(self.inner.evaluate(root, variables))

    def finish(self, value: Any) -> Any:
        """Return *value*, or what stands for it when it is missing.

        Raises:
            MappingFailed: it is missing and must not be.
        """
        if value is not UNSET:
            return value
        if self.default is not UNSET:
            return self.default
        if self.when_missing == "fail":
            raise MappingFailed(f"{self.text} is missing")
        return None if self.when_missing == "null" else UNSET


class Each(msgspec.Struct, frozen=True):
    """A value for every element of an array; in *shape*, references are relative to the element."""

    source: Form
    text: str
    shape: Form

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the array of the shapes."""
        items = self.items(self.source.evaluate(root, variables))
        if items is UNSET:
            return UNSET
        found = [self.shape.evaluate(item, {**variables, "item": item}) for item in items]
        return [value for value in found if value is not UNSET]

    def items(self, value: Any) -> Any:
        """Return the elements of *value*; a lone object is an array of one; missing and null give UNSET.

        Raises:
            MappingFailed: neither an array nor an object.
        """
        if isinstance(value, list):
            return value
        if is_missing(value):
            return UNSET
        if isinstance(value, dict):
            return [value]
        raise MappingFailed(f"'each' needs an array, and {self.text} is {a_type(value)}")


class Merge(msgspec.Struct, frozen=True):
    """Several objects made one: the later wins; missing and null ones are skipped."""

    parts: tuple[Form, ...]

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the merged object."""
        return merged([part.evaluate(root, variables) for part in self.parts])


class Object(msgspec.Struct, frozen=True):
    """A nested object.

    Attributes:
        fields: name and form, in the order in which they are written.
    """

    fields: tuple[tuple[str, Form], ...]

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the object without its missing fields."""
        found = {}
        for name, form in self.fields:
            try:
                value = form.evaluate(root, variables)
            except MappingFailed as error:
                raise at_field(name, error) from error
            if value is not UNSET:
                found[name] = value
        return found


class Array(msgspec.Struct, frozen=True):
    """An array of forms."""

    items: tuple[Form, ...]

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the array without its missing elements."""
        found = [item.evaluate(root, variables) for item in self.items]
        return [value for value in found if value is not UNSET]


class Flattened(msgspec.Struct, frozen=True):
    """An object's inner objects and arrays as fields of its own: ``{"address.city": …, "tags.0": …}``.

    What is empty leaves nothing, as in Segment's ``@flatten``.

    Attributes:
        inner: what is flattened.
        text: as it was written, for the error.
        separator: between the names.
        omit_arrays: whether arrays stay as they are.
    """

    inner: Form
    text: str
    separator: str = "."
    omit_arrays: bool = False

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the flat object."""
        return self.finish(self.inner.evaluate(root, variables))

    def finish(self, value: Any) -> Any:
        """Return *value* flat; missing and null stay what they are.

        Raises:
            MappingFailed: it is no object.
        """
        if is_missing(value):
            return value
        if not isinstance(value, dict):
            raise MappingFailed(f"'flatten' needs an object, and {self.text} is {a_type(value)}")
        found: dict[str, Any] = {}
        self._add(found, "", value)
        return found

    def _add(self, found: dict[str, Any], prefix: str, value: dict[str, Any] | list[Any]) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            name = f"{prefix}{key}"
            if isinstance(inner, dict) or (isinstance(inner, list) and not self.omit_arrays):
                self._add(found, f"{name}{self.separator}", inner)
            else:
                found[name] = inner


class Encoded(msgspec.Struct, frozen=True):
    """A value as JSON text; missing and null stay what they are."""

    inner: Form

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the text."""
        return self.finish(self.inner.evaluate(root, variables))

    def finish(self, value: Any) -> Any:
        """Return *value* as JSON text."""
        return value if is_missing(value) else to_json(value)


class Parsed(msgspec.Struct, frozen=True):
    """What a JSON text stands for; what is no text stays as it is."""

    inner: Form

    def evaluate(self, root: Any, variables: Variables) -> Any:
        """Return the value."""
        return self.finish(self.inner.evaluate(root, variables))

    def finish(self, value: Any) -> Any:
        """Return what the text *value* stands for.

        Raises:
            MappingFailed: it is not JSON.
        """
        return parse_json(value)


Form: TypeAlias = (
    Constant | Reference | Templated | Fallback | Each | Merge | Object | Array | Flattened | Encoded | Parsed
)


class FieldFailed(MappingFailed):
    """A failure with the field of the payload it happened at.

    Attributes:
        field: dotted, from the payload's root.
        cause: what is wrong, without the field.
    """

    def __init__(self, field: str, cause: str) -> None:
        """Keep both, so that an outer object can put its own name in front."""
        self.field = field
        self.cause = cause
        super().__init__(f"{field}: {cause}")


def at_field(name: str, error: MappingFailed) -> FieldFailed:
    """Return *error* as one of the field *name*, or of a field below it."""
    if isinstance(error, FieldFailed):
        return FieldFailed(f"{name}.{error.field}", error.cause)
    return FieldFailed(name, str(error))


def merged(values: list[Any]) -> dict[str, Any]:
    """Return one object of many, the later wins.

    Raises:
        MappingFailed: one is neither an object nor missing nor null.
    """
    found: dict[str, Any] = {}
    for position, value in enumerate(values, 1):
        if isinstance(value, dict):
            found.update(value)
        elif not is_missing(value):
            raise MappingFailed(f"'merge' needs objects, and its part {position} is {a_type(value)}")
    return found
