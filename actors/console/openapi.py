"""The Admin REST's description, made of its table. Pure."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.console.answers import Endpoint, Said

PREFIX: Final = "/api/v1"
REFUSALS: Final = {
    "400": "what is asked cannot be understood, or cannot be done",
    "401": "no token, or a wrong one",
    "403": "a page of somebody else's, or a name that is not ours",
    "404": "there is no such thing",
    "409": "not now",
    "413": "too large",
    "429": "too many wrong tokens",
    "503": "the engine stops",
}
JSON: Final = "application/json"


def describe(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of *endpoints*."""
    kinds = [kind for each in endpoints for kind in (each.out, each.body, each.query) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Said], ref_template="#/components/schemas/{name}")
    by_kind = dict(zip(map(_key, [*kinds, Said]), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(PREFIX + each.path, {})[each.method.lower()] = _operation(each, by_kind, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headrace Admin REST",
            "version": version,
            "description": "The same powers as the command line and the console. A change is noted in /changes.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: _plain(schema) for name, schema in components.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(each: Endpoint, by_kind: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    words = re.findall(r"\w+", each.path)
    made: dict[str, Any] = {
        "operationId": "_".join([each.method.lower(), *words]),
        "summary": each.title,
        "parameters": [*_names(each), *_parameters(each, by_kind, components)],
        "responses": {
            "200": {"description": "done", "content": {JSON: {"schema": by_kind[_key(each.out)]}}},
            **{status: _refusal(told) for status, told in REFUSALS.items()},
        },
    }
    if each.body is not None:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": by_kind[_key(each.body)]}}}
    return made


def _names(each: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"{(\w+)}", each.path)
    ]


def _parameters(each: Endpoint, by_kind: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    schema = components[by_kind[_key(each.query)]["$ref"].rpartition("/")[2]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _plain(inner)}
        for name, inner in schema["properties"].items()
    ]


def _refusal(told: str) -> dict[str, Any]:
    return {"description": told, "content": {JSON: {"schema": {"$ref": "#/components/schemas/Said"}}}}


def _plain(schema: Any) -> Any:
    """Return *schema* with its docstring as one clean text."""
    if isinstance(schema, dict) and isinstance(schema.get("description"), str):
        return schema | {"description": inspect.cleandoc(schema["description"])}
    return schema


def _key(kind: Any) -> str:
    return repr(kind)
