from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config.load import load

SOURCE = '[sources.{name}]\nwrite_keys = ["{name}"]\n'


def source(name: str) -> str:
    return SOURCE.format(name=name)


def test_included_files_add_their_tables(folder: Path, told: Callable[..., str]) -> None:
    shop = source("shop")
    files = {
        "syncs/b.toml": source("b") + '[[cases]]\nname = "b"\nevent = {}\nsource = "b"\nfrom = 1\n',
        "syncs/a.toml": 'include = ["deep/c.toml"]\n' + source("a"),
        "syncs/deep/c.toml": source("c"),
    }
    config = 'include = ["syncs/*.toml"]\n' + shop + '[[cases]]\nname = "x"\nevent = {}\nsource = "shop"\n'

    assert told(config, {}, **files) == (
        "config.toml: 1 problem\n  syncs/b.toml:7: cases[1].from: unknown key\n"
        "      one of: before, event, expect, fate, name, source, times"
    )
    (folder / "syncs/b.toml").write_text(source("b"))
    loaded = load("config.toml", env={})
    assert list(loaded.config.sources) == ["b", "c", "a", "shop"]
    assert loaded.lines.where("sources.c.write_keys[0]") == ("syncs/deep/c.toml", 2)
    assert loaded.text == "\n".join([config, files["syncs/a.toml"], source("c"), source("b")])


@pytest.mark.parametrize(
    ("include", "error"),
    [
        ('["gone.toml"]', ("config.toml:1: include[0]: there is no file gone.toml\n"
         "      check the name; it is relative to the file that includes it")),
        ('"a.toml"', 'config.toml:1: include: expected an array of text\n      write include = ["syncs/*.toml"]'),
        ('["/etc/*.toml"]', ("config.toml:1: include[0]: expected a relative pattern\n"
         '      write it relative to this file, as in "syncs/*.toml"')),
        ('[\n"config.toml"]', ("config.toml:2: include[0]: config.toml includes itself: config.toml → config.toml\n"
         "      take one of them out")),
        ('["a.toml"]', ("b.toml:1: include[0]: a.toml includes itself: a.toml → b.toml → a.toml\n"
         "      take one of them out")),
    ],
)  # fmt: skip
def test_an_include_that_cannot_be_is_told(told: Callable[..., str], include: str, error: str) -> None:
    files = {"a.toml": 'include = ["b.toml"]', "b.toml": 'include = ["./x/../a.toml"]'}

    assert told(f"include = {include}", {}, **files) == f"config.toml: 1 problem\n  {error}"


def test_one_table_in_two_files_is_told_with_both_places(told: Callable[..., str]) -> None:
    config = 'include = ["a.toml"]\n' + source("shop") + "[store]\n"
    other = '[store]\nkind = "memory"\n' + source("shop")

    assert told(config, {}, **{"a.toml": other}) == (
        "config.toml: 2 problems\n"
        "  a.toml:1: store: stands in two files: here and at config.toml:4\n      keep one of them\n"
        "  a.toml:3: sources.shop: stands in two files: here and at config.toml:2\n      keep one of them"
    )


def test_what_a_broken_file_might_hold_is_not_called_missing(told: Callable[..., str]) -> None:
    config = 'include = ["a.toml"]\n[syncs.s]\nsource = "a"\ndestination = "b"\nevent_types = [{}]\n'

    assert told(config, {}, **{"a.toml": "[sources"}) == (
        "config.toml: 1 problem\n"
        "  a.toml:1: not valid TOML at the end of the file: expected ']' at the end of a table declaration\n"
        "      check quotes, brackets and commas on this line and the one before"
    )


def test_a_pattern_that_matches_nothing_is_only_a_warning(folder: Path) -> None:
    (folder / "config.toml").write_text('include = ["syncs/*.toml"]\n')

    assert [(str(problem), problem.severity) for problem in load("config.toml", env={}).problems] == [
        ("config.toml:1: include[0]: no file matches\n    check the name, or take it out", "warning")
    ]
