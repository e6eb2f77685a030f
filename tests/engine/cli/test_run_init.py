"""``headrace run`` where there is no configuration yet."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import trio

from engine.cli import serve
from engine.config.draft import HEAD


@pytest.fixture
def started(monkeypatch):
    """Return the plans that would have run."""
    plans = []

    def start(plan, registry, house, beside):
        plans.append(plan)
        ready = serve.Ready(receiver="127.0.0.1:1", console="127.0.0.1:2", tree=SimpleNamespace(plan=plan))
        trio.run(beside, ready)

    monkeypatch.setattr(serve, "start", start)
    return plans


def test_a_mistyped_name_does_not_become_an_empty_engine(headrace, tmp_path, started):
    said = headrace("run", "-c", "confg.toml")

    assert (said.code, said.out, started) == (1, "", [])
    assert said.err == (
        "there is no file confg.toml\n    name another with -c FILE, or begin with one: headrace run --init\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_begun_in_when_that_is_said(headrace, tmp_path, started):
    said = headrace("run", "--init")

    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[1:] == [
        "console: http://127.0.0.1:2/",
        "nothing is set up yet: open http://127.0.0.1:2/setup",
    ]
    assert (tmp_path / "config.toml").read_text() == HEAD
    assert len(started) == 1


def test_what_is_there_already_is_run_as_it_is(headrace, shop, started, monkeypatch):
    for name in re.findall("env:([A-Z_]+)", shop.read_text()):
        monkeypatch.setenv(name, "s")
    before = shop.read_text()

    said = headrace("run", "--init")

    assert (said.code, shop.read_text()) == (0, before)
    assert "nothing is set up yet" not in said.out
