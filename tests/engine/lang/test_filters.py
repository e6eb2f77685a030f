from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LangError
from engine.lang.filters import Clause, compile_filter

EVENT = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u1",
    "in": 5,
    "foo . bar": {"baz": 1},
    "properties": {
        "total": 120.5,
        "count": 3,
        "text3": "3",
        "nothing": None,
        "gift": True,
        "first name": "Ada",
        "rock and roll": "yes",
        "it's": "ok",
        "tags": ["red", "blue", 1],
        "products": [{"sku": "s1"}],
        "empty": "",
        "other": 120.5,
        "when": "2026-11-23T02:46:10Z",
        "object": {},
    },
}


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ('event = "Order Completed"', True),
        ("event = 'Order Completed'", True),
        ('event="Order Completed"', True),
        ('"Order Completed" = event', True),
        ('event = "order completed"', False),
        ('event != "Order Completed"', False),
        ('event = "Order Completed" and (properties.total >= 100 or not exists(properties.coupon))', True),
        ('type="track" and event != "Order Completed" and properties.total > 1', False),
        # numbers
        ("properties.total > 120.4", True),
        ("properties.total > 120.5", False),
        ("properties.total >= 120.5", True),
        ("properties.total < 1e3", True),
        ("properties.total <= -1", False),
        ("100 < properties.total", True),
        ("properties.count = 3", True),
        ("properties.count = 3.0", True),
        ("properties.total = properties.other", True),
        ("properties.count < properties.total", True),
        # types are strict
        ('properties.count = "3"', False),
        ("properties.text3 = 3", False),
        ("properties.text3 > 2", False),
        ("properties.gift = 1", False),
        ("properties.gift >= 1", False),
        ("properties.gift = true", True),
        ("properties.gift = false", False),
        ("properties.gift != false", True),
        ("properties.tags = properties.tags", False),
        ("properties.object != properties.object", True),
        ('properties.when >= "2026"', True),
        ('"9" > 5', False),
        # missing
        ("properties.absent = 1", False),
        ("properties.absent != 1", True),
        ("properties.nothing != 1", True),
        ("properties.absent > 1", False),
        ("properties.absent = null", True),
        ("properties.nothing = null", True),
        ("properties.count != null", True),
        ("exists(properties.nothing)", False),
        ("exists(properties.empty)", True),
        ("!exists(properties.absent)", True),
        ("not exists(properties.absent)", True),
        ("not not exists(properties.absent)", False),
        # in
        ('event in ("Cart Viewed", "Order Completed")', True),
        ('event in("Cart Viewed")', False),
        ('event not in ("Cart Viewed")', True),
        ("properties.absent not in (1)", True),
        ("properties.count in (1, 2, 3)", True),
        ('properties.count in ("3", true)', False),
        ("properties.tags in ('red')", False),
        ("properties.absent in (1, null)", True),
        ("properties.total in (properties.count, properties.other)", True),
        # functions
        ('contains(event, "Order")', True),
        ('contains(event, "order")', False),
        ('contains(lowercase(event), "order")', True),
        ('contains(properties.tags, "red")', True),
        ("contains(properties.tags, 1)", True),
        ("contains(properties.tags, true)", False),
        ("contains(properties.count, 3)", False),
        ('match(event, "Order *")', True),
        ('match(event, "order *")', False),
        ('match(event, "Order")', False),
        ('match(event, "?rder Completed")', True),
        ('match(event, "[N-P]rder*")', True),
        ('match(event, "[^N-P]rder*")', False),
        (r'match(event, "Order \\*")', False),
        (r'match("a*[b", "a\\*\\[b")', True),
        ('match(properties.count, "*")', False),
        ('starts_with(event, "Order")', True),
        ('ends_with(event, "Completed")', True),
        ("ends_with(event, properties.count)", False),
        ("length(event) = 15", True),
        ("length(properties.tags) = 3", True),
        ("length(properties.count) = 1", False),
        ("length(properties.count) = null", True),
        ('lowercase(event) = "order completed"', True),
        ('typeof(properties.total) = "number"', True),
        ('typeof(properties.gift) = "boolean"', True),
        ('typeof(properties.absent) = "null"', True),
        ('typeof(properties.tags) = "array"', True),
        ("contains(event, 'x') = false", True),
        # references
        (r"foo \. bar.baz = 1", True),
        ("properties.first name = 'Ada'", True),
        ("properties['rock and roll'] = 'yes'", True),
        ("properties.it's = 'ok'", True),
        ("properties.products[0].sku = 's1'", True),
        ("properties.products.0.sku = 's1'", True),
        ("['in'] = 5", True),
        ("(event = 'x' or type = 'track') and userId = 'u1'", True),
        ("event = 'x' or type = 'track' and userId = 'u2'", False),
        ("event = 'x'\n  or type = 'track'", True),
        (r'"a\"b" = "a\"b"', True),
    ],
)
def test_a_filter_is_true_or_false(text, passes):
    assert compile_filter(text).test(EVENT) is passes


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the filter is empty\n    leave the filter out to let every event pass"),
        ("event = ", "expected a value after '='\n    event = \n            ^"),
        ("event", "expected an operator after 'event'\n    event\n         ^"),
        ("event == 'x'", "'==' is written '='\n    event == 'x'\n          ^"),
        (
            "properties.rock and roll = 'yes'",
            (
                "expected an operator after 'properties.rock': if 'and' belongs to the name, "
                "write the name in brackets, as in ['x and y']\n"
                "    properties.rock and roll = 'yes'\n                    ^"
            ),
        ),
        (
            "and = 1",
            (
                "expected a reference, a value or a function: a field that is called 'and' is written ['and']\n"
                "    and = 1\n    ^"
            ),
        ),
        (
            "event = 'x' AND type = 'y'",
            "expected 'and', 'or' or the end: write 'and' for 'AND'\n    event = 'x' AND type = 'y'\n                ^",
        ),
        (
            "a = b AND c = 'y'",
            "expected 'and', 'or' or the end: write 'and' for 'AND'\n    a = b AND c = 'y'\n                ^",
        ),
        ("(a = 1", "expected 'and', 'or' or ')'\n    (a = 1\n          ^"),
        ("a = 1)", "expected 'and', 'or' or the end\n    a = 1)\n         ^"),
        ("a in ()", "expected a value after 'in ('\n    a in ()\n          ^"),
        ("a in 1", "expected '(' after 'in'\n    a in 1\n         ^"),
        ("a in (1 2)", "expected ',' or ')'\n    a in (1 2)\n            ^"),
        ('a = "x', 'the string is not closed: expected "\n    a = "x\n        ^'),
        (
            'a = "\\d"',
            "unknown escape '\\d' in a string: a backslash is written '\\\\'\n    a = \"\\d\"\n         ^",
        ),
        ("a..b = 1", "empty segment: a name is missing\n    a..b = 1\n      ^"),
        (
            "x = 1 and a\\x = 1",
            (
                "unknown escape '\\x': a dot is written '\\.' and a backslash '\\\\'\n"
                "    x = 1 and a\\x = 1\n               ^"
            ),
        ),
        (
            "exist(a)",
            "unknown function 'exist': did you mean 'exists'?\n    exist(a)\n    ^",
        ),
        (
            "frobnicate(a)",
            (
                "unknown function 'frobnicate': one of: contains, ends_with, exists, length, lowercase, match, "
                "starts_with, typeof\n    frobnicate(a)\n    ^"
            ),
        ),
        ("contains(a)", "'contains' takes 2 arguments, not 1\n    contains(a)\n    ^"),
        ("exists(a, b)", "'exists' takes 1 argument, not 2\n    exists(a, b)\n    ^"),
        ("exists('a')", "'exists' takes a field reference\n    exists('a')\n           ^"),
        ("match(a, b)", "the pattern of 'match' is a string\n    match(a, b)\n             ^"),
        ("length(a)", "expected an operator after 'length(a)'\n    length(a)\n             ^"),
        ("a > true", "'>' compares numbers or strings, not true\n    a > true\n        ^"),
        ("a = \u201cx\u201d", "a curly quote: write \" or '\n    a = \u201cx\u201d\n        ^"),
        ("a = 1\nand b ==2", "'==' is written '='\n    and b ==2\n          ^"),
        ("a = 1 b = 2", "expected 'and', 'or' or the end\n    a = 1 b = 2\n          ^"),
    ],
)
def test_a_wrong_filter_is_refused_with_a_caret(text, error):
    with pytest.raises(LangError) as caught:
        compile_filter(text)

    assert str(caught.value) == error


