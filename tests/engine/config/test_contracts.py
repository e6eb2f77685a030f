from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.schema import ContractEvent

FILE = '[contracts.shop]\npath = "shop.json"\n'
FOLDER = '[contracts.shop]\npath = "contracts/shop"\n'
EVENT = '{"type": "track", "name": "A", "schema": {}}'


def test_a_folder_of_files_is_one_contract(folder: Path, told: Callable[..., str]) -> None:
    files = {
        "contracts/shop/1.json": '{\n "type": "track", "name": "A", "slug": "a",\n'
        ' "onUndeclaredFields": "ALLOW_EVENT",\n'
        ' "schema": {\n  "type": "object"}}',
        "contracts/shop/2.toml": '[[events]]\ntype = "page"\nschema = {}\n[[events]]\ntype = "track"\nname = "B"\n'
        'on_schema_violation = "allow"\n[events.schema]\nx = 1\n',
        "contracts/shop/deep/3.json": '[{"type": "track", "name": "A", "version": "2", "schema": {}}]',
        "contracts/shop/README.md": "not a contract",
    }

    assert not told(FOLDER, {}, **files)
    loaded = load("config.toml", env={})
    assert loaded.config.contracts["shop"].events == (
        ContractEvent(type="track", name="A", schema={"type": "object"}, on_undeclared_fields="allow"),
        ContractEvent(type="page", schema={}),
        ContractEvent(type="track", name="B", schema={"x": 1}, on_schema_violation="allow"),
        ContractEvent(type="track", name="A", version="2", schema={}),
    )
    assert [
        loaded.lines.where(f"contracts.shop.events{path}")
        for path in ("[0].on_undeclared_fields", "[0].schema.type", "[2]", "[2].schema.x", "[3].name")
    ] == [
        ("contracts/shop/1.json", 3),
        ("contracts/shop/1.json", 5),
        ("contracts/shop/2.toml", 4),
        ("contracts/shop/2.toml", 9),
        ("contracts/shop/deep/3.json", 1),
    ]


@pytest.mark.parametrize(
    ("config", "files", "problems"),
    [
        (
            FILE,
            {},
            (
                "config.toml:2: contracts.shop.path: there is no file shop.json\n"
                "      check path; it is relative to config.toml"
            ),
        ),
        (
            FOLDER,
            {"contracts/shop/README.md": ""},
            (
                "config.toml:2: contracts.shop.path: no .json, .toml or .yaml file in contracts/shop\n"
                "      check path; it is relative to config.toml"
            ),
        ),
        (
            FOLDER,
            {"contracts/shop/shop.yaml": "type: track\nname: [A"},
            (
                "contracts/shop/shop.yaml:2: contracts.shop: not valid YAML: "
                "expected ',' or ']', but got '<stream end>'\n"
                "      check indents, colons and quotes around this place"
            ),
        ),
        (
            FILE,
            {"shop.json": '{\n"type": "track",\n}'},
            (
                "shop.json:3: contracts.shop: not valid JSON: trailing comma in object\n"
                "      check quotes, brackets and commas around this place"
            ),
        ),
        (
            FILE,
            {"shop.json": '{\n"type": "track",\n"name": "A",\n"schem": {}}'},
            "shop.json:4: contracts.shop.events[0].schem: unknown key\n      did you mean 'schema'?",
        ),
        (
            FILE,
            {"shop.json": f"[{EVENT},\n{EVENT}, 1]"},
            (
                "shop.json:1: contracts.shop: expected events, each with type, name and schema\n"
                "      write each as a table\n"
                "  shop.json:2: contracts.shop.events[1]: the same type, name and version stand at shop.json:1\n"
                "      give one of them another version"
            ),
        ),
        (
            FILE + "[[contracts.shop.events]]\ntype = 'track'\nschema = {}\n",
            {"shop.json": EVENT},
            (
                "config.toml:2: contracts.shop.path: both path and events are given\n      keep one of them\n"
                "  config.toml:3: contracts.shop.events[0]: a track event needs a name\n"
                '      add name = "Order Completed"'
            ),
        ),
        (
            "[contracts.shop]\n",
            {},
            (
                "config.toml:1: contracts.shop: declares no event\n"
                '      add path = "contracts/NAME.json", or [[contracts.shop.events]]'
            ),
        ),
        (
            FILE,
            {"shop.json": '{"events": [], "event": 1}'},
            "shop.json:1: contracts.shop: unknown key 'event'\n      one of: events",
        ),
    ],
)
def test_a_contract_that_cannot_be_read_is_told(
    told: Callable[..., str], config: str, files: dict[str, str], problems: str
) -> None:
    count = problems.count("\n  ") - problems.count("\n      ") + 1

    assert told(config, {}, **files) == f"config.toml: {count} problem{'s' * (count > 1)}\n  {problems}"
