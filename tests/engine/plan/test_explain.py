from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.errors import HeadraceError
from engine.messages import Request
from engine.plan.explain import explain, shown
from engine.plan.explained import Explained, Shown, Verdict
from engine.plan.telling import as_text
from tests.support.plans import NOW, plan_of

TEXT = """
[sources.shop]
write_keys = ["key"]
contract = "promise"
[sources.other]
write_keys = ["key2"]
[contracts.promise]
on_undeclared_event = "block"
[[contracts.promise.events]]
type = "track"
name = "Order Completed"
schema = { properties = { properties = { required = ["total"], properties = { total = { type = "number" } } } } }
[[contracts.promise.events]]
type = "identify"
schema = {}
[destinations.crm]
type = "box"
url = "http://crm.test/orders"
token = "very-secret"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "order"
filter = 'event = "Order Completed" and properties.total >= 100'
mapping = { customer = "userId", total = "properties.total" }
[[syncs.orders.event_types]]
filter = 'event = "Order Completed"'
mapping = { total = { from = "properties.tip", when_missing = "fail" } }
[syncs.off]
source = "shop"
destination = "crm"
enabled = false
event_types = [{}]
[syncs.elsewhere]
source = "other"
destination = "crm"
event_types = [{}]
"""


def order(**properties: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": "m1",
        "userId": "u1",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "properties": properties,
    }


def explained(event: dict[str, Any], text: str = TEXT, source: str | None = "shop") -> Explained:
    return explain(plan_of(text), event, source=source, at=NOW)


def fates(result: Explained) -> list[tuple[str, str, str]]:
    return [(walk.sync, walk.fate, walk.reason) for walk in result.syncs]


def with_function(folder: Path, body: str) -> Explained:
    (folder / "f.py").write_text(f"def transform_events(events):\n    {body}\n")
    text = TEXT.replace('contract = "promise"', 'contract = "promise"\nfunctions = ["f"]')
    plan = plan_of(text + '[functions.f]\nfile = "f.py"\nisolation = "inline"\n', folder=folder)
    return explain(plan, order(total=200), source="shop", at=NOW)


def test_an_event_that_is_delivered_shows_its_whole_way_as_json() -> None:
    result = msgspec.json.decode(msgspec.json.encode(explained(order(total=200, extra=1))))

    clauses = [
        {"text": 'event = "Order Completed"', "value": True, "found": 'event is "Order Completed"'},
        {"text": "properties.total >= 100", "value": True, "found": "properties.total is 200"},
    ]
    filter_ = 'event = "Order Completed" and properties.total >= 100'
    common = {"error": "", "trace": "", "notes": [], "message_id": "m1"}
    payload = {"customer": "u1", "total": 200}
    assert result == {
        "event": {
            **order(total=200),
            "receivedAt": "2026-01-01T00:00:00.000Z",
            "sentAt": "2026-01-01T00:00:00.000Z",
            "originalTimestamp": "2026-01-01T00:00:00.000Z",
        },
        "source": "shop",
        "contract": {
            "name": "promise",
            "allowed": True,
            "reason": "",
            "violations": ["/properties/extra: properties.extra is not declared"],
            "omitted": ["/properties/extra"],
        },
        "refused": "",
        "functions": None,
        "function_error": "",
        "syncs": [
            {
                **common,
                "sync": "orders",
                "event_type": "order",
                "fate": "deliver",
                "reason": "",
                "payload": payload,
                "request": {
                    "method": "POST",
                    "url": f"http://crm.test/orders?at={NOW:.0f}",
                    "headers": {"content-type": "application/json", "authorization": "Bearer ***"},
                    "body": [payload],
                },
                "tried": [{"event_type": "order", "filter": filter_, "takes": True, "clauses": clauses}],
            },
            {
                **common,
                "sync": "off",
                "event_type": None,
                "fate": "filtered",
                "reason": "disabled",
                "payload": None,
                "request": None,
                "tried": [],
            },
        ],
    }


