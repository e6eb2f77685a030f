"""What is compiled and what it is compiled from agree: in value, in type, in the order of keys, in the error's text."""

from __future__ import annotations

import re
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
COMMON = [None, True, False, 0, 1, 1.0, -5, 1.5, "", "a", "b", "12.50", "B", [], {}, ["a"], [1, True]]
LIKELY = st.sampled_from(COMMON)
LEAVES = (
    LIKELY
    | st.integers()
    | st.just(10**320)
    | st.floats(allow_nan=False)
    | st.text("aB1. {", max_size=4)
    | st.sampled_from([" 7 ", "1e400", "true", "2026-11-23T02:46:10Z", '{"a": [1]}', "ß", "İ"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
NESTED = LIKELY | st.fixed_dictionaries({"a": LIKELY | JSON, "b": LIKELY}) | JSON
EVENTS = st.fixed_dictionaries({}, optional={"a": NESTED, "b": NESTED, "0": JSON, "a.b": JSON, "size": JSON})

PAIRS = list(zip(COMMON, [*COMMON[5:], *COMMON[:5]], strict=True))
ALWAYS: list[dict[str, Any]] = [
    event for one, other in PAIRS for event in ({"a": one, "b": other}, {"a": {"a": one, "b": other}, "b": {"a": one}})
]
"""Events that everything is held against, beside what is generated."""

PATHS = st.sampled_from(["a", "b", "a.b", "b.a"]) | st.sampled_from(
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


LITERALS = ['"a"', '""', '"12.50"', "0", "1", "-5", "1.5", "1e999", "true", "false", "null"]
CONSTANTS = st.sampled_from(LITERALS)
VALUES = st.recursive(
    PATHS | CONSTANTS,
    lambda inner: st.builds("{}({})".format, st.sampled_from(["length", "lowercase", "typeof"]), inner),
    max_leaves=2,
)
SIGNS = ["=", "!=", "<", "<=", ">", ">="]
CLAUSES = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["a", "b", "a.b"]), st.sampled_from(SIGNS), CONSTANTS),
    st.builds("{} {} {}".format, PATHS, st.sampled_from(SIGNS), PATHS | CONSTANTS),
    st.builds("{} {} {}".format, VALUES, st.sampled_from(SIGNS), VALUES),
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


SMALL = [
    *[f"{left} {sign} {right}" for sign in SIGNS for right in LITERALS for left in ("a", "a.b")],
    *[f"{left} {sign} a" for sign in SIGNS for left in LITERALS],
    *[f"{name}(a, {part})" for name in ("contains", "starts_with", "ends_with") for part in [*LITERALS, "b", "'B'"]],
    *[f"match(a, '{glob}')" for glob in ("*", "a*", "*5*", "?", "[!a]*", "")],
    *["a in (1, 'a')", "a in ('a', 'B')", "a not in ('a', '')", "a in (true, null)", "exists(a.b)", "a = b", "a < b"],
]


@pytest.mark.parametrize("text", SMALL)
def test_every_clause_agrees_on_every_type(text):
    try:
        found = compile_filter(text)
    except LangError:
        assert re.search("true|false|null", text)
        return

    for event in ALWAYS:
        assert found.test(event) is found.interpret(event), event


@settings(max_examples=CASES)
@given(FILTERS, st.lists(EVENTS, min_size=1, max_size=4))
def test_a_compiled_filter_agrees_with_its_clauses(text, events):
    try:
        found = compile_filter(text)
    except LangError:
        return  # null < 3

    for event in [*ALWAYS, *events]:
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
STEPS = [
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
CHAINS = st.lists(st.sampled_from(STEPS), max_size=3)
OUTPUTS = st.builds(lambda left, chain: "{{ " + " | ".join([left, *chain]) + " }}", LEFTS, CHAINS)
TEMPLATES = st.builds(
    lambda between, outputs: between.join(outputs),
    st.sampled_from(["", " and ", "'\\n\""]),
    st.lists(OUTPUTS, min_size=1, max_size=2),
)


@pytest.mark.parametrize("chain", STEPS)
def test_every_filter_agrees_on_every_type(chain):
    for text in (f"{{{{ row.a | {chain} }}}}", f"{{{{ row.a.b | {chain} }}}}!"):
        template = compile_template(text)
        for event in ALWAYS:
            variables = {"row": event, "context": {}}

            assert outcome(template.render, variables) == outcome(template.interpret, variables)


@settings(max_examples=CASES)
@given(TEMPLATES, st.lists(EVENTS, min_size=1, max_size=3))
def test_a_compiled_template_agrees_with_the_interpreter(text, events):
    template = compile_template(text)
    for event in [*ALWAYS[::3], *events]:
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
    for event in [*ALWAYS[::3], *events]:
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
