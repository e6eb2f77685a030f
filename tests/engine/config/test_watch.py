from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.watch import fingerprint, is_stale

TEXT = """
[functions.f]
file = "f.py"
[sources.shop]
write_keys = ["key"]
functions = ["f"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.toml").write_text("\ufeff" + TEXT, encoding="utf-8")
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    return tmp_path


def test_what_was_read_is_not_stale_until_a_file_of_it_is_other(folder: Path) -> None:
    loaded = load(folder / "config.toml", env=None)
    before = is_stale(loaded)
    (folder / "f.py").write_text("def transform_events(events):\n    return []\n")

    assert (before, is_stale(loaded)) == (False, True)


def test_a_file_that_is_gone_makes_it_stale_and_has_a_fingerprint(folder: Path) -> None:
    loaded = load(folder / "config.toml", env=None)
    before = fingerprint(loaded)
    (folder / "f.py").unlink()

    assert is_stale(loaded)
    assert fingerprint(loaded) != before