def test_a_blocked_event_is_blocked_in_every_sync() -> None:
    result = explained(order(total="5"))

    assert fates(result) == [("orders", "blocked", "contract_violation"), ("off", "blocked", "contract_violation")]
    assert result.contract == Verdict(
        name="promise",
        allowed=False,
        reason="contract_violation",
        violations=("/properties/total: '5' is not of type 'number'",),
    )
    assert result.event["properties"] == {"total": "5"}


def test_an_event_that_the_door_refuses_is_blocked_with_its_code() -> None:
    result = explained({"type": "track", "userId": "u"})

    assert result.refused == "event_not_defined: a track call needs 'event', the event's name"
    assert fates(result)[0] == ("orders", "blocked", "event_not_defined")


def test_a_disabled_source_refuses() -> None:
    result = explained(order(total=1), TEXT.replace('["key"]', '["key"]\nenabled = false'))

    assert result.refused == "source_disabled: source 'shop' is disabled"
    assert fates(result)[0] == ("orders", "blocked", "source_disabled")


def test_an_event_that_no_filter_takes_shows_every_filter_it_failed() -> None:
    result = explained({"type": "identify", "userId": "u"})

    walk = result.syncs[0]
    assert fates(result)[0] == ("orders", "filtered", "no_event_type")
    assert [(tried.event_type, tried.takes) for tried in walk.tried] == [("order", False), ("custom", False)]
    assert [[clause.value for clause in tried.clauses] for tried in walk.tried] == [[False, False], [False]]


def test_a_mapping_that_fails_is_archived_with_its_error() -> None:
    walk = explained(order(total=5)).syncs[0]

    assert (walk.event_type, walk.fate, walk.reason) == ("custom", "archived", "mapping_failed")
    assert walk.error == "total: 'properties.tip' is missing"
    assert [tried.takes for tried in walk.tried] == [False, True]


def test_what_functions_made_is_shown_and_goes_through_the_syncs(tmp_path: Path) -> None:
    result = with_function(tmp_path, "return [{**e, 'userId': 'x'} for e in events for _ in range(2)]")

    assert result.functions is not None
    assert [event["userId"] for event in result.functions] == ["x", "x"]
    assert result.event["userId"] == "u1"
    orders = [walk for walk in result.syncs if walk.sync == "orders"]
    assert [(walk.message_id, walk.payload["customer"]) for walk in orders] == [("m1", "x"), ("m1#1", "x")]


def test_an_event_that_a_function_drops_is_filtered(tmp_path: Path) -> None:
    result = with_function(tmp_path, "return []")

    assert fates(result) == [("orders", "filtered", "function"), ("off", "filtered", "function")]
    assert result.functions == ()


def test_an_event_on_which_a_function_fails_is_archived(tmp_path: Path) -> None:
    result = with_function(tmp_path, "raise ValueError('no')")

    assert fates(result)[0] == ("orders", "archived", "function_failed")
    assert result.function_error.endswith("\nValueError: no")


def test_an_event_without_a_message_id_gets_the_same_one_each_time() -> None:
    event = {"type": "identify", "userId": "u"}

    first, second = explained(event).event["messageId"], explained(event).event["messageId"]

    assert first == second
    assert first.startswith("explain-")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "which source does the event come by? name one: one of: other, shop"),
        ("shp", "no source 'shp': did you mean 'shop'?"),
        ("zzz", "no source 'zzz': one of: other, shop"),
    ],
)
def test_the_source_must_be_known(source: str | None, said: str) -> None:
    with pytest.raises(HeadraceError) as caught:
        explained(order(), source=source)

    assert str(caught.value) == said


def test_a_body_that_is_not_json_is_shown_as_text() -> None:
    request = Request(url="http://x/", headers=(("a", "1"), ("a", "2")), body=b"a=1&b=2")

    assert shown(request) == Shown(method="POST", url="http://x/", headers={"a": "1, 2"}, body="a=1&b=2")


