"""What a sync's deliveries are ordered by."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.plans import HEAD, NOW, event, plan_of, problems_of

ORDERED = """
[syncs.orders]
source = "shop"
destination = "crm"
order_by = "userId"
[[syncs.orders.event_types]]
"""


def turn(body: dict[str, Any], text: str = ORDERED) -> str:
    [delivery] = plan_of(HEAD + text).syncs["orders"].route(event(body), NOW).deliveries
    return delivery.turn


def test_events_with_the_same_value_have_the_same_turn() -> None:
    turns = [turn({"userId": user, "event": name}) for user in ("u1", "u2", 7, "7", 1.5) for name in ("a", "b")]
    assert turns[::2] == turns[1::2]
    assert turns[4] == turns[6]  # one shop writes its ids with quotes here and without them there
    assert len(set(turns)) == 4
    assert all(len(one) == 16 for one in turns)
    assert "u1" not in turns[0]


@pytest.mark.parametrize("user", [None, "", True, ["u1"], {"id": "u1"}])
def test_what_is_no_key_is_not_ordered(user: object) -> None:
    assert turn({"userId": user}) == ""
    assert turn({"event": "Seen"}) == ""


def test_a_sync_without_order_by_orders_nothing() -> None:
    assert turn({"userId": "u1"}, ORDERED.replace('order_by = "userId"', "")) == ""


def test_the_key_may_lie_deep() -> None:
    text = ORDERED.replace("userId", "properties.cart[0]['a.b']")
    assert turn({"properties": {"cart": [{"a.b": "c1"}]}}, text)


def test_a_reference_that_cannot_be_read_is_told_with_its_line() -> None:
    assert problems_of(HEAD + ORDERED.replace("userId", "user..id")) == [
        "10: syncs.orders.order_by: empty segment: a name is missing\n    user..id\n         ^"
    ]


def test_a_timeout_without_an_order_is_probably_a_mistake() -> None:
    text = ORDERED.replace('order_by = "userId"', 'order_timeout = "1h"\non_order_timeout = "archive_key"')
    assert [str(problem.where) for problem in plan_of(HEAD + text).warnings] == [
        "syncs.orders.order_timeout",
        "syncs.orders.on_order_timeout",
    ]
