from __future__ import annotations

from typing import Any

import pytest

from engine.config.yaml_text import YamlFault, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes\nb: no\non: off", {"a": "yes", "b": "no", "on": "off"}),
        ("a: true\nb: False\nc: 'true'", {"a": True, "b": False, "c": "true"}),
        ("a: 012\nb: 0o12\nc: 0x1f\nd: -3\ne: 1e3\nf: .5", {"a": 12, "b": 10, "c": 31, "d": -3, "e": 1000.0, "f": 0.5}),
        ("a: 2026-01-02\nb: 12:30:45", {"a": "2026-01-02", "b": "12:30:45"}),
        ("a: ~\nb:\nc: null\nd: ''", {"a": None, "b": None, "c": None, "d": ""}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("", None),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert read_yaml(text)[0] == value


def test_every_key_and_element_has_its_line() -> None:
    _, places = read_yaml("type: track\nschema:\n  required:\n  - a\n  - b\n  'x.y': {z: 1}\n")

    assert places == {
        "type": 1,
        "schema": 2,
        "schema.required": 3,
        "schema.required[0]": 4,
        "schema.required[1]": 5,
        "schema['x.y']": 6,
        "schema['x.y'].z": 6,
    }


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a: 1\nb: [", 2, "not valid YAML: expected the node content, but found '<stream end>'"),
        ("a: 1\n\ta: 2", 2, "not valid YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' stands here twice"),
        ("? [a]\n: 1", 1, "a key is text"),
        ("a: &x\n  b: *x", 1, "an alias stands inside what it stands for"),
        ("a: 1\n---\nb: 2", 2, "not valid YAML: but found another document"),
        ("a: \x01", 1, "not valid YAML: unacceptable character #x0001: special characters are not allowed"),
    ],
)
def test_what_json_could_not_say_is_told_with_its_line(text: str, line: int, what: str) -> None:
    with pytest.raises(YamlFault) as caught:
        read_yaml(text)

    assert (caught.value.line, caught.value.what) == (line, what)


def test_nine_lines_do_not_become_a_billion_values() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(YamlFault, match=r"^more than 100,000 values$"):
        read_yaml("\n".join(lines))
