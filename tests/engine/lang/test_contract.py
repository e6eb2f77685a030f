from __future__ import annotations

import copy
from typing import Any

import pytest

from engine.errors import LangError
from engine.lang.contract import Checked, ContractSpec, EventSpec, Violation, compile_contract

PURCHASE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "properties": {
            "type": "object",
            "properties": {
                "total": {"type": "number"},
                "currency": {"enum": ["EUR", "USD"]},
                "address": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "additionalProperties": False,
                },
                "products": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
                },
                "free": {"type": "object"},
                "wide": {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
                "typed": {"type": "object", "additionalProperties": {"type": "integer"}},
                "named": {"type": "object", "patternProperties": {"^x_": {"type": "integer"}}},
            },
            "required": ["total"],
            "additionalProperties": False,
        },
    },
    "required": ["properties"],
}


def contract(schema=PURCHASE, **options):
    options = {"type": "track", "name": "Order Completed", "schema": schema, **options}
    on_undeclared_event = options.pop("on_undeclared_event", "allow")
    return compile_contract(
        ContractSpec(name="shop", events=(EventSpec(**options),), on_undeclared_event=on_undeclared_event)
    )


def order(**properties):
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": "u1",
        "messageId": "m1",
        "context": {"ip": "10.0.0.1"},
        "properties": {"total": 1.5, **properties},
    }


def field(pointer, *, enforced=True):
    shown = pointer[1:].replace("/", ".")
    return Violation(pointer=pointer, rule="undeclared_field", message=f"{shown} is not declared", enforced=enforced)


def test_an_event_that_keeps_its_contract_is_returned_as_it_is():
    event = order(currency="EUR", products=[{"sku": "a"}], address={"city": "Köln"})

    assert contract().check(event) == Checked(allowed=True, event=event, version="default")
    assert contract().check(event).event is event


@pytest.mark.parametrize(
    ("properties", "omitted", "left"),
    [
        ({"color": "red"}, ("/properties/color",), {}),
        ({"address": {"city": "x", "zip": "1"}}, ("/properties/address/zip",), {"address": {"city": "x"}}),
        (
            {"products": [{"sku": "a"}, {"sku": "b", "size": 1, "deep": {}}]},
            ("/properties/products/1/size", "/properties/products/1/deep"),
            {"products": [{"sku": "a"}, {"sku": "b"}]},
        ),
        ({"free": {"a": 1}, "wide": {"b": {"c": 1}}}, (), {"free": {"a": 1}, "wide": {"b": {"c": 1}}}),
        ({"typed": {"a": 1}}, (), {"typed": {"a": 1}}),
        ({"named": {"x_a": 1, "y": 1}}, ("/properties/named/y",), {"named": {"x_a": 1}}),
        ({"a/b~": 1}, ("/properties/a~1b~0",), {}),
    ],
)
def test_undeclared_fields_are_left_out_at_all_depths(properties, omitted, left):
    event = order(**properties)
    before = copy.deepcopy(event)
    checked = contract().check(event)

    assert checked.allowed
    assert checked.omitted == omitted
    assert checked.event == order(**left)
    assert [violation.pointer for violation in checked.violations] == list(omitted)
    assert event == before


@pytest.mark.parametrize(
    ("policy", "allowed", "enforced", "omitted"),
    [("allow", True, False, ()), ("block", False, True, ()), ("omit", True, True, ("/properties/color",))],
)
def test_an_undeclared_field_is_allowed_blocked_or_omitted(policy, allowed, enforced, omitted):
    event = order(color="red")
    checked = contract(on_undeclared_fields=policy).check(event)

    assert checked == Checked(
        allowed=allowed,
        violations=(field("/properties/color", enforced=enforced),),
        event=order() if policy == "omit" else event,
        omitted=omitted,
        version="default",
    )


@pytest.mark.parametrize(("policy", "allowed"), [("allow", True), ("block", False)])
def test_all_violations_of_the_schema_are_listed(policy, allowed):
    event = order(total="1", currency="GBP", products=[{}])
    checked = contract(on_schema_violation=policy).check(event)

    assert checked.allowed is allowed
    assert checked.event is event
    assert checked.violations == tuple(
        Violation(pointer=pointer, rule=rule, message=message, enforced=not allowed)
        for pointer, rule, message in [
            ("/properties/currency", "enum", "'GBP' is not one of ['EUR', 'USD']"),
            ("/properties/products/0", "required", "'sku' is a required property"),
            ("/properties/total", "type", "'1' is not of type 'number'"),
        ]
    )


def test_undeclared_and_broken_are_told_apart_and_together():
    checked = contract().check(order(total="1", color="red"))

    assert not checked.allowed
    assert [(violation.pointer, violation.rule) for violation in checked.violations] == [
        ("/properties/color", "undeclared_field"),
        ("/properties/total", "type"),
    ]


@pytest.mark.parametrize(("policy", "allowed"), [("allow", True), ("block", False)])
@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            {"type": "track", "event": "order completed"},
            "the contract declares no event track 'order completed'; it declares 'Order Completed'",
        ),
        ({"type": "identify", "userId": "u"}, "the contract declares no event identify"),
        (
            {**order(), "context": {"htevents": {"schemaVersion": "9"}}},
            "the contract declares no version '9' of this event",
        ),
    ],
)
def test_an_undeclared_event_is_allowed_or_blocked(event, message, policy, allowed):
    checked = contract(on_undeclared_event=policy).check(event)

    assert checked == Checked(
        allowed=allowed,
        violations=(Violation(pointer="", rule="undeclared_event", message=message, enforced=not allowed),),
        event=event,
    )


