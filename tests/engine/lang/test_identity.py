"""What is compiled and what it is compiled from agree: in value, in type, in the order of keys, in the error's text."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import LangError, MappingFailed
from engine.lang.filters import compile_filter
from engine.lang.mapping import compile_mapping
from engine.lang.path import getter, parse
from engine.lang.template import compile_template

CASES = 1300
"""For each of the four: 5,200 together."""

KEYS = st.sampled_from(["a", "b", "0", "a.b", "size", "empty"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers()
    | st.just(10**320)
    | st.floats(allow_nan=False)
    | st.text("aB1. {", max_size=4)
    | st.sampled_from(["12.50", " 7 ", "1e400", "true", "2026-11-23T02:46:10Z", '{"a": [1]}', "ß", "İ"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
EVENTS = st.dictionaries(KEYS, JSON, max_size=3)

PATHS = st.sampled_from(
    ["a", "b", "a.b", "b.a.b", "a[0]", "a.0", "0.a", r"a\.b", "['a.b'].a", "b[1].a", "a.b.0.a", "['a[0]']", "size.a"]
)


def outcome(compute: Any, *arguments: Any) -> tuple[str, str]:
    try:
        value = compute(*arguments)
    except MappingFailed as error:
        return "failed", str(error)
    return type(value).__name__, repr(value)


@settings(max_examples=CASES)
@given(PATHS, EVENTS)
def test_a_compiled_reference_agrees_with_its_path(text, event):
    path = parse(text)

    assert outcome(getter(path), event) == outcome(path.get, event)


CONSTANTS = st.sampled_from(['"a"', '""', '"12.50"', "0", "1", "-5", "1.5", "1e999", "true", "false", "null"])
VALUES = st.recursive(
    PATHS | CONSTANTS,
    lambda inner: st.builds("{}({})".format, st.sampled_from(["length", "lowercase", "typeof"]), inner),
    max_leaves=2,
)
SIGNS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
CLAUSES = st.one_of(
    st.builds("{} {} {}".format, VALUES, SIGNS, VALUES),
    st.builds("{} {}in ({}, {})".format, VALUES, st.sampled_from(["", "not "]), VALUES, VALUES),
    st.builds("{} in ('a', \"12.50\")".format, VALUES),
    st.builds("exists({})".format, PATHS),
    st.builds(
        "{}({}, {})".format, st.sampled_from(["contains", "starts_with", "ends_with"]), VALUES, VALUES | st.just("'B'")
    ),
    st.builds("match({}, {!r})".format, VALUES, st.sampled_from(["*", "a*", "*1", "?", "[!a]*"])),
)
FILTERS = st.recursive(
    CLAUSES,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("{} {} {}".format, inner, st.sampled_from(["and", "or"]), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=5,
)


@settings(max_examples=CASES)
@given(FILTERS, st.lists(EVENTS, min_size=1, max_size=4))
def test_a_compiled_filter_agrees_with_its_clauses(text, events):
    try:
        found = compile_filter(text)
    except LangError:
        return  # null < 3

    for event in events:
        assert outcome(found.test, event) == outcome(found.interpret, event)


LEFTS = st.sampled_from(
    [
        "row.a",
        "row.a.b",
        "row['b']",
        "row.b.size",
        "row.a.first",
        "row.a.empty",
        "row['0'].a",
        "context.sync",
        "'lit'",
        "3",
    ]
)
CHAINS = st.lists(
    st.sampled_from(
        [
            "cast: 'number'",
            "cast: 'integer'",
            "cast: 'string'",
            "cast: 'boolean'",
            "cast: 'date'",
            "cast: 'object'",
            "cast: 'array'",
            "cast: row.b",
            "default: 'd'",
            "default: row.b",
            "default: 'd', allow_false: true",
            "upcase",
            "downcase",
            "strip",
            "lstrip",
            "rstrip",
            "capitalize",
            "append: row.b",
            "prepend: '-'",
            "replace: 'a', 'bb'",
            "split: 'a'",
            "join: '-'",
            "times: 2",
            "divided_by: 2",
            "plus: row.a",
            "round",
            "abs",
            "size",
            "first",
            "last",
            "json",
            "parse_json",
            "sha256",
            "md5",
            "base64",
            "hmac_sha256: 'k'",
            "hmac_sha256: row.b",
            "regex_replace: '[a-z]', '$0$0'",
            "regex_test: row.b",
            "escape",
            "map: 'a'",
            "sort",
            "uniq",
            "compact",
            "date: '%Y'",
            "to_unix",
            "to_unix_ms",
            "to_iso",
            "truncate: 3",
            "slice: 1, 2",
        ]
    ),
    max_size=3,
)
OUTPUTS = st.builds(lambda left, chain: "{{ " + " | ".join([left, *chain]) + " }}", LEFTS, CHAINS)
TEMPLATES = st.builds(
    lambda between, outputs: between.join(outputs),
    st.sampled_from(["", " and ", "'\\n\""]),
    st.lists(OUTPUTS, min_size=1, max_size=2),
)


@settings(max_examples=CASES)
@given(TEMPLATES, st.lists(EVENTS, min_size=1, max_size=3))
def test_a_compiled_template_agrees_with_the_interpreter(text, events):
    template = compile_template(text)
    for event in events:
        variables = {"row": event, "context": {"sync": "orders"}}

        assert outcome(template.render, variables) == outcome(template.interpret, variables)


TEXTS = (
    PATHS | st.sampled_from(["{{ row.a }}", "{{ row.a.b | cast: 'number' }}", "x{{ row.b.a | upcase }}"]) | TEMPLATES
)
ITEMS = st.sampled_from(
    [
        "{{ item.a.b }}{{ item.a.a | upcase }}",
        "{{ item.a }}{{ context.sync.a }}{{ context.sync.b }}",
        "{{ item.a }}",
        "{{ item.b.a | upcase }}",
        "{{ item }}-{{ row.a }}",
    ]
)
CONSTANT_FORMS = st.builds(lambda value: {"value": value}, JSON.filter(lambda value: "inf" not in repr(value)))
FORMS = st.recursive(
    TEXTS | st.integers() | CONSTANT_FORMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["p", "q", "r"]), inner, max_size=3),
        st.builds(lambda source, shape: {"each": source, "as": shape}, TEXTS, inner | ITEMS),
        st.builds(lambda parts: {"merge": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(
            lambda source, policy: {"from": source, "when_missing": policy}, TEXTS, st.sampled_from(["null", "fail"])
        ),
        st.builds(lambda source, default: {"from": source, "default": default}, TEXTS, inner.map(repr)),
        st.builds(lambda word, inner: {word: inner}, st.sampled_from(["to_json", "parse_json", "flatten"]), inner),
        st.builds(lambda inner, omit: {"flatten": inner, "separator": "_", "omit_arrays": omit}, inner, st.booleans()),
    ),
    max_leaves=8,
)


@settings(max_examples=CASES)
@given(
    st.dictionaries(st.sampled_from(["x", "y'\"", "z"]), FORMS, max_size=3),
    st.lists(EVENTS, min_size=1, max_size=3),
    st.none() | st.just({"sync": "orders"}),
)
def test_a_compiled_mapping_agrees_with_its_forms(tree, events, context):
    mapping = compile_mapping(tree, variables={})
    for event in events:
        before = msgspec.json.encode(event)

        assert outcome(mapping.apply, event, context) == outcome(mapping.interpret, event, context)
        assert msgspec.json.encode(event) == before


@pytest.mark.parametrize(
    ("tree", "event"),
    [
        ({"p": {"q": "{{ row.a | cast: 'number' }}"}}, {"a": "x"}),
        ({"p": {"q": {"each": "a", "as": {"r": "{{ item | cast: 'number' }}"}}}}, {"a": ["1", "x"]}),
        ({"p": [{"q": {"from": "b", "when_missing": "fail"}}]}, {}),
        ({"p": {"flatten": "a"}}, {"a": [1]}),
        ({"p": {"parse_json": "a"}}, {"a": "{"}),
    ],
)
def test_a_failure_names_the_same_field(tree, event):
    mapping = compile_mapping(tree, variables={})
    kind, text = outcome(mapping.apply, event)

    assert kind == "failed"
    assert (kind, text) == outcome(mapping.interpret, event)
    assert text.startswith("p")
