from __future__ import annotations

import tomllib
from pathlib import Path

import engine


def test_the_version_is_the_one_in_pyproject():
    pyproject = tomllib.loads((Path(engine.__file__).parents[1] / "pyproject.toml").read_text())

    assert engine.__version__ == pyproject["project"]["version"]
