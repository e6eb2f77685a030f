from __future__ import annotations

from typing import Any

from engine.messages import Trouble
from engine.plan.breaches import MOST, NAMES, Samples
from engine.violated import Violated
from tests.conformance.store_violations import violated
from tests.support.plans import NOW, logged, plan_of

CONTRACT = """
[sources.shop]
write_keys = ["key"]
contract = "now"
shadow = "next"
[contracts.now]
propagate = true
[[contracts.now.events]]
type = "track"
name = "Order Completed"
on_schema_violation = "allow"
schema = { properties = { properties = { properties = { total = { type = "number" } } } } }
[contracts.next]
on_undeclared_event = "block"
[[contracts.next.events]]
type = "group"
schema = {}
"""


def noted(event: dict[str, Any], text: str = CONTRACT) -> tuple[dict[str, Any] | Trouble, list[Violated]]:
    found: list[Violated] = []
    return plan_of(text).sources["shop"].examine(logged(event), NOW, found.append), found


def test_what_is_let_through_is_noted_all_the_same_and_carried_on() -> None:
    event = {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": "x", "more": 1}}
    body, [shadow, own] = noted(event)

    assert own == Violated(
        position=1,
        at=NOW,
        source="shop",
        contract="now",
        type="track",
        name="Order Completed",
        version="default",
        message_id="m1",
        allowed=True,
        undeclared_fields=True,
        schema_violated=True,
        rules=("undeclared_field", "type"),
        violations=(
            "/properties/more: properties.more is not declared",
            "/properties/total: 'x' is not of type 'number'",
        ),
        event=logged(event).raw,
    )
    assert (shadow.contract, shadow.shadow, shadow.allowed, shadow.undeclared_event) == ("next", True, True, True)
    assert isinstance(body, dict)
    assert body["properties"] == {"total": "x"}
    assert body["context"] == {
        "violations": [
            {
                "contract": "now",
                "rule": "undeclared_field",
                "pointer": "/properties/more",
                "message": "properties.more is not declared",
            },
            {
                "contract": "now",
                "rule": "type",
                "pointer": "/properties/total",
                "message": "'x' is not of type 'number'",
            },
        ],
    }


def test_an_event_that_breaks_nothing_is_neither_noted_nor_changed() -> None:
    body, found = noted(
        {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 1}},
        CONTRACT.replace('shadow = "next"\n', "").partition("[contracts.next]")[0],
    )

    assert found == []
    assert isinstance(body, dict)
    assert "context" not in body


def test_a_blocked_event_is_noted_and_does_not_go_on() -> None:
    text = CONTRACT.replace('contract = "now"\nshadow = "next"', 'contract = "next"')
    body, [own] = noted({"type": "page", "userId": "u"}, text)

    assert isinstance(body, Trouble)
    assert (own.allowed, own.shadow, own.rules) == (False, False, ("undeclared_event",))


def test_above_a_hundred_a_second_of_one_kind_entries_are_only_counted() -> None:
    samples = Samples()
    some = [violated(at) for at in range(1, 151)]

    assert sum(samples.keeps(one, NOW) for one in some) == MOST
    assert samples.keeps(violated(200, name="Signed Up"), NOW)
    assert samples.keeps(violated(201, rules=("type", "enum")), NOW)
    assert not samples.keeps(violated(202), NOW + 0.5)
    assert samples.keeps(violated(203), NOW + 1)
    assert samples.counts(some) == {
        ("contract:orders", "track Order Completed\ttype"): 150,
        ("contract:orders", "track Order Completed\trequired"): 150,
    }


def test_names_that_clients_invent_do_not_make_the_store_grow() -> None:
    counts = Samples().counts(violated(at, name=f"n{at}", rules=("undeclared_event",)) for at in range(NAMES + 50))

    assert len(counts) == NAMES + 1
    assert counts["contract:orders", "track …\tundeclared_event"] == 50
