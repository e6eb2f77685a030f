"""What a user gets: the wheel, in an environment that has nothing else, run from a folder that has nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.house import ROOT, commands, page

PATIENCE = 180.0
"""Seconds one command may take; the slowest fetches and unpacks what Headrace stands on."""
SHOWN = {".css", ".html", ".js", ".svg"}
"""What the console's pages are made of."""
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "COV"))}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, in an environment that does not know this one; return what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=CLEAN,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def stood_on(lines: Iterable[str], found: set[str]) -> set[str]:
    """Collect the distributions that are asked for, and what these ask for to run."""
    for line in lines:
        needed = Requirement(line)
        key = canonicalize_name(needed.name)
        if key not in found and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            found.add(key)
            stood_on(metadata.requires(key) or [], found)
    return found


def runtime_lock() -> str:
    """Return the part of the lock that a user needs, who runs no tests."""
    needed = stood_on(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"], set())
    entries = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    return "\n".join(entry for entry in entries if canonicalize_name(entry.partition("==")[0]) in needed)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def headrace(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console script, in an environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "lock").write_text(runtime_lock())
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    pip = (folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--require-hashes", "-r", folder / "lock", cwd=folder)
    run(*pip, wheel, cwd=folder)
    return folder / "venv/bin/headrace"


def test_the_wheel_has_the_three_rooms_the_demo_and_the_licence(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"engine", "actors", "plugins"}
    assert {f"{room}/py.typed" for room in ("engine", "actors", "plugins")} <= names
    assert {"engine/demo/config.toml", "engine/demo/session.ndjson"} <= names
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "actors/console").rglob("*.*") if path.suffix in SHOWN}
    assert pages
    assert pages <= names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_installed_command_answers_from_an_empty_folder(headrace: Path, tmp_path: Path) -> None:
    assert "demo" in run(headrace, "--help", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_installed_command_checks_a_configuration(headrace: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text((ROOT / "config.toml").read_text())
    run(headrace, "check", cwd=tmp_path)
    run(headrace, "test", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_the_installed_demo_ends_with_balanced_books(headrace: Path, tmp_path: Path) -> None:
    assert "balance" in run(headrace, "demo", cwd=tmp_path)


def test_the_first_command_of_the_readme_works_in_a_fresh_clone(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    for name in filter(None, listed.stdout.split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    assert "balance" in run("bash", "-euo", "pipefail", "-c", commands(page("README.md"))[0], cwd=tmp_path)


def test_what_is_installed_is_complete(headrace: Path, tmp_path: Path) -> None:
    run(headrace.with_name("python"), "-m", "pip", "check", cwd=tmp_path)
