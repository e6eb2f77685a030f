from __future__ import annotations

import datetime as dt
import json
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.lines import Lines, join, locate_json, locate_toml, parent

DOCUMENT = '''\
# [not.a.table]
title = "a # in text"

[sources.shop]
write_keys = [
    "one",  # ]
    "two",
]
a.b . "c d" = 1

[[syncs.orders.event_types]]
text = """
[not.a.table]
x = 1 \\""" """""
at = 1979-05-27 07:32:00
after = {x = [1, {y = 2}], 'z.z' = """
""", last = 1}

[syncs.orders.event_types.mapping]
total = \'\'\'{{ "total" }}
\'\'\'
[[syncs.orders.event_types]]
[[syncs.orders.event_types.deep]]
[[syncs.orders.event_types.deep]]
"" = 1
'''


def test_every_key_of_a_document_is_found_on_its_line() -> None:
    assert locate_toml(DOCUMENT) == {
        "title": 2,
        "sources": 4,
        "sources.shop": 4,
        "sources.shop.write_keys": 5,
        "sources.shop.write_keys[0]": 6,
        "sources.shop.write_keys[1]": 7,
        "sources.shop.a": 9,
        "sources.shop.a.b": 9,
        "sources.shop.a.b['c d']": 9,
        "syncs": 11,
        "syncs.orders": 11,
        "syncs.orders.event_types": 11,
        "syncs.orders.event_types[0]": 11,
        "syncs.orders.event_types[0].text": 12,
        "syncs.orders.event_types[0].at": 15,
        "syncs.orders.event_types[0].after": 16,
        "syncs.orders.event_types[0].after.x": 16,
        "syncs.orders.event_types[0].after.x[0]": 16,
        "syncs.orders.event_types[0].after.x[1]": 16,
        "syncs.orders.event_types[0].after.x[1].y": 16,
        "syncs.orders.event_types[0].after['z.z']": 16,
        "syncs.orders.event_types[0].after.last": 17,
        "syncs.orders.event_types[0].mapping": 19,
        "syncs.orders.event_types[0].mapping.total": 20,
        "syncs.orders.event_types[1]": 22,
        "syncs.orders.event_types[1].deep": 23,
        "syncs.orders.event_types[1].deep[0]": 23,
        "syncs.orders.event_types[1].deep[1]": 24,
        "syncs.orders.event_types[1].deep[1]['']": 25,
    }


KEYS = st.sampled_from(
    ["a", "b-1", "_c", "9", "x.y", "it's", 'qu"ote', "", "ü", "tab\t", "back\\slash", "a b", "]", "#"]
)
TEXTS = st.sampled_from(
    ["", "plain", "# no comment", "[a]", "{x = 1}", "a\nb = 1\n", "'''", '"""', "a\\", 'say "x"', "\n"]
)
DATE = dt.datetime(1979, 5, 27, 7, 32, tzinfo=dt.UTC)
SCALARS = st.one_of(st.integers(-5, 99), st.booleans(), TEXTS, st.just(DATE), st.just(DATE.date()), st.just(1.5))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TABLES = st.recursive(
    st.dictionaries(KEYS, VALUES, max_size=3),
    lambda inner: st.dictionaries(KEYS, VALUES | inner | st.lists(inner, min_size=1, max_size=3), max_size=4),
    max_leaves=6,
)


