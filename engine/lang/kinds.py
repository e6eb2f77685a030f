"""What type a mapping's value has before any event is seen: as far as its form, or a template's last filter, tells."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from engine.lang.compare import type_name
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

CAST_KINDS = {"date": "string"}
"""What `cast` gives where that is not called like the type."""

FILTER_KINDS = (
    dict.fromkeys(
        [
            *["append", "prepend", "upcase", "downcase", "capitalize", "strip", "lstrip", "rstrip", "squish", "escape"],
            *["escape_once", "replace", "replace_first", "replace_last", "remove", "remove_first", "remove_last"],
            *["truncate", "truncatewords", "join", "json", "to_json", "sha256", "md5", "hmac_sha256", "base64"],
            *["base64_encode", "url_encode", "url_decode", "strip_html", "strip_newlines", "newline_to_br"],
            *["regex_replace", "date", "to_iso"],
        ],
        "string",
    )
    | dict.fromkeys(["split", "sort", "sort_natural", "map", "where", "reject", "uniq", "compact", "reverse"], "array")
    | dict.fromkeys(["plus", "minus", "times", "divided_by", "modulo", "round", "abs", "sum"], "number")
    | dict.fromkeys(["ceil", "floor", "size", "to_unix", "to_unix_ms"], "integer")
    | dict.fromkeys(["regex_test", "has"], "boolean")
    | {"concat": "array"}
)
"""What a filter gives whenever it gives something; of the others it depends."""


def kind_of(form: Form) -> str | None:
    """Return string, number, integer, boolean, object or array; None if only an event can tell."""
    if isinstance(form, Constant):
        return _kind_of_constant(form.value)
    if isinstance(form, Templated):
        return form.template.kind
    if isinstance(form, Fallback):
        kind = kind_of(form.inner)
        return kind if form.default is UNSET or _kind_of_constant(form.default) == kind else None
    if isinstance(form, (Object, Merge, Flattened)):
        return "object"
    if isinstance(form, (Array, Each)):
        return "array"
    if isinstance(form, Encoded):
        return "string"
    assert isinstance(form, (Reference, Parsed))
    return None


def fits(kind: str, wanted: str) -> bool:
    """Return whether a value of *kind* can be what a destination's field wants; a number may turn out to be whole."""
    return wanted in {"any", kind} or {kind, wanted} == {"integer", "number"}


def _kind_of_constant(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return "integer"
    kind = type_name(value)
    return None if kind == "null" else kind
