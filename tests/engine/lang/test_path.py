from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from engine.errors import LangError
from engine.lang.path import getter, parse

EVENT = {
    "event": "Order Completed",
    "foo . bar": {"baz": 1},
    "back\\slash": 2,
    "0": "literal zero",
    "": {"x": "empty key"},
    "and": "a word",
    "properties": {
        "first name": "Ada",
        "price": None,
        "products": [{"sku": "s1", "tags": ["red", "blue"]}, {"sku": "s2"}],
        "list[0]": "literal list",
        "list": ["indexed"],
        "numbers": {"0": "key zero"},
        "it's": 3,
    },
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("event", "Order Completed"),
        (r"foo \. bar.baz", 1),
        (r"back\\slash", 2),
        ("0", "literal zero"),
        ("properties.first name", "Ada"),
        ("properties.price", None),
        ("properties.price.amount", UNSET),
        ("properties.nothing", UNSET),
        ("nothing.at.all", UNSET),
        ("event.0", UNSET),
        ("event.length", UNSET),
        ("properties.products[0].sku", "s1"),
        ("properties.products.1.sku", "s2"),
        ("properties.products[2].sku", UNSET),
        ("properties.products.sku", UNSET),
        ("properties.products[0].tags[1]", "blue"),
        ("properties.list[0]", "literal list"),
        ("properties['list'][0]", "indexed"),
        ("properties.list.0", "indexed"),
        ("properties.numbers.0", "key zero"),
        ("properties.numbers[0]", UNSET),
        ("['foo . bar'].baz", 1),
        ('["foo . bar"]["baz"]', 1),
        ("['foo . bar']['baz']", 1),
        ("['back\\\\slash']", 2),
        ("properties['it\\'s']", 3),
        ('properties["it\'s"]', 3),
        ("['and']", "a word"),
        ("[''].x", "empty key"),
        ("properties.['price']", None),
    ],
)
def test_a_reference_finds_what_it_names(text, value):
    path = parse(text)

    assert path.get(EVENT) == value
    assert getter(path)(EVENT) == value
    assert path.text == text


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("properties.products[0].sku", ("properties", "products", 0, "sku")),
        ("a.0[1][2]", ("a", "0", 1, 2)),
        (r"foo \. bar.baz", ("foo . bar", "baz")),
        ("a[0]b", ("a[0]b",)),
        ("a[b]", ("a[b]",)),
        (" a .b ", (" a ", "b ")),
    ],
)
def test_the_keys_are_names_and_positions(text, keys):
    assert parse(text).keys == keys


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "empty segment: a name is missing\n    \n    ^"),
        ("a..b", "empty segment: a name is missing\n    a..b\n      ^"),
        (".a", "empty segment: a name is missing\n    .a\n    ^"),
        ("a.", "empty segment: a name is missing\n    a.\n      ^"),
        ("a\\", "a backslash at the end escapes nothing: write '\\\\' for a backslash\n    a\\\n     ^"),
        ("a\\x", "unknown escape '\\x': a dot is written '\\.' and a backslash '\\\\'\n    a\\x\n     ^"),
        (
            "['a\\x']",
            "unknown escape '\\x': inside brackets only '\\\\' and quotes are escaped\n    ['a\\x']\n       ^",
        ),
        ("x['a", "the bracket is not closed: expected ']\n    x['a\n     ^"),
        ("x['a'", "the bracket is not closed: expected ']\n    x['a'\n     ^"),
        ("['a']b", "expected '.' or '[' after ']'\n    ['a']b\n         ^"),
        ("[0].a", "a name is missing before '[0]': to index an array, write its name first\n    [0].a\n    ^"),
    ],
)
def test_a_wrong_reference_is_refused_with_a_caret(text, error):
    with pytest.raises(LangError) as caught:
        parse(text)

    assert str(caught.value) == error
    assert caught.value.column == error.rsplit("\n", 1)[1].index("^") - 3


KEYS = st.text(alphabet="ab .\\[]'\"0{}é", max_size=4)
VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.lists(KEYS, min_size=1, max_size=3))
def test_any_key_can_be_written_in_brackets(event, keys):
    escaped = [key.replace("\\", "\\\\").replace("'", "\\'") for key in keys]
    path = parse("".join(f"['{key}']" for key in escaped))
    node = event
    for key in keys:
        if isinstance(node, list) and key == "0" and node:
            node = node[0]
        else:
            node = node.get(key, UNSET) if isinstance(node, dict) else UNSET

    assert path.get(event) == node
    assert getter(path)(event) == node


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.text(alphabet="ab.0[]'\\ ", max_size=8))
def test_the_compiled_getter_agrees_with_the_walk(event, text):
    try:
        path = parse(text)
    except LangError:
        return

    assert getter(path)(event) == path.get(event)
