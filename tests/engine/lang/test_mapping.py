from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

import pytest

from engine.errors import MappingFailed
from engine.lang.mapping import MappingErrors, check_fields, compile_mapping

EVENT = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u1",
    "foo . bar": {"baz": 1},
    "blob": '{"a": 1, "b": 2}',
    "properties": {
        "total": "12.50",
        "price": "19.99",
        "nothing": None,
        "products": [{"sku": "s1", "price": "1.5"}, {"sku": "s2"}, "odd"],
        "lone": {"sku": "s9"},
        "tags": ["a", "b"],
        "address": {"city": "Köln", "zip": "50667"},
        "update": {"zip": "50668"},
    },
}
VARIABLES = {"sync.name": "orders", "sync.source": "shop", "destination.name": "crm"}
CONTEXT = {"sync": "orders", "attempt": 2}


@pytest.mark.parametrize(
    ("tree", "payload"),
    [
        ({"customer": "userId", "kind": "type"}, {"customer": "u1", "kind": "track"}),
        ({"x": r"foo \. bar.baz"}, {"x": 1}),
        ({"total": "{{ row['properties'].total | cast: 'number' }}"}, {"total": 12.5}),
        ({"p": "{{ row['properties'].price | cast : 'number'}}"}, {"p": 19.99}),
        ({"currency": {"value": "EUR"}}, {"currency": "EUR"}),
        ({"list": {"value": [1, {"value": 2}]}}, {"list": [1, {"value": 2}]}),
        ({"n": 3, "f": 1.5, "b": True}, {"n": 3, "f": 1.5, "b": True}),
        ({"attributes": "properties"}, {"attributes": EVENT["properties"]}),
        ({"a": "nothing.here", "b": "properties.nothing"}, {"b": None}),
        ({"a": "{{ row.absent }}", "b": "{{ row.properties.nothing }}"}, {"b": None}),
        ({"s": {"variable": "sync.name"}}, {"s": "orders"}),
        ({"s": "{{ context.sync }} {{ context.attempt }}"}, {"s": "orders 2"}),
        ({"nested": {"deep": {"id": "userId", "no": "absent"}}}, {"nested": {"deep": {"id": "u1"}}}),
        ({"nested": {"no": "absent"}}, {"nested": {}}),
        ({"list": ["userId", {"value": 1}, "absent", {"id": "userId"}]}, {"list": ["u1", 1, {"id": "u1"}]}),
        ({"a": {"from": "userId"}}, {"a": "u1"}),
        ({"a": {"flatten": "properties.address"}}, {"a": {"city": "Köln", "zip": "50667"}}),
        (
            {"a": {"flatten": {"p": "properties.lone", "t": "properties.tags", "u": "userId", "e": {}}}},
            {"a": {"p.sku": "s9", "t.0": "a", "t.1": "b", "u": "u1"}},
        ),
        (
            {"a": {"flatten": {"p": "properties.lone", "t": "properties.tags"}, "separator": "_", "omit_arrays": True}},
            {"a": {"p_sku": "s9", "t": ["a", "b"]}},
        ),
        ({"a": {"flatten": "absent"}, "b": {"flatten": "properties.nothing"}}, {"b": None}),
        ({"a": {"to_json": "properties.lone"}}, {"a": '{"sku":"s9"}'}),
        ({"a": {"to_json": {"x": "userId", "y": [1, True]}}}, {"a": '{"x":"u1","y":[1,true]}'}),
        (
            {"a": {"to_json": "userId"}, "b": {"to_json": "absent"}, "c": {"to_json": "properties.nothing"}},
            {"a": '"u1"', "c": None},
        ),
        ({"a": {"parse_json": "blob"}}, {"a": {"a": 1, "b": 2}}),
        ({"a": {"parse_json": "properties.lone"}, "b": {"parse_json": "absent"}}, {"a": {"sku": "s9"}}),
        ({"a": {"object": {"to_json": "userId"}}}, {"a": {"to_json": "u1"}}),
        ({"a": {"from": "absent"}}, {}),
        ({"a": {"from": "absent", "when_missing": "null"}}, {"a": None}),
        ({"a": {"from": "absent", "when_missing": "omit"}}, {}),
        ({"a": {"from": "absent", "default": "x"}}, {"a": "x"}),
        ({"a": {"from": "absent", "default": {"k": []}, "when_missing": "fail"}}, {"a": {"k": []}}),
        ({"a": {"from": "properties.nothing", "default": "x"}}, {"a": None}),
        ({"a": {"from": "{{ row.absent }}", "default": 1}}, {"a": 1}),
        ({"a": {"template": "{{ row.absent }}", "when_missing": "null"}}, {"a": None}),
        ({"a": {"template": "no marks"}}, {"a": "no marks"}),
        (
            {
                "items": {
                    "each": "properties.products",
                    "as": {"id": "sku", "price": "{{ item.price | cast: 'number' }}", "of": "{{ row.userId }}"},
                }
            },
            {"items": [{"id": "s1", "price": 1.5, "of": "u1"}, {"id": "s2", "of": "u1"}, {"of": "u1"}]},
        ),
        ({"skus": {"each": "properties.products", "as": "sku"}}, {"skus": ["s1", "s2"]}),
        ({"tags": {"each": "properties.tags", "as": "{{ item | upcase }}"}}, {"tags": ["A", "B"]}),
        ({"one": {"each": "properties.lone", "as": "sku"}}, {"one": ["s9"]}),
        ({"none": {"each": "absent", "as": "sku"}}, {}),
        ({"none": {"each": "properties.nothing", "as": "sku"}}, {}),
        ({"of": {"each": "{{ row.event | split: ' ' }}", "as": "{{ item }}"}}, {"of": ["Order", "Completed"]}),
        (
            {"to": {"merge": ["properties.address", "properties.update", "absent", {"id": "userId"}]}},
            {"to": {"city": "Köln", "zip": "50668", "id": "u1"}},
        ),
        ({"to": {"object": {"value": "userId"}}}, {"to": {"value": "u1"}}),
        ({"to": {"object": "userId"}}, {"to": {"object": "u1"}}),
        ({"to": {"value": "userId", "more": "type"}}, {"to": {"value": "u1", "more": "track"}}),
        ({"value": "userId"}, {"value": "u1"}),
        ({"merge": "userId", 'it\'s "x"\\': "type"}, {"merge": "u1", 'it\'s "x"\\': "track"}),
        ({"a": "properties.products[0].sku", "b": "properties.products.1.sku"}, {"a": "s1", "b": "s2"}),
        ({}, {}),
    ],
)
def test_a_mapping_makes_the_payload(tree, payload):
    mapping = compile_mapping(tree, variables=VARIABLES)

    assert mapping.apply(EVENT, CONTEXT) == payload
    assert list(mapping.apply(EVENT, CONTEXT)) == list(payload)
    assert mapping.interpret(EVENT, CONTEXT) == payload
    assert mapping.targets == frozenset(tree)


