"""What each key means: docstrings of attributes, and the JSON Schema of config.toml for editors."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import inspect as types

from engine.config.schema import Config
from engine.config.wording import arms, choices
from engine.plugin import Secret
from engine.units import UNITS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def docs(struct: type[Any]) -> dict[str, str]:
    """Return field to the docstring below it, of *struct* and what it inherits; {} where the source is not at hand."""
    found: dict[str, str] = {}
    for cls in reversed(struct.__mro__):
        if cls.__module__ in sys.modules and issubclass(cls, msgspec.Struct) and cls is not msgspec.Struct:
            found |= _docs(cls)
    return found


def _docs(cls: type[Any]) -> dict[str, str]:
    """Read the class's own source; that happens when somebody asks, never at import."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        node.target.id: inspect.cleandoc(text.value.value)
        for node, text in pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of config.toml: types, units, defaults and what each key means."""
    return {"title": "config.toml", **settings_schema(Config)}


def settings_schema(struct: type[Any]) -> dict[str, Any]:
    """Return the JSON Schema of a table that is read into *struct*, a plugin's settings for example."""
    parts: dict[str, Any] = {}
    root = _described(types.type_info(struct), parts)
    return {"$schema": _DIALECT, **root, "$defs": parts}


def _described(info: types.Type, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one type; that of a Struct goes to *parts* and is referred to."""
    match info:
        case types.StructType():
            if info.cls.__name__ not in parts:
                parts[info.cls.__name__] = {}
                parts[info.cls.__name__] = _table(info, parts)
            return {"$ref": f"#/$defs/{info.cls.__name__}"}
        case types.DictType():
            return {"type": "object", "additionalProperties": _described(info.value_type, parts)}
        case types.VarTupleType() | types.ListType() | types.SetType() | types.FrozenSetType():
            least = {"minItems": info.min_length} if info.min_length else {}
            return {"type": "array", "items": _described(info.item_type, parts), **least}
        case types.TupleType():
            return {"type": "array", "prefixItems": [_described(item, parts) for item in info.item_types]}
        case types.UnionType():
            several = [_described(arm, parts) for arm in arms(info)]
            return several[0] if len(several) == 1 else {"anyOf": several}
        case types.LiteralType() | types.EnumType():
            return {"enum": choices(info)}
        case types.CustomType(cls=cls):
            return _text(cls)
        case _:
            return _plain(info)


def _plain(info: types.Type) -> dict[str, Any]:
    """Return the schema of a number, a boolean, text or anything."""
    names = {types.IntType: "integer", types.FloatType: "number", types.BoolType: "boolean", types.StrType: "string"}
    bounds = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
    kind = {"type": names[type(info)]} if type(info) in names else {}
    return kind | {word: bound for name, word in bounds.items() if (bound := getattr(info, name, None)) is not None}


def _text(cls: type[Any]) -> dict[str, Any]:
    """Return the schema of a type that is text with a meaning."""
    if issubclass(cls, Secret):
        return {"type": "string", "minLength": 1, "examples": ["env:NAME", "file:/run/secrets/name"]}
    unit = next((unit for unit in UNITS if issubclass(cls, unit)), None)
    return {"type": "string", "pattern": unit.pattern, "examples": [unit.example]} if unit else {"type": "string"}


def _table(info: types.StructType, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a Struct: its keys, what each means, and its default as a user would write it."""
    meanings = docs(info.cls)
    properties: dict[str, Any] = {}
    for field in info.fields:
        entry = _described(field.type, parts)
        if field.name in meanings:
            entry["description"] = meanings[field.name]
        if isinstance(field.default, UNITS):
            entry["default"] = field.default.written()
        elif isinstance(field.default, (bool, int, float, str)):
            entry["default"] = field.default
        properties[field.encode_name] = entry
    made: dict[str, Any] = {"type": "object", "description": inspect.cleandoc(info.cls.__doc__ or "")}
    made |= {"properties": properties, "required": [field.encode_name for field in info.fields if field.required]}
    return made | ({"additionalProperties": False} if info.forbid_unknown_fields else {})
