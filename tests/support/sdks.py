"""The SDKs of others, installed from their locks into a folder that is kept until a lock changes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.house import ROOT

HERE = ROOT / "tests/sdk"
CONSOLE = ROOT / "tests/console"
KEPT = ROOT / ".ci/sdk"
NODE = 20
"""The oldest major version of Node that the SDKs run on."""
PATIENCE = 300.0
"""Seconds an installation may take."""


def python() -> Path:
    """Return an interpreter that has the SDKs for Python."""
    return _kept("python", [HERE / "requirements.lock"], _make_venv) / "bin/python"


def modules() -> Path:
    """Return a folder with the SDKs for Node and browsers in its node_modules; skip without Node."""
    _need_node()
    return _kept("node", [HERE / "package.json", HERE / "package-lock.json"], _install)


def _need_node() -> None:
    if shutil.which("npm") is None or (found := _node()) < NODE:
        told = f"Node {NODE} or newer is needed, with npm; " + (
            f"here is {found}" if shutil.which("npm") else "none here"
        )
        pytest.skip(told)


def axe() -> str:
    """Return axe-core, as a script for a page; skip without Node."""
    _need_node()
    locks = [CONSOLE / "package.json", CONSOLE / "package-lock.json"]
    folder = _kept("console", locks, partial(_install, here=CONSOLE))
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


def _node() -> int:
    if shutil.which("node") is None:
        return 0
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.removeprefix("v").partition(".")[0])


def _kept(name: str, locks: list[Path], make: Callable[[Path], None]) -> Path:
    """Return the folder *name*, made anew if a lock has changed; what it was made of is written last."""
    folder, made_of = KEPT / name, KEPT / f"{name}.made-of"
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks) + sys.version.encode()).hexdigest()
    if not made_of.exists() or made_of.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        made_of.write_text(digest)
    return folder


def _make_venv(folder: Path) -> None:
    _run(sys.executable, "-m", "venv", folder, cwd=folder)
    pip = (folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check")
    _run(*pip, "--require-hashes", "-r", HERE / "requirements.lock", cwd=folder)


def _install(folder: Path, here: Path = HERE) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(here / name, folder)
    _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)


def _run(*command: str | Path, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