@pytest.mark.parametrize(
    ("column", "field", "tree", "payload"),
    [
        ("properties.address", None, {"id": "userId"}, {"city": "Köln", "zip": "50667", "id": "u1"}),
        ("properties.address", None, {"zip": "userId"}, {"city": "Köln", "zip": "u1"}),
        ("blob", None, {"id": "userId"}, {"a": 1, "b": 2, "id": "u1"}),
        ("blob", "attributes", {"id": "userId"}, {"id": "u1", "attributes": {"a": 1, "b": 2}}),
        ("blob", "attributes", {"attributes": {"b": "userId"}}, {"attributes": {"a": 1, "b": "u1"}}),
        ("blob", "attributes", {"attributes": "userId"}, {"attributes": "u1"}),
    ],
)
def test_an_object_in_a_single_column_is_the_base(column, field, tree, payload):
    mapping = compile_mapping(tree, variables={}, properties_column=column, properties_field=field)
    before = repr(EVENT)

    assert mapping.apply(EVENT) == payload
    assert mapping.interpret(EVENT) == payload
    assert mapping.targets == frozenset(tree) | ({field} if field else set())
    assert column in [str(path) for path in mapping.references]
    assert repr(EVENT) == before


@pytest.mark.parametrize(
    ("tree", "column", "error"),
    [
        (
            {"a": {"b": "{{ row.event | cast: 'number' }}"}},
            None,
            "a.b: the template {{ row.event | cast: 'number' }}: cannot cast \"Order Completed\" to a number",
        ),
        ({"a": {"from": "absent", "when_missing": "fail"}}, None, "a: 'absent' is missing"),
        (
            {"a": {"template": "{{ row.absent }}", "when_missing": "fail"}},
            None,
            "a: the template {{ row.absent }} is missing",
        ),
        ({"a": {"each": "event", "as": "x"}}, None, "a: 'each' needs an array, and 'event' is a string"),
        (
            {"a": {"each": "properties.tags", "as": {"n": "{{ item | cast: 'number' }}"}}},
            None,
            "a.n: the template {{ item | cast: 'number' }}: cannot cast \"a\" to a number",
        ),
        ({"a": {"merge": ["properties", "event"]}}, None, "a: 'merge' needs objects, and its part 2 is a string"),
        ({"a": {"flatten": "event"}}, None, "a: 'flatten' needs an object, and 'event' is a string"),
        ({"a": {"flatten": ["event"]}}, None, "a: 'flatten' needs an object, and it is an array"),
        ({"a": {"b": {"parse_json": "event"}}}, None, 'a.b: not JSON: "Order Completed"'),
        ({}, "absent", "properties_column: 'absent' holds no object, it is missing"),
        ({}, "event", "properties_column: 'event' holds no object, it is a string"),
        ({}, "properties.nothing", "properties_column: 'properties.nothing' holds no object, it is null"),
        ({}, "properties.tags", "properties_column: 'properties.tags' holds no object, it is an array"),
    ],
)
def test_a_mapping_that_fails_names_the_field_and_the_cause(tree, column, error):
    mapping = compile_mapping(tree, variables={}, properties_column=column)
    for apply in (mapping.apply, mapping.interpret):
        with pytest.raises(MappingFailed) as caught:
            apply(EVENT)

        assert str(caught.value) == error


