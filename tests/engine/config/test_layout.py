from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.schema import ContractEvent

ORDER = """\
type: track
name: Order Completed
slug: order-completed
version: "2"
onSchemaViolation: ALLOW_EVENT
onUndeclaredFields: BLOCK_EVENT
includeBuiltInContext: false
schema:
  type: object
  properties:
    properties:
      $ref: "#/definitions/components/order"
"""
IDENTIFY = "type: identify\nname: null\nschema: {}\n"
ABOUT = """\
name: Shop
description: what the shop sends
onUndeclaredSchema: BLOCK_EVENT
schemaVersionPath: [context, version]
sources: [web]
"""
COMPONENT = "name: Order\nversion: default\nschema: {type: object, properties: {total: {type: number}}}\n"
DOMAIN = {
    "events/domains/shop/domain.yaml": ABOUT,
    "events/domains/shop/order.yaml": ORDER,
    "events/domains/shop/who.yaml": IDENTIFY,
    "events/domains/shop/components/order.yaml": COMPONENT,
}
CONTRACT = {
    "events/contracts/shop.yaml": "name: Shop\n",
    "events/contracts/shop/who.yaml": IDENTIFY,
    "events/contracts/blog.yaml": "name: Blog\n",
    "events/contracts/blog/who.yaml": IDENTIFY,
}


def test_a_domain_is_read_as_hightouch_writes_it(folder: Path, told: Callable[..., str]) -> None:
    assert not told('[contracts.shop]\npath = "events/domains/shop"\n', {}, **DOMAIN)
    loaded = load("config.toml", env={})
    contract = loaded.config.contracts["shop"]

    assert contract.on_undeclared_event == "block"
    assert contract.schema_version_path == ("context", "version")
    assert contract.sources == ("web",)
    assert contract.events == (
        ContractEvent(
            type="track",
            name="Order Completed",
            version="2",
            on_undeclared_fields="block",
            on_schema_violation="allow",
            include_built_in_context=False,
            schema={
                "type": "object",
                "properties": {"properties": {"$ref": "#/definitions/components/order"}},
                "definitions": {
                    "components": {"order": {"type": "object", "properties": {"total": {"type": "number"}}}},
                },
            },
        ),
        ContractEvent(
            type="identify",
            schema={
                "definitions": {
                    "components": {"order": {"type": "object", "properties": {"total": {"type": "number"}}}},
                },
            },
        ),
    )
    assert [
        loaded.lines.where(f"contracts.shop.{path}")
        for path in ("on_undeclared_event", "events[0].on_schema_violation", "events[0].schema.properties.properties")
    ] == [
        ("events/domains/shop/domain.yaml", 3),
        ("events/domains/shop/order.yaml", 5),
        ("events/domains/shop/order.yaml", 11),
    ]


@pytest.mark.parametrize("path", ["events/contracts/shop", "events/contracts/shop.yaml"])
def test_a_contract_is_its_own_file_and_a_folder_of_events(folder: Path, told: Callable[..., str], path: str) -> None:
    assert not told(f'[contracts.shop]\npath = "{path}"\n', {}, **CONTRACT)

    assert load("config.toml", env={}).config.contracts["shop"].events == (ContractEvent(type="identify", schema={}),)


def test_what_config_toml_says_holds_before_what_the_checkout_says(folder: Path, told: Callable[..., str]) -> None:
    text = '[contracts.shop]\npath = "events/domains/shop"\non_undeclared_event = "allow"\nsources = []\n'
    assert not told(text, {}, **DOMAIN)
    contract = load("config.toml", env={}).config.contracts["shop"]

    assert (contract.on_undeclared_event, contract.sources) == ("allow", ())


@pytest.mark.parametrize("path", [".", "events"])
def test_a_whole_checkout_asks_for_one_of_its_contracts(told: Callable[..., str], path: str) -> None:
    assert told(f'[contracts.shop]\npath = "{path}"\n', {}, **CONTRACT).splitlines()[:3] == [
        "config.toml: 1 problem",
        f"  config.toml:2: contracts.shop.path: there are 2 contracts in {path}",
        '      path = "events/contracts/blog.yaml"; or path = "events/contracts/shop.yaml"',
    ]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (
            {"events/domains/shop/domain.yaml": "name: Shop\nonUndeclaredSchema: MAYBE\n"},
            (
                "events/domains/shop/domain.yaml:2: contracts.shop.on_undeclared_event: "
                'expected "allow" or "block", got text "MAYBE"'
            ),
        ),
        (
            {"events/domains/shop/domain.yaml": "name: Shop\nonUndeclaredSchemas: x\n"},
            (
                "events/domains/shop/domain.yaml:2: contracts.shop: unknown key 'onUndeclaredSchemas'\n"
                "      one of: description, name, onUndeclaredSchema, schemaVersionPath, sources"
            ),
        ),
        (
            {"events/domains/shop/order.yaml": ORDER.replace("schema:", "schemas:")},
            (
                "events/domains/shop/order.yaml:8: contracts.shop.events[0].schemas: unknown key\n"
                "      did you mean 'schema'?"
            ),
        ),
        (
            {"events/domains/shop/components/order.yaml": "name: Order\n"},
            (
                "events/domains/shop/components/order.yaml:1: contracts.shop: a component needs a schema\n"
                "      add schema: {type: object, properties: …}"
            ),
        ),
        (
            {"events/domains/shop/who.yaml": "type: identify\nschema:\n  a: 1\n  a: 2\n"},
            (
                "events/domains/shop/who.yaml:4: contracts.shop: the key 'a' stands here twice\n"
                "      check indents, colons and quotes around this place"
            ),
        ),
    ],
)
def test_what_is_wrong_in_a_checkout_is_told_with_file_and_line(
    told: Callable[..., str], files: dict[str, str], problem: str
) -> None:
    text = told('[contracts.shop]\npath = "events/domains/shop"\n', {}, **{**DOMAIN, **files})

    assert text == f"config.toml: 1 problem\n  {problem}"
