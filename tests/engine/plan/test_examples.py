"""What Hightouch documents of contracts and functions, in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.messages import State, Trouble
from engine.plan import SourcePlan
from tests.support.plans import NOW, logged, plan_of

CONTRACT = """
[sources.web]
write_keys = ["k"]
contract = "shop"
[contracts.shop]
path = "events/contracts/shop"
"""
ABOUT = "name: Shop\nonUndeclaredSchema: {undeclared}\n"
VERSION_1 = """\
type: track
name: Order Completed
onUndeclaredFields: {fields}
onSchemaViolation: {violation}
schema:
  type: object
  properties:
    properties:
      type: object
      required: [order_id, total]
      properties:
        order_id: {{type: string}}
        total: {{type: number}}
    context:
      type: object
      properties:
        tenant: {{type: string}}
"""
VERSION_2 = VERSION_1.replace("name: Order Completed", "name: Order Completed\nversion: '2'").replace("total", "amount")


def web(folder: Path, **enforced: str) -> SourcePlan:
    wanted = {"undeclared": "ALLOW_EVENT", "fields": "OMIT_FIELDS", "violation": "BLOCK_EVENT"} | enforced
    for name, text in {"shop.yaml": ABOUT, "shop/order.yaml": VERSION_1, "shop/order_2.yaml": VERSION_2}.items():
        file = folder / "events" / "contracts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**wanted))
    return plan_of(CONTRACT, folder=folder).sources["web"]


def order(properties: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    given = {"order_id": "1", "total": 5.0} if properties is None else properties
    return {"type": "track", "event": "Order Completed", "userId": "u", "properties": given, **parts}


def version(name: str) -> dict[str, Any]:
    return {"context": {"htevents": {"schemaVersion": name}}}


@pytest.mark.parametrize(
    ("enforced", "event", "outcome"),
    [
        ({}, order(), {"order_id": "1", "total": 5.0}),
        ({}, order({"order_id": "1", "total": 5, "gift": True}), {"order_id": "1", "total": 5}),
        (
            {"fields": "ALLOW_EVENT"},
            order({"order_id": "1", "total": 5, "x": 1}),
            {"order_id": "1", "total": 5, "x": 1},
        ),
        ({"fields": "BLOCK_EVENT"}, order({"order_id": "1", "total": 5, "x": 1}), "contract_violation"),
        ({}, order({"order_id": "1", "total": "5"}), "contract_violation"),
        ({"violation": "ALLOW_EVENT"}, order({"order_id": "1", "total": "5"}), {"order_id": "1", "total": "5"}),
        ({}, order({"order_id": "1"}), "contract_violation"),
        # The usual causes: another case, a space too many, a field in the other envelope.
        ({"undeclared": "BLOCK_EVENT"}, order(event="order completed"), "undeclared_event"),
        ({"undeclared": "BLOCK_EVENT"}, order(event="Order Completed "), "undeclared_event"),
        ({}, order(event="order completed"), {"order_id": "1", "total": 5.0}),
        ({}, order({"order_id": "1"}, context={"total": 5}), "contract_violation"),
        # The first version is the default, others live beside it.
        ({}, order({"order_id": "1", "amount": 5}, **version("2")), {"order_id": "1", "amount": 5}),
        ({}, order({"order_id": "1", "amount": 5}, **version("default")), "contract_violation"),
        ({"undeclared": "BLOCK_EVENT"}, order(**version("3")), "undeclared_event"),
    ],
)
def test_contracts_enforce_what_hightouch_documents(
    tmp_path: Path, enforced: dict[str, str], event: dict[str, Any], outcome: Any
) -> None:
    examined = web(tmp_path, **enforced).examine(logged(event), NOW)

    if isinstance(examined, Trouble):
        assert (examined.state, examined.reason) == (State.BLOCKED, outcome)
    else:
        assert examined["properties"] == outcome


FUNCTIONS = """
[sources.web]
write_keys = ["k"]
functions = ["f"]
[functions.f]
file = "f.js"
isolation = "inline"
"""
BATCH: list[dict[str, Any]] = [
    {"type": "track", "event": "Signed Up", "userId": "u1", "messageId": "m1", "properties": {"email": "A@B.example"}},
    {"type": "page", "name": "Home", "anonymousId": "a1", "messageId": "m2", "properties": {"path": "/"}},
    {"type": "identify", "userId": "u1", "messageId": "m3", "traits": {"test": True}},
]


@pytest.mark.parametrize(
    ("body", "out"),
    [
        ("return events;", [["m1"], ["m2"], ["m3"]]),
        ("return events.filter((event) => event.type !== 'page');", [["m1"], [], ["m3"]]),
        ("return events.filter((event) => !(event.traits && event.traits.test));", [["m1"], ["m2"], []]),
        (
            (
                "return events.flatMap((event) => event.event === 'Signed Up'"
                " ? [event, { ...event, type: 'identify', traits: event.properties }] : [event]);"
            ),
            [["m1", "m1#1"], ["m2"], ["m3"]],
        ),
        (
            (
                "for (const { properties } of events) if (properties && properties.email)"
                " properties.email = properties.email.toLowerCase(); return events;"
            ),
            [["m1"], ["m2"], ["m3"]],
        ),
        ("return [];", [[], [], []]),
    ],
)
def test_functions_do_what_hightouch_documents(tmp_path: Path, body: str, out: list[list[str]]) -> None:
    (tmp_path / "f.js").write_text(f"function transformEvents(events) {{ {body} }}")
    source = plan_of(FUNCTIONS, folder=tmp_path).sources["web"]
    batch = [(logged({}, position=at), body) for at, body in enumerate(BATCH, 1)]

    results = source.transform(batch)

    restored = [source.restored(row, result) for (row, _), result in zip(batch, results, strict=True)]
    assert [[event.message_id for event in events] for events in restored] == out
