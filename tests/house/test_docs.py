"""What the documents say exists, and what exists the documents say."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App
from msgspec import inspect as types

from engine.cli import House, make_app
from engine.config.describe import docs
from engine.config.schema import Config
from tests.support.house import ROOT, blocks, commands, page

PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("[!.]*/*.md")])

# Keys that a first page need not show; `headrace config schema` tells them all.
EXCUSED = {
    "Alerts.allow_private": "as a destination's",
    "Alerts.every": "the default suits everybody",
    "Alerts.secret": "as a webhook's",
    "Breaker.failures": "the breaker does its work unasked; these are for those who see it open too often",
    "Breaker.probe": "as failures",
    "Breaker.ratio": "as failures",
    "Case.source": "needed only where several sources exist",
    "Config.deliver_after_commit": "a trade few will make: durability first costs latency, and loses nothing more",
    "Config.reload": "the default suits everybody: a saved file takes effect",
    "Config.include": "for larger set-ups than one page",
    "Contract.path": "stands beside [contracts.shop], at the end of its line",
    "ContractEvent.version": "for contracts that change while old clients still send",
    "Destination.breaker": "as Breaker.failures",
    "EventType.properties_column": "a second way to pass an object whole; the example shows the first",
    "EventType.when_missing_object": "for destinations that know objects, of which the example has none",
    "Reload.watch": "as Config.reload",
    "Sync.was": "for the day a sync is renamed",
    "Limits.connections": "far away for nearly everybody",
    "Limits.frame": "far away for nearly everybody",
    "Limits.inflated": "far away for nearly everybody",
    "Receiver.drain": "the default suits whoever has no slow clients",
    "Retry.max_age": "the last limit, behind window and min_attempts",
    "Source.enabled": "is true where it is not written",
    "Store.reserve": "the default suits every disk that holds a log",
    "Sync.enabled": "is true where it is not written",
}


def test_the_readme_begins_with_a_demo_and_the_tests() -> None:
    first, second, *_ = commands(page("README.md"))
    assert "headrace demo" in first
    assert second == ".ci/run"


def test_the_tests_of_the_readme_are_the_ones_that_ci_runs() -> None:
    asked = {" ".join(shlex.split(line)) for line in commands(page("README.md")) if "pytest" in line}
    assert [line for line in asked if f"step tests {line}\n" not in page(".ci/run")] == []


@pytest.fixture(scope="module")
def app() -> App:
    return make_app(House(builtin={}, tree=lambda *_: None))


def subcommands(app: App) -> list[str]:
    return [name for name in app if not name.startswith("-")]


def all_commands(app: App) -> Iterator[str]:
    """Yield ``run``, ``errors list``, …"""
    for name in subcommands(app):
        below = subcommands(app[name])
        yield from (f"{name} {one}" for one in below) if below else (name,)


def mentioned(text: str) -> set[tuple[str, str]]:
    """Return the one or two words after each `headrace` in code."""
    code = blocks(text, "console", "bash", "text") + re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    return {match for one in code for match in re.findall(r"\bheadrace ([a-z]+)(?: ([a-z]+))?", one)}


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_a_command_in_the_documents_exists(name: Path, app: App) -> None:
    known = set(all_commands(app))
    unknown = [f"headrace {one} {two}" for one, two in mentioned(page(name)) if not {one, f"{one} {two}"} & known]
    assert unknown == []


def test_every_command_stands_in_the_readme(app: App) -> None:
    assert [name for name in all_commands(app) if f"headrace {name}" not in page("README.md")] == []


def test_every_command_says_what_it_does_and_shows_an_example(app: App) -> None:
    silent = []
    for name in all_commands(app):
        command = app
        for word in name.split():
            command = command[word]
        if f"Example: headrace {name}" not in " ".join((command.help or "").split()):
            silent.append(name)
    assert silent == []


def tables(info: types.Type) -> Iterator[types.StructType]:
    """Yield the tables that a type is made of."""
    match info:
        case types.StructType():
            yield info
        case types.DictType(value_type=inner) | types.VarTupleType(item_type=inner):
            yield from tables(inner)
        case types.UnionType(types=several):
            for one in several:
                yield from tables(one)


def keys(info: types.Type) -> Iterator[tuple[type[Any], str]]:
    """Yield every key that config.toml may have, with its table."""
    for table in tables(info):
        for field in table.fields:
            yield table.cls, field.encode_name
            yield from keys(field.type)


def written(info: types.Type, value: object) -> Iterator[tuple[type[Any], str]]:
    """Yield the keys that *value* has."""
    match info, value:
        case types.StructType(cls=cls, fields=fields), dict():
            for field in fields:
                if field.encode_name in value:
                    yield cls, field.encode_name
                    yield from written(field.type, value[field.encode_name])
        case types.DictType(value_type=inner), dict():
            for one in value.values():
                yield from written(inner, one)
        case types.VarTupleType(item_type=inner), list():
            for one in value:
                yield from written(inner, one)
        case types.UnionType(types=several), _:
            for one in several:
                yield from written(one, value)


def uncommented(text: str) -> dict[str, Any]:
    """Read a configuration with what it shows in comments."""
    return tomllib.loads(re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE))


def test_every_key_has_a_docstring() -> None:
    silent = {f"{cls.__name__}.{key}" for cls, key in keys(types.type_info(Config)) if not docs(cls).get(key)}
    assert silent == set()


def test_every_key_is_shown_or_told() -> None:
    config = types.type_info(Config)
    shown = set(written(config, uncommented(page("config.toml"))))
    told = set(re.findall(r"`(?:\w+\.)*(\w+)(?: = [^`]*)?`", page("README.md")))
    for block in blocks(page("README.md"), "toml"):
        shown |= set(written(config, uncommented(block)))
    missing = {f"{cls.__name__}.{key}" for cls, key in set(keys(config)) - shown if key not in told}
    assert missing - EXCUSED.keys() == set()


def test_only_keys_that_exist_are_excused() -> None:
    assert EXCUSED.keys() - {f"{cls.__name__}.{key}" for cls, key in keys(types.type_info(Config))} == set()


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    heads = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", PAGES, ids=str)
def test_links_lead_somewhere(name: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page(name)):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (ROOT / name).parent / place if place else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            dead.append(link)
    assert dead == []


ELSEWHERE = re.compile(r"\.\./shared\b|(?<![\w.~])/(?:work|root|home|Users|opt)/\w")
HOST = re.compile(r"\b(?:https?|wss?)://(?:[^/\s@]*@)?([A-Za-z0-9.-]+)")
FICTION = re.compile(r"[^.]+|[\d.]+|(?:.*\.)?example(?:\.com|\.org|\.net)?|.*\.(?:test|invalid|localhost)")
# Who defines what we follow. A package index is not named anywhere: readers have their own.
DEFINE = {
    "github.com",
    "json-schema.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    "www.sqlite.org",
    "www.standardwebhooks.com",
    "www.w3.org",  # the namespace of SVG, which a file of it must name
}


def kept() -> Iterator[tuple[str, int, str]]:
    """Yield every line of every file under version control, with its place."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout: what else lies here is not ours")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            for number, line in enumerate((ROOT / name).read_text(errors="replace").splitlines(), 1):
                yield name, number, line


def test_no_file_tells_on_which_machine_it_was_made() -> None:
    assert [f"{name}:{number}" for name, number, line in kept() if ELSEWHERE.search(line)] == []


def test_addresses_are_fictitious_or_define_something() -> None:
    strange = [
        f"{name}:{number} {host}"
        for name, number, line in kept()
        for host in HOST.findall(line)
        if not FICTION.fullmatch(host.lower().rstrip(".")) and host.lower() not in DEFINE
    ]
    assert strange == []


def test_the_changelog_has_what_comes_next_on_top() -> None:
    heads = re.findall(r"^## (.+)$", page("CHANGELOG.md"), re.MULTILINE)
    assert heads[0] == "[Unreleased]"