def test_the_text_follows_the_event_on_its_way() -> None:
    assert as_text(explained(order(total=200, extra=1))) == (
        """\
track 'Order Completed' by source shop
contract promise: kept
  /properties/extra: properties.extra is not declared
  taken out: /properties/extra

sync orders
  order  yes  event = "Order Completed" and properties.total >= 100
              + event = "Order Completed"
              + properties.total >= 100
  → deliver as order
    payload
      {
        "customer": "u1",
        "total": 200
      }
    request
      POST http://crm.test/orders?at=1767225600
      content-type: application/json
      authorization: Bearer ***

      [
        {
          "customer": "u1",
          "total": 200
        }
      ]

sync off
  → filtered (disabled)"""
    )


def test_the_text_says_why_there_is_no_delivery() -> None:
    assert as_text(explained(order(total=5))) == (
        """\
track 'Order Completed' by source shop
contract promise: kept

sync orders
  order   no   event = "Order Completed" and properties.total >= 100
               + event = "Order Completed"
               - properties.total >= 100   (properties.total is 5)
  custom  yes  event = "Order Completed"
  → archived as custom (mapping_failed)
    total: 'properties.tip' is missing

sync off
  → filtered (disabled)"""
    )


def test_the_text_of_a_blocked_event_names_the_violations() -> None:
    assert as_text(explained(order())) == (
        """\
track 'Order Completed' by source shop
contract promise: blocked (contract_violation)
  /properties: 'total' is a required property

sync orders
  → blocked (contract_violation)
    /properties: 'total' is a required property

sync off
  → blocked (contract_violation)
    /properties: 'total' is a required property"""
    )


def test_the_text_of_a_refused_event_says_why() -> None:
    assert as_text(explained({"type": "page"}, source="other")) == (
        """\
page by source other
door: refused, id_required: one of userId, anonymousId, groupId, previousId is needed
contract: none

sync elsewhere
  → blocked (id_required)"""
    )


def test_the_text_tells_the_events_of_a_function_apart(tmp_path: Path) -> None:
    text = as_text(with_function(tmp_path, "return [*events, {'type': 'page', 'messageId': 'p'}]"))

    assert "functions: 2 events came out\n  new: p\n" in text
    assert [line for line in text.splitlines() if line.startswith("  event ")] == ["  event m1", "  event p"] * 2


def test_the_text_tells_what_a_function_did(tmp_path: Path) -> None:
    text = as_text(
        with_function(
            tmp_path,
            "[(e['properties'].update(total=300, more=[1]), e.pop('userId')) for e in events]; return events",
        )
    )

    assert (
        """
functions: 1 event came out
    properties.total: 200 → 300
  + properties.more = [1]
  - userId
"""
        in text
    )


def test_the_text_tells_what_a_mapping_left_out() -> None:
    text = TEXT.replace('customer = "userId"', 'customer = "userId", voucher = "properties.voucher"')
    walk = explained(order(total=200), text).syncs[0]

    assert walk.notes == ("voucher is left out: properties.voucher is missing",)


def test_a_filter_of_one_clause_that_fails_says_what_the_event_has() -> None:
    text = as_text(explained({"type": "identify", "userId": "u"}))

    assert '- event = "Order Completed"   (event is missing)' in text


def test_an_event_that_a_destination_may_not_have_says_why() -> None:
    text = TEXT.replace('token = "very-secret"', 'token = "very-secret"\nintegration = "Box"\nconsent = ["ads"]')
    event = {"type": "track", "event": "Order Completed", "userId": "u1", "properties": {"total": 120}}
    told = explain(plan_of(text), event | {"integrations": {"Box": False}}, source="shop", at=NOW)
    kept = explain(plan_of(text), event | {"context": {"consent": {"categoryPreferences": {}}}}, source="shop", at=NOW)

    assert [(walk.sync, walk.fate, walk.reason, walk.tried) for walk in told.syncs] == [
        ("orders", "filtered", "integrations", ()),
        ("off", "filtered", "disabled", ()),
    ]
    assert told.syncs[0].notes == ("the event's integrations leave 'Box' out",)
    assert kept.syncs[0].notes == ("the event's context.consent.categoryPreferences do not allow ads",)
    assert "the event's integrations leave 'Box' out" in as_text(told)
