from __future__ import annotations

import tomllib
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from engine.config import schema
from engine.config.describe import config_schema, docs, settings_schema
from engine.plugin import Secret, Settings

STRUCTS = [
    value
    for value in vars(schema).values()
    if isinstance(value, type) and issubclass(value, schema.Table) and value is not schema.Table
]


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_key_of_config_toml_is_documented(struct: type[Any]) -> None:
    assert docs(struct).keys() == set(struct.__struct_fields__)


def test_the_schema_says_what_each_key_means_and_how_it_is_written() -> None:
    described = config_schema()
    retry = described["$defs"]["Retry"]

    assert described["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert retry["properties"]["min_attempts"] == {
        "type": "integer",
        "minimum": 1,
        "default": 3,
        "description": "At least so many attempts, however long they take.",
    }
    assert retry["properties"]["max_age"] == {
        "type": "string",
        "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d)\s*$",
        "examples": ["5s"],
        "default": "3d",
        "description": "After this since receipt it is archived whatever happened.",
    }
    assert retry["additionalProperties"] is False
    assert "additionalProperties" not in described["$defs"]["Destination"]
    assert described["$defs"]["Sync"]["required"] == ["source", "destination", "event_types"]


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ('[sources.a]\nwrite_keys = ["env:X"]\n[store]\nretention = { age = "3d" }', 0),
        ("[sources.a]\nwrite_keys = []\n", 1),
        ('[store]\nretention = { age = "3 days" }', 1),
        ('[store]\nkind = "disk"\nreserve = 5', 2),
        ("[destinations.a]\ntype = 'webhook'\nurl = 'x'\nconcurrency = 0", 1),
    ],
)
def test_the_schema_agrees_with_the_loader(text: str, errors: int) -> None:
    described = config_schema()
    jsonschema.Draft202012Validator.check_schema(described)

    assert len(list(jsonschema.Draft202012Validator(described).iter_errors(tomllib.loads(text)))) == errors


class Own(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: Secret
    """What opens it.

    Not printed.
    """
    to: str | tuple[str, ...] = ""
    kinds: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)


def test_a_plugin_s_settings_are_described_in_the_same_way() -> None:
    assert settings_schema(Own)["$defs"]["Own"]["properties"] == {
        "token": {
            "type": "string",
            "minLength": 1,
            "examples": ["env:NAME", "file:/run/secrets/name"],
            "description": "What opens it.\n\nNot printed.",
        },
        "to": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}], "default": ""},
        "kinds": {
            "type": "object",
            "additionalProperties": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}]},
        },
    }


def test_what_has_no_source_has_no_docs() -> None:
    assert docs(msgspec.defstruct("Made", [("x", int)])) == {}