def test_nesting_and_length_have_a_limit():
    with pytest.raises(LangError, match=r"\Amore than 50 levels of 'not' and parentheses"):
        compile_filter("(" * 60 + "a = 1" + ")" * 60)
    with pytest.raises(LangError, match=r"\Aa filter may have 10000 characters, this one has 10006"):
        compile_filter("a = 1" + " " * 10_001)


def test_explain_tells_every_clause_by_itself():
    found = compile_filter("event = 'x' and (properties.total >= 100 or not exists(properties.coupon))").explain(EVENT)

    assert found == [
        Clause(text="event = 'x'", value=False, found='event is "Order Completed"'),
        Clause(text="properties.total >= 100", value=True, found="properties.total is 120.5"),
        Clause(text="exists(properties.coupon)", value=False, found="properties.coupon is missing"),
    ]


def test_the_references_are_told_once_in_order():
    found = compile_filter("b.c = 1 and a = 2 or b.c in (1, d) or contains(lowercase(e), 'x')")

    assert [str(path) for path in found.references] == ["b.c", "a", "d", "e"]
    assert repr(found) == "Filter(\"b.c = 1 and a = 2 or b.c in (1, d) or contains(lowercase(e), 'x')\")"


def test_a_long_chain_does_not_nest_deep():
    text = " or ".join(f"a = {number}" for number in range(600))

    assert compile_filter(text).test({"a": 599}) is True
    assert compile_filter(text).test({"a": 600}) is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OPERANDS = st.sampled_from(
    ["a", "a.b", "b", "c[0]", '"x"', "3", "true", "null", "length(a)", "typeof(b)", "lowercase(a.b)"]
)
CLAUSES = st.builds(lambda left, sign, right: (left, sign, right), OPERANDS, st.sampled_from(["=", "!="]), OPERANDS)


@given(st.dictionaries(st.sampled_from("abc"), JSON, max_size=3), CLAUSES)
def test_unequal_is_the_negation_of_equal_for_every_event(event, clause):
    left, _, right = clause
    equal, unequal = compile_filter(f"{left} = {right}"), compile_filter(f"{left} != {right}")

    assert equal.test(event) is not unequal.test(event)
    assert equal.test(event) is compile_filter(f"{right} = {left}").test(event)
    assert equal.test(event) is compile_filter(f"{left} in ({right})").test(event)


@given(
    st.dictionaries(st.sampled_from("abc"), JSON, max_size=3),
    st.sampled_from(
        ["{} < 3", "{} >= 'x'", "{} < {}", "contains({}, {})", "starts_with({}, 'x')", "match({}, '*')", "not {} > 1"]
    ),
    OPERANDS,
    OPERANDS,
)
def test_a_filter_is_total(event, shape, left, right):
    try:
        found = compile_filter(shape.format(left, right))
    except LangError:
        return

    assert found.test(event) in {True, False}
