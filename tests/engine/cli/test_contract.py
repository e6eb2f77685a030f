from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine.store.opening import open_store
from tests.support.stores import event

CONFIG = """
[sources.shop]
write_keys = ["k"]
contract = "now"
[contracts.now]
[[contracts.now.events]]
type = "page"
schema = {}
[contracts.next]
on_undeclared_event = "block"
[[contracts.next.events]]
type = "track"
name = "Order Completed"
[contracts.next.events.schema.properties.properties]
required = ["total"]
[contracts.next.events.schema.properties.properties.properties]
total = { type = "number" }
"""
ORDERS: list[dict[str, Any]] = [
    {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 5}},
    {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 5.5, "coupon": "X"}},
    {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": "5"}},
    {"type": "identify", "userId": "u", "traits": {"email": "a@b.example"}},
]


@pytest.fixture
def recorded(tmp_path: Path) -> None:
    """A store with four events."""
    (tmp_path / "config.toml").write_text(CONFIG)

    async def fill() -> None:
        store = await open_store("sqlite", tmp_path / "data")
        done = trio.Event()
        now = time.time()
        events = [event(at, at=now, raw=msgspec.json.encode(body)) for at, body in enumerate(ORDERS, 1)]
        store.append(events, lambda _: done.set())
        await done.wait()
        await store.aclose()

    trio.run(fill)


def test_recorded_events_propose_a_contract_that_they_keep(recorded: None, headrace: Callable[..., Any]) -> None:
    said = headrace("contract", "infer", "--source", "shop")

    assert said.code == 0
    assert json.loads(said.out) == {
        "events": [
            {
                "type": "identify",
                "schema": {
                    "type": "object",
                    "properties": {
                        "traits": {
                            "type": "object",
                            "properties": {"email": {"type": "string"}},
                            "required": ["email"],
                        }
                    },
                    "required": ["traits"],
                },
            },
            {
                "type": "track",
                "name": "Order Completed",
                "schema": {
                    "type": "object",
                    "properties": {
                        "properties": {
                            "type": "object",
                            "properties": {"coupon": {"type": "string"}, "total": {"type": ["number", "string"]}},
                            "required": ["total"],
                        }
                    },
                    "required": ["properties"],
                },
            },
        ]
    }


def test_what_is_proposed_is_a_contract_that_blocks_none_of_them(
    recorded: None, headrace: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "proposed.json").write_text(headrace("contract", "infer", "--source", "shop").out)
    (tmp_path / "config.toml").write_text(f'{CONFIG}[contracts.proposed]\npath = "proposed.json"\n')

    said = headrace("contract", "diff", "proposed", "--source", "shop")

    assert said.out.splitlines()[-1] == "4 events: block 0, omit 0, flag 0, pass 4; 4 other than today"


def test_a_diff_tells_event_by_event_what_would_be_other_than_today(
    recorded: None, headrace: Callable[..., Any]
) -> None:
    said = headrace("contract", "diff", "next", "--source", "shop")

    assert said == (
        0,
        (
            "1  flag → pass  track Order Completed  m1\n"
            "2  flag → omit  track Order Completed  m2\n"
            "    /properties/coupon: properties.coupon is not declared\n"
            "3  flag → block  track Order Completed  m3\n"
            "    /properties/total: '5' is not of type 'number'\n"
            "4  flag → block  identify  m4\n"
            "    /: the contract declares no event identify\n"
            "4 events: block 2, omit 1, flag 0, pass 1; 4 other than today\n"
        ),
        "",
    )
    assert [
        json.loads(line)["after"]
        for line in headrace("contract", "diff", "next", "--source", "shop", "--json").out.splitlines()
    ] == [
        "pass",
        "omit",
        "block",
        "block",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("infer", "--source", "shopp"), "no source 'shopp': did you mean 'shop'?\n"),
        (("diff", "nxt", "--source", "shop"), "no contract 'nxt': did you mean 'next'?\n"),
        (
            ("infer", "--source", "shop", "--since", "0.001ms"),
            "source 'shop' has recorded no event in the last 0.001ms\n",
        ),
    ],
)
def test_what_is_not_there_is_told(
    recorded: None, headrace: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    assert headrace("contract", *words) == (1, "", said)