class Writer:
    """Writes TOML in ways that only a person or a devil would choose, and notes the line of each path."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.places: dict[str, int] = {}

    def line(self) -> int:
        return self.text.count("\n") + 1

    def choose(self, *choices: str) -> str:
        return str(self.draw(st.sampled_from(choices)))

    def space(self) -> None:
        self.text += self.choose("", "", "\n", "  \n\t", "# [x] = '\n", "\r\n")

    def key(self, key: str) -> str:
        bare = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
        if bare and self.draw(st.booleans()):
            return key
        if "'" not in key and "\t" not in key and self.draw(st.booleans()):
            return f"'{key}'"
        return json.dumps(key, ensure_ascii=self.draw(st.booleans()))

    def string(self, text: str) -> str:
        styles = [json.dumps(text)]
        if "'" not in text:
            styles.append(f"'''\n{text}'''")
            styles += [f"'{text}'"] if "\n" not in text else []
        styles.append('"""' + text.replace("\\", "\\\\").replace('"""', '\\"""') + '"""')
        return self.choose(*styles) if '"""' not in text and not text.startswith("\n") else styles[0]

    def value(self, where: str, value: Any) -> None:
        match value:
            case bool():
                self.text += str(value).lower()
            case str():
                self.text += self.string(value)
            case dt.datetime():
                self.text += self.choose("1979-05-27T07:32:00Z", "1979-05-27 07:32:00Z", "1979-05-27 07:32:00+00:00")
            case list():
                self.array(where, value)
            case dict():
                self.inline(where, value)
            case _:
                self.text += str(value)

    def array(self, where: str, value: list[Any]) -> None:
        self.text += "["
        for index, inner in enumerate(value):
            self.space()
            self.places[join(where, index)] = self.line()
            self.value(join(where, index), inner)
            self.space()
            self.text += ","
        self.space()
        self.text += "]"

    def inline(self, where: str, value: dict[str, Any]) -> None:
        self.text += "{"
        for index, (key, inner) in enumerate(value.items()):
            self.text += ", " if index else " "
            self.pair(where, key, inner)
        self.text += " }"

    def pair(self, where: str, key: str, value: Any) -> None:
        place = join(where, key)
        self.places[place] = self.line()
        self.text += self.key(key) + self.choose("=", " = ", "\t=  ")
        self.value(place, value)

    def table(self, where: str, names: list[str], tree: dict[str, Any]) -> None:
        below = {key: self.headed(inner) for key, inner in tree.items()}
        for key, inner in tree.items():
            if not below[key]:
                self.space()
                self.pair(where, key, inner)
                self.text += self.choose("\n", "  # x\n", "\r\n")
        for key, inner in tree.items():
            if below[key]:
                for index, element in enumerate(inner if isinstance(inner, list) else [inner]):
                    self.section(join(where, key), [*names, key], element, index if isinstance(inner, list) else None)

    def headed(self, value: Any) -> bool:
        if isinstance(value, list):
            return bool(value) and all(isinstance(inner, dict) for inner in value) and bool(self.draw(st.booleans()))
        return isinstance(value, dict) and bool(self.draw(st.booleans()))

    def section(self, where: str, names: list[str], tree: dict[str, Any], index: int | None) -> None:
        self.space()
        self.places.setdefault(where, self.line())
        if index is not None:
            where = join(where, index)
            self.places[where] = self.line()
        header = self.choose(".", " . ").join(map(self.key, names))
        self.text += f"[[ {header}]]\n" if index is not None else f"[{header} ]  # ]\n"
        self.table(where, names, tree)


@settings(max_examples=200, deadline=None)
@given(tree=TABLES, data=st.data())
def test_every_path_of_a_generated_document_is_found_where_it_was_written(tree: dict[str, Any], data: Any) -> None:
    writer = Writer(data.draw)
    writer.table("", [], tree)

    assert tomllib.loads(writer.text) == tree
    assert locate_toml(writer.text) == writer.places


@settings(max_examples=200, deadline=None)
@given(tree=st.recursive(st.integers() | TEXTS, lambda x: st.lists(x) | st.dictionaries(KEYS | st.text(), x)))
def test_every_path_of_a_json_text_is_found(tree: Any) -> None:
    text = json.dumps(tree, indent=1)
    written = text.split("\n")

    def walk(where: str, value: Any) -> dict[str, Any]:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
        return {join(where, key): key for key, _ in pairs} | {
            place: key for inner, below in pairs for place, key in walk(join(where, inner), below).items()
        }

    expected = walk("", tree)
    found = locate_json(text)
    assert found.keys() == expected.keys()
    for place, line in found.items():
        if isinstance(expected[place], str):
            assert json.dumps(expected[place]) in written[line - 1]


@pytest.mark.parametrize(
    ("where", "up"),
    [
        ("a", ""),
        ("a.b", "a"),
        ("a[0]", "a"),
        ("a[0].b", "a[0]"),
        ("a['x.y']", "a"),
        (r"a['it\'s']['b']", r"a['it\'s']"),
        ("['x.y']", ""),
        ("", ""),
    ],
)
def test_a_path_knows_its_parent(where: str, up: str) -> None:
    assert parent(where) == up


@given(st.lists(KEYS | st.text() | st.integers(0, 20), min_size=1, max_size=5))
def test_the_parent_of_a_joined_path_is_what_it_was_joined_to(keys: list[str | int]) -> None:
    paths = [""]
    for key in keys:
        paths.append(join(paths[-1], key))

    assert [parent(path) for path in paths[1:]] == paths[:-1]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("syncs.orders", ("syncs.toml", 3)),
        ("syncs.orders.event_types[2].filter", ("syncs.toml", 3)),
        ("syncs", ("config.toml", 0)),
        ("", ("config.toml", 0)),
    ],
)
def test_a_path_without_a_place_has_its_nearest_parent_s(path: str, place: tuple[str, int]) -> None:
    assert Lines("config.toml", {"syncs.orders": ("syncs.toml", 3)}).where(path) == place