ALL_PROBLEMS = """\
a: empty segment: a name is missing
    x..y
      ^
    a string is a field reference; a constant is written { value = … }
b: unknown variable 'sync.nmae'
    did you mean 'sync.name'?
c.deep[1]: unknown filter 'nope'
    {{ row.x | nope }}
               ^
d: unknown when_missing 'explode'
    one of: omit, null, fail
e: 'merge' is an array of references and objects
f: a date is not JSON
    write it as a string
g: a date is no value of a mapping
    write it as a string: { value = '…' }
h: 'each' is a field reference or a template
i: 'template' is a string
    a constant is written { value = … }
j.as.id: unknown variable 'items': a field of the event is written row.items
    {{ items.sku }}
       ^
k: inf is not JSON
    JSON has no infinity and no NaN
l: 'separator' is a string
m: 'omit_arrays' is true or false
n.to_json: empty segment: a name is missing
    .
    ^
    a string is a field reference; a constant is written { value = … }
properties_column: empty segment: a name is missing
    a.
      ^"""


def test_all_problems_of_a_mapping_are_told_at_once():
    tree = {
        "a": "x..y",
        "b": {"variable": "sync.nmae"},
        "c": {"deep": ["userId", "{{ row.x | nope }}"]},
        "d": {"from": "userId", "when_missing": "explode"},
        "e": {"merge": "properties"},
        "f": {"value": dt.date(2026, 11, 23)},
        "g": dt.date(2026, 11, 23),
        "h": {"each": 3, "as": "x"},
        "i": {"template": 3},
        "j": {"each": "properties.products", "as": {"id": "{{ items.sku }}"}},
        "k": {"value": float("inf")},
        "l": {"flatten": "properties", "separator": 1},
        "m": {"flatten": "properties", "omit_arrays": "yes"},
        "n": {"to_json": "."},
    }
    with pytest.raises(MappingErrors) as caught:
        compile_mapping(tree, variables=VARIABLES, properties_column="a.")

    assert [place for place, _ in caught.value.problems] == [
        *[
            "a",
            "b",
            "c.deep[1]",
            "d",
            "e",
            "f",
            "g",
            "h",
            "i",
            "j.as.id",
            "k",
            "l",
            "m",
            "n.to_json",
            "properties_column",
        ],
    ]
    assert str(caught.value) == ALL_PROBLEMS


def test_too_many_levels_are_refused():
    tree: dict[str, Any] = {"a": "userId"}
    for _ in range(40):
        tree = {"a": tree}
    with pytest.raises(MappingErrors, match=r"more than 30 levels"):
        compile_mapping(tree, variables={})


def test_the_references_are_told_once_in_order():
    tree = {
        "a": "userId",
        "b": ["userId", "{{ row.event }}"],
        "c": {"each": "properties.products", "as": {"id": "sku", "of": "{{ row.type }}"}},
        "d": {"merge": ["x", {"from": "y", "default": 1}]},
    }
    mapping = compile_mapping(tree, variables={})

    assert [str(path) for path in mapping.references] == [
        *["userId", "event", "properties.products", "properties.products[0].sku", "type", "x", "y"],
    ]
    assert repr(mapping) == "Mapping(a, b, c, d)"


class Field(NamedTuple):
    name: str
    type: str
    required: bool = False


def test_the_fields_of_a_destination_are_checked_all_at_once():
    fields = [
        Field("id", "string", required=True),
        Field("gone", "any", required=True),
        Field("null", "string", required=True),
        Field("total", "number"),
        Field("count", "integer"),
        Field("ok", "integer"),
        Field("flag", "boolean"),
        Field("list", "array"),
        Field("optional", "object"),
        Field("any", "any"),
    ]
    payload: dict[str, Any] = {
        "id": 1,
        "null": None,
        "total": "1",
        "count": 1.5,
        "ok": 2,
        "flag": True,
        "list": {},
        "optional": None,
        "any": [],
    }
    with pytest.raises(MappingFailed) as caught:
        check_fields(payload, fields)

    assert str(caught.value) == (
        "'id' must be a string, and is a number; 'gone' is required; 'null' is required; "
        "'total' must be a number, and is a string; 'count' must be an integer, and is a number; "
        "'list' must be an array, and is an object"
    )
    check_fields({"id": "x", "gone": 0, "null": ""}, fields)
