from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from engine.store.base import Change
from engine.store.opening import open_store
from tests.conformance.store_violations import violated


@pytest.fixture
def kept(tmp_path: Path, shop: Path) -> None:
    """A store with two entries and a count."""

    async def fill() -> None:
        store = await open_store("sqlite", tmp_path / "data")
        counts = {("contract:orders", "track Order Completed\ttype"): 7, ("sync:orders", "created"): 3}
        shadow = violated(2, contract="next", shadow=True, allowed=True, violations=("/: is not declared",))
        await store.commit(Change(violated=(violated(1), shadow), counts=counts))
        await store.aclose()

    trio.run(fill)


def test_violations_are_listed_the_newest_first(kept: None, headrace: Callable[..., tuple[int, str, str]]) -> None:
    assert headrace("violations", "list") == (
        0,
        (
            "2-next  tried out track Order Completed version default  shop  m2\n"
            "    2023-11-14T22:13:22.250Z  /: is not declared\n"
            "1-orders  blocked   track Order Completed version default  shop  m1\n"
            "    2023-11-14T22:13:21.250Z  /properties/total: 'x' is not of type 'number' (and 1 more)\n"
        ),
        "",
    )
    code, out, _ = headrace("violations", "list", "--contract", "orders", "--json")
    [entry] = map(json.loads, out.splitlines())
    assert code == 0
    assert entry["has_schema_violated"] is True
    assert entry["violations"] == list(violated(1).violations)


def test_one_is_shown_with_its_event(kept: None, headrace: Callable[..., tuple[int, str, str]]) -> None:
    assert headrace("violations", "show", "1-orders") == (
        0,
        (
            "1-orders  blocked   track Order Completed version default  shop  m1\n"
            "    2023-11-14T22:13:21.250Z  /properties/total: 'x' is not of type 'number' (and 1 more)\n"
            "    /: 'userId' is a required property\n\n"
            '{"n":1}\n'
        ),
        "",
    )
    assert json.loads(headrace("violations", "show", "1-orders", "--json")[1])["payload"] == {"n": 1}
    assert headrace("violations", "show", "9-orders") == (
        1,
        "",
        "there is no entry 9-orders\n    headrace violations list shows those that are kept\n",
    )


def test_they_are_counted_by_event_and_rule(kept: None, headrace: Callable[..., tuple[int, str, str]]) -> None:
    assert headrace("violations", "count")[1] == (
        "contract  event                  rule  events\norders    track Order Completed  type       7\n"
    )
    assert json.loads(headrace("violations", "count", "--json")[1]) == {
        "contract": "orders",
        "event": "track Order Completed",
        "rule": "type",
        "events": 7,
    }