def test_the_version_is_chosen_by_the_event():
    def spec(version, kind):
        schema = {"properties": {"properties": {"properties": {"total": {"type": kind}}}}}
        return EventSpec(type="track", name="A", version=version, schema=schema)

    found = compile_contract(ContractSpec(name="shop", events=(spec("1", "string"), spec("2", "number"))))
    event = {"type": "track", "event": "A", "properties": {"total": 1}}

    assert not found.check(event).allowed
    assert found.check({**event, "context": {"htevents": {"schemaVersion": "2"}}}).allowed
    assert found.check({**event, "context": {"htevents": {"schemaVersion": 2}}}).version == "2"


def test_other_calls_are_found_by_type_and_pages_by_name_too():
    specs = (
        EventSpec(type="identify", schema={"required": ["traits"]}),
        EventSpec(type="page", name="Home", schema={"required": ["properties"]}),
        EventSpec(type="page", schema={"required": ["name"]}),
    )
    found = compile_contract(ContractSpec(name="shop", events=specs, on_undeclared_event="block"))

    assert not found.check({"type": "identify"}).allowed
    assert found.check({"type": "identify", "traits": {}}).allowed
    assert not found.check({"type": "page", "name": "Home"}).allowed
    assert found.check({"type": "page", "name": "Cart"}).allowed
    assert not found.check({"type": "page"}).allowed
    assert not found.check({"type": ["page"]}).allowed


def test_what_sdks_send_by_themselves_is_declared():
    schema = {
        "properties": {
            "context": {"properties": {"htevents": {}, "mine": {"type": "integer"}}},
            "properties": {"properties": {"total": {}}},
        },
        "additionalProperties": False,
    }
    event = {**order(), "context": {"ip": "1", "library": {"name": "x"}, "mine": 1, "yours": 1}, "extra": 1}

    assert contract(schema).check(event).omitted == ("/context/yours", "/extra")


def test_a_closed_object_below_a_choice_decides_the_choice():
    a = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
    schema = {
        "properties": {"properties": {"oneOf": [a, {"$ref": "#/definitions/b"}]}},
        "definitions": {"b": {"type": "object", "properties": {"b": {}}, "additionalProperties": False}},
    }
    found = contract(schema)

    assert found.check({**order(), "properties": {"a": 1}}).allowed
    assert found.check({**order(), "properties": {"b": 1}}).allowed
    assert not found.check({**order(), "properties": {"a": 1, "b": 1}}).allowed
    assert found.check({**order(), "properties": {"a": 1, "c": 1}}).omitted == ("/properties/c",)


def test_a_recursive_schema_is_followed():
    node = {"type": "object", "properties": {"name": {}, "child": {"$ref": "#/definitions/node"}}}
    schema = {"properties": {"properties": {"$ref": "#/definitions/node"}}, "definitions": {"node": node}}
    event = {**order(), "properties": {"child": {"child": {"name": "x", "odd": 1}}}}

    assert contract(schema).check(event).omitted == ("/properties/child/child/odd",)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            {"schema": {"$ref": "http://127.0.0.1:9/x.json"}},
            "track 'A': the reference 'http://127.0.0.1:9/x.json' leads out of the schema\n    only '#…' is followed",
        ),
        (
            {"schema": {"properties": {"x": {"allOf": [{"$ref": "other.json#/a"}]}}}},
            "track 'A': the reference 'other.json#/a' leads out of the schema\n    only '#…' is followed",
        ),
        (
            {"schema": {"properties": {"properties": {"enum": [{"$ref": "http://127.0.0.1:9/x"}]}}}},
            "track 'A': the reference 'http://127.0.0.1:9/x' leads out of the schema\n    only '#…' is followed",
        ),
        (
            {
                "schema": {
                    "properties": {"x": {"$id": "http://127.0.0.1:9/", "items": {"$ref": "#/definitions/a"}}},
                    "definitions": {"a": {}},
                }
            },
            "track 'A': the schema cannot be compiled: Unresolvable ref: definitions",
        ),
        (
            {"schema": {"$ref": "#/definitions/gone"}},
            "track 'A': the reference '#/definitions/gone' leads nowhere in the schema",
        ),
        (
            {"schema": {"properties": {"x": {"type": "strin"}}}},
            "track 'A': no JSON Schema: /properties/x/type: 'strin' is not valid under any of the given schemas",
        ),
        (
            {"type": "track", "name": ""},
            'a track event needs a name\n    name = "Order Completed", exactly as it is sent',
        ),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(options, error):
    with pytest.raises(LangError) as caught:
        contract(**{"name": "A", **options})

    assert str(caught.value) == error


def test_the_same_event_twice_is_refused():
    spec = EventSpec(type="track", name="A", schema={})
    with pytest.raises(LangError) as caught:
        compile_contract(ContractSpec(name="shop", events=(spec, spec)))

    assert str(caught.value) == "track 'A': the version 'default' is declared twice"


def test_a_field_called_ref_is_no_reference():
    schema = {"properties": {"properties": {"properties": {"$ref": {"type": "string"}}}}}

    assert contract(schema).check({**order(), "properties": {"$ref": "x"}}).allowed


@pytest.mark.parametrize("name", ["order completed", "Order Completed ", "ORDER  COMPLETED"])
def test_a_name_that_differs_in_case_or_spaces_only_is_told(name):
    [violation] = contract().check({**order(), "event": name}).violations

    assert violation.message == f"the contract declares no event track '{name}'; it declares 'Order Completed'"
