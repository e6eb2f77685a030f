from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from engine.config.convert import convert_settings
from engine.config.lines import Lines
from engine.errors import PluginError
from engine.plugin import Duration, Secret, Settings, Size


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: str
    """Who."""
    password: Secret


class Even(msgspec.Struct, frozen=True, kw_only=True):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("expected an even number")


class AllSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: Annotated[str, msgspec.Meta(min_length=1)] = "x"
    flag: bool = False
    whole: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    number: float = 0.5
    choice: Literal["first", "all"] = "all"
    numbers: Literal[1, 2] = 1
    colour: Colour = Colour.RED
    age: Duration | None = None
    basic: Basic | None = None
    even: Even | None = None
    pair: tuple[int, str] = (1, "a")
    names: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=2)] = ("a",)
    several: list[Basic] = msgspec.field(default_factory=list)
    tags: frozenset[str] = frozenset()
    headers: dict[str, Secret] = msgspec.field(default_factory=dict)
    one_or_more: str | tuple[str, ...] = ""
    text_or_table: str | Basic = ""
    size: Size | None = None
    body: Any = None
    until: int | None = msgspec.field(default=None, name="till")


def converted(**table: Any) -> tuple[AllSettings | None, list[str]]:
    made, problems = convert_settings(AllSettings, table, "destinations.x", Lines("config.toml"))
    return made, [str(problem).removeprefix("config.toml: destinations.x") for problem in problems]


NOON = dt.datetime(2025, 1, 31, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("key", "written", "value"),
    [
        ("flag", True, True),
        ("whole", 9, 9),
        ("number", 3, 3.0),
        ("choice", "first", "first"),
        ("colour", "blue", Colour.BLUE),
        ("age", "5m", 300.0),
        ("basic", {"user": "u", "password": "p"}, Basic(user="u", password=Secret("***"))),
        ("pair", [2, "b"], (2, "b")),
        ("names", ["a", "b"], ("a", "b")),
        ("several", [], []),
        ("tags", ["a", "a"], frozenset({"a"})),
        ("headers", {"x-a": "b"}, {"x-a": "***"}),
        ("one_or_more", ["a"], ("a",)),
        ("one_or_more", "a", "a"),
        ("text_or_table", {"user": "u", "password": "p"}, Basic(user="u", password=Secret("***"))),
        ("size", "1 KiB", 1024),
        ("body", {"at": [NOON, NOON.date()], "n": None}, {"at": ["2025-01-31T12:00:00Z", "2025-01-31"], "n": None}),
        ("till", 3, 3),
    ],
)
def test_what_can_be_said_is_understood(key: str, written: Any, value: Any) -> None:
    made, problems = converted(**{key: written})

    assert problems == []
    assert getattr(made, {"till": "until"}.get(key, key)) == value


SIZE = 'expected a number and one of B KB MB GB KiB MiB GiB TiB, as in "32 KiB"'
BOTH = "missing key 'user'\n    add user = \"…\"  # Who."


@pytest.mark.parametrize(
    ("key", "written", "problem"),
    [
        ("text", 5, ".text: expected text, got the number 5"),
        ("text", "", ".text: expected some text, got none"),
        ("text", NOON, ".text: expected text, got a date and time"),
        ("flag", "true", '.flag: expected true or false, got text "true"\n    write it without quotes: true'),
        ("flag", {}, ".flag: expected true or false, got a table"),
        ("flag", 1, ".flag: expected true or false, got the number 1"),
        ("whole", 10, ".whole: expected a whole number of at least 1 and at most 9, got the number 10"),
        (
            "whole",
            1 << 70,
            ".whole: expected a whole number of at least 1 and at most 9, got a number of more than 64 bits",
        ),
        ("whole", True, ".whole: expected a whole number of at least 1 and at most 9, got true"),
        ("number", "1.5", '.number: expected a number, got text "1.5"\n    write it without quotes: 1.5'),
        ("number", "fast", '.number: expected a number, got text "fast"'),
        ("number", float("nan"), ".number: expected a number, got the number nan"),
        ("choice", "frist", '.choice: expected "all" or "first", got text "frist"\n    did you mean \'first\'?'),
        ("choice", ["all"], '.choice: expected "all" or "first", got an array'),
        ("numbers", 3, ".numbers: expected 1 or 2, got the number 3"),
        ("numbers", True, ".numbers: expected 1 or 2, got true"),
        ("colour", "rde", '.colour: expected "red" or "blue", got text "rde"\n    did you mean \'red\'?'),
        ("age", 5, '.age: expected a number and one of ms s m h d, as in "5s", got the number 5'),
        ("basic", "u:p", ".basic: expected a table, got text"),
        ("even", {"number": 3}, ".even: expected an even number"),
        ("pair", [1], ".pair: expected an array of 2, got an array"),
        ("pair", [1, 2], ".pair[1]: expected text, got the number 2"),
        ("names", [], ".names: expected at least 1 in this array, got 0"),
        ("names", ["a", "b", "c"], ".names: expected at most 2 in this array, got 3"),
        ("names", "a", '.names: expected an array, got text "a"\n    put it in brackets: ["…"]'),
        (
            "several",
            {},
            ".several: expected an array, got a table\n    write [[destinations.x.several]], with two brackets",
        ),
        ("several", [{"password": "p"}], f".several[0]: {BOTH}"),
        ("headers", {"x-a": 5}, ".headers.x-a: expected text, got a number"),
        ("headers", {"x a": {}}, ".headers['x a']: expected text, got a table"),
        ("one_or_more", 5, ".one_or_more: expected text or an array, got the number 5"),
        ("one_or_more", [5], ".one_or_more[0]: expected text, got the number 5"),
        ("size", "1", f'.size: {SIZE}, got text "1"'),
        ("text_or_table", 5, ".text_or_table: expected text or a table, got a number"),
        ("text_or_table", {"password": "p"}, f".text_or_table: {BOTH}"),
        ("headers", {"x": ""}, '.headers.x: an empty secret protects nothing\n    write "env:NAME" or "file:/path"'),
        ("body", {"a": [float("inf")]}, ".body.a[0]: JSON has no number inf\n    leave the key out, or write a number"),
        ("body", 1 << 63, ".body: expected a whole number of at most 64 bits\n    write it in quotes"),
        ("hole", 1, ".hole: unknown key\n    did you mean 'whole'?"),
    ],
)
def test_what_cannot_be_is_told_in_words(key: str, written: Any, problem: str) -> None:
    made, problems = converted(**{key: written})

    assert made is None
    assert problems == [problem]


def test_a_long_text_is_cut_in_an_error() -> None:
    assert converted(number="x" * 100)[1] == [f'.number: expected a number, got text "{"x" * 39}…"']


def test_a_misspelt_key_is_not_told_as_missing_too() -> None:
    assert converted(basic={"usr": "u", "password": "p"})[1] == [".basic.usr: unknown key\n    did you mean 'user'?"]


class Unsayable(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    raw: bytes = b""


def test_a_plugin_whose_settings_cannot_be_said_is_at_fault() -> None:
    with pytest.raises(PluginError) as caught:
        convert_settings(Unsayable, {"raw": "x"}, "destinations.x", Lines("config.toml"))

    assert str(caught.value) == "destinations.x.raw: a setting cannot be of type BytesType; use text and parse it"
