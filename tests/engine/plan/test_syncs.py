from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.lang.keys import delivery_key
from engine.messages import Delivery, Stage, State, Trouble, trouble_id
from engine.plan import Route, SyncPlan
from tests.support.plans import HEAD, NOW, event, plan_of

ORDERS = """
[syncs.orders]
source = "shop"
destination = "crm"
match = "MATCH"
[[syncs.orders.event_types]]
name = "order"
type = "purchase"
filter = 'event = "Order Completed"'
mapping = { id = "userId", price = "properties.total" }
[[syncs.orders.event_types]]
name = "big"
filter = 'properties.total >= 100'
mapping = { total = "{{ row.properties.total | cast: 'number' }}" }
[[syncs.orders.event_types]]
mapping = { attributes = "properties", sync = { variable = "sync.name" }, as = "{{ context.event_type.name }}" }
"""


def orders(match: str = "first", more: str = "") -> SyncPlan:
    return plan_of(HEAD + ORDERS.replace("MATCH", match).replace("match =", f"{more}\nmatch =")).syncs["orders"]


def track(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": name, "userId": "u1", "properties": properties}


def payloads(route: Route) -> list[tuple[str, dict[str, Any]]]:
    return [(delivery.event_type, delivery.body()) for delivery in route.deliveries]


def test_a_delivery_has_all_that_a_sender_and_the_store_need() -> None:
    route = orders().route(event(track("Order Completed", total=5), position=7), NOW)

    assert route == Route(
        deliveries=(
            Delivery(
                key=delivery_key("shop", "m1", "orders", "order"),
                position=7,
                source="shop",
                sync="orders",
                event_type="order",
                type="purchase",
                destination="crm",
                message_id="m1",
                received_at=NOW,
                payload=b'{"currency":"EUR","id":"u1","price":5}',
            ),
        )
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (track("Order Completed", total=200), [("order", {"id": "u1", "price": 200, "currency": "EUR"})]),
        (track("Cart Viewed", total=200), [("big", {"total": 200})]),
        (
            track("Cart Viewed", total=2),
            [("custom", {"attributes": {"total": 2}, "sync": "orders", "as": "custom"})],
        ),
        ({"type": "identify"}, [("custom", {"sync": "orders", "as": "custom"})]),
    ],
)
def test_the_first_event_type_whose_filter_passes_takes_the_event(
    body: dict[str, Any], expected: list[tuple[str, dict[str, Any]]]
) -> None:
    assert payloads(orders().route(event(body), NOW)) == expected


def test_with_match_all_each_event_type_delivers_for_itself() -> None:
    route = orders("all").route(event(track("Order Completed", total=200)), NOW)

    assert [name for name, _ in payloads(route)] == ["order", "big", "custom"]
    assert len({delivery.key for delivery in route.deliveries}) == 3


def test_a_failed_mapping_archives_and_never_falls_through() -> None:
    body = track("Order Completed", total="many")

    route = orders().route(event(body, position=9), NOW)

    key = delivery_key("shop", "m1", "orders", "order")
    assert route == Route(
        troubles=(
            Trouble(
                id=trouble_id(9, key),
                state=State.ARCHIVED,
                stage=Stage.MAPPING,
                reason="mapping_failed",
                source="shop",
                sync="orders",
                destination="crm",
                event_type="order",
                type="purchase",
                position=9,
                key=key,
                message_id="m1",
                received_at=NOW,
                first_at=NOW,
                last_at=NOW,
                error="'price' must be a number, and is a string",
                event=msgspec.json.encode(body),
            ),
        )
    )


def test_with_match_all_one_that_fails_does_not_stop_the_others() -> None:
    route = orders("all").route(event(track("Order Completed", total="many")), NOW)

    assert [name for name, _ in payloads(route)] == ["custom"]
    assert [trouble.event_type for trouble in route.troubles] == ["order"]


def test_all_missing_fields_are_told_at_once() -> None:
    (trouble,) = orders().route(event({"event": "Order Completed"}), NOW).troubles

    assert trouble.error == "'id' is required; 'price' is required"


def test_an_event_that_no_event_type_takes_is_filtered() -> None:
    text = '[syncs.s]\nsource = "shop"\ndestination = "crm"\nevent_types = [{ filter = "type = \'page\'" }]\n'
    sync = plan_of(HEAD + text).syncs["s"]

    assert sync.route(event({"type": "track"}), NOW) == Route(reason="no_event_type")


def test_a_disabled_sync_filters_every_event() -> None:
    sync = orders(more="enabled = false")

    assert sync.route(event(track("Order Completed", total=1)), NOW) == Route(reason="disabled")


def test_a_value_that_is_none_of_the_choices_archives() -> None:
    text = ORDERS.replace("MATCH", "first").replace(
        'price = "properties.total"', 'price = 1, currency = "properties.in"'
    )
    sync = plan_of(HEAD + text).syncs["orders"]
    body = {"event": "Order Completed", "userId": "u", "properties": {"in": "GBP"}}

    (trouble,) = sync.route(event(body), NOW).troubles

    assert trouble.error == "currency: expected one of 'EUR', 'USD', got 'GBP'"


def test_an_exception_of_our_own_archives_with_its_traceback() -> None:
    sync = orders()
    deep: dict[str, Any] = {}
    body = track("x", loop=deep)
    deep["loop"] = deep

    (trouble,) = plan_of(HEAD + ORDERS.replace("MATCH", "first")).syncs["orders"].route(event(body), NOW).troubles

    assert trouble.error.startswith("the mapping failed: RecursionError: ")
    assert trouble.trace.startswith("Traceback (most recent call last):")
    assert sync.route(event(track("x")), NOW).deliveries


def test_the_keys_of_the_events_of_one_position_differ() -> None:
    sync = orders()
    first, second = (sync.route(event(track("x"), message_id=name), NOW).deliveries[0] for name in ("m1", "m1#1"))

    assert first.key != second.key


@pytest.mark.parametrize(
    ("text", "start"),
    [("latest", "latest"), ("earliest", "earliest"), ("2026-01-01T00:00:00Z", NOW), ("2026-01-01T01:00:00+01:00", NOW)],
)
def test_a_new_sync_starts_at_a_word_or_at_epoch_seconds(text: str, start: str | float) -> None:
    assert orders(more=f'start = "{text}"').start == start
