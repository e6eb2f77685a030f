from __future__ import annotations

import stat
from pathlib import Path

import pytest

from engine.config.keeping import begin, keep, why_not
from engine.errors import HeadraceError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_one_is_begun_once(tmp_path):
    config = tmp_path / "config.toml"

    assert (begin(config, "# one\n"), begin(config, "# two\n"), config.read_text()) == (True, False, "# one\n")
    with pytest.raises(HeadraceError) as caught:
        begin(tmp_path / "no" / "config.toml", "")
    assert str(caught.value) == (
        f"{tmp_path}/no/config.toml cannot be written: No such file or directory\n    begin in a folder of yours"
    )


def test_secrets_are_for_their_owner_and_the_file_keeps_its_rights(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("before")
    config.chmod(0o640)
    (tmp_path / "secrets").mkdir()
    old = tmp_path / "secrets" / "a"
    old.write_text("an older and longer secret")
    old.chmod(0o644)

    keep(config, "after", {"secrets/a": "s", "secrets/b": "t"})

    assert [(path.read_text(), mode(path)) for path in (config, old, tmp_path / "secrets" / "b")] == [
        ("after", 0o640),
        ("s", 0o600),
        ("t", 0o600),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "secrets"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "headrace.toml", tmp_path / "config.toml"
    real.write_text("before")
    link.symlink_to(real)

    keep(link, "after", {})

    assert (link.is_symlink(), real.read_text()) == (True, "after")


def test_a_secret_does_not_follow_a_link(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(HeadraceError, match="nothing else was changed"):
        keep(tmp_path / "config.toml", "after", {"secrets/a": "s"})

    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "config.toml").exists()


def test_what_nobody_may_write_is_not_written(tmp_path):
    config = tmp_path / "config.toml"
    assert why_not(config) == ""
    config.write_text("")
    assert why_not(config) == ""
    config.chmod(0o444)
    assert why_not(config) == f"{config} is not writable"
