"""The lock installs what pyproject.toml asks for, checked byte by byte, from wherever the reader gets packages."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.house import ROOT, SHIPPED, files, nodes

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = "".join(line for line in (ROOT / "requirements.lock").read_text().splitlines(True) if not line.startswith("#"))
PINS = [entry for entry in LOCK.replace("\\\n", " ").splitlines() if entry.strip()]
ASKED = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra),
]


def pinned(entry: str) -> Requirement:
    """Return an entry of the lock without its hashes."""
    return Requirement(entry.partition(" --hash")[0].strip())


VERSIONS = {canonicalize_name(pinned(entry).name): str(pinned(entry).specifier).removeprefix("==") for entry in PINS}


def test_every_package_has_one_version_and_its_hashes() -> None:
    loose = [
        entry
        for entry in PINS
        if not re.fullmatch(r"==[^*,]+", str(pinned(entry).specifier))
        or not re.search(r"--hash=sha256:\w{64}\b", entry)
    ]
    assert loose == []


def test_the_lock_names_no_address() -> None:
    assert [line for line in LOCK.splitlines() if "://" in line or " @ " in line] == []
    assert [line for line in LOCK.splitlines() if line.startswith("-")] == []


def test_the_lock_says_how_it_is_renewed() -> None:
    _, command, *_ = (ROOT / "requirements.lock").read_text().splitlines()
    assert command.endswith("-o requirements.lock")


@pytest.mark.parametrize("asked", ASKED)
def test_the_lock_has_what_is_asked_for(asked: str) -> None:
    requirement = Requirement(asked)
    assert requirement.specifier.contains(VERSIONS[canonicalize_name(requirement.name)])


def test_what_we_import_is_asked_for() -> None:
    owners = metadata.packages_distributions()
    asked = {canonicalize_name(Requirement(one).name) for one in PROJECT["project"]["dependencies"]}
    extras = {name: ones for name, ones in PROJECT["project"]["optional-dependencies"].items() if name != "dev"}
    asked |= {canonicalize_name(Requirement(one).name) for ones in extras.values() for one in ones}
    borrowed = set()
    for path in files(*SHIPPED):
        for node in nodes(path):
            match node:
                case ast.Import(names=names):
                    tops = {name.name.partition(".")[0] for name in names}
                case ast.ImportFrom(module=str(name)):
                    tops = {name.partition(".")[0]}
                case _:
                    continue
            for top in tops - sys.stdlib_module_names - set(SHIPPED):
                if not {canonicalize_name(owner) for owner in owners.get(top, [])} & asked:
                    borrowed.add(f"{path}: {top}")
    assert borrowed == set()
