from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest

import plugins
from engine.lang.retry import NEVER, PAUSED, RETRIED
from plugins import BUILTIN
from tests.conformance.destination import builtin

TEXT = (Path(plugins.__file__).parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def chat(tmp_path, monkeypatch):
    file = tmp_path / "chat.py"
    file.write_text("".join(blocks("python")))
    spec = importlib.util.spec_from_file_location("chat_of_the_readme", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    return lambda: spec.loader.exec_module(module)


def test_the_tutorial_s_destination_passes_the_conformance_suite(chat):
    chat()


def test_the_tutorial_has_40_lines():
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]

    assert len(lines) <= 40


def test_the_examples_in_toml_can_be_read():
    assert [sorted(tomllib.loads(block)) for block in blocks("toml")] == [["project"], ["destinations", "syncs"]]


@pytest.mark.parametrize("name", sorted(BUILTIN["destinations"]))
def test_every_setting_of_the_shipped_ones_is_listed(name):
    [settings] = re.findall(rf"^\| `{name}` \|.*\|(.*)\|$", TEXT, re.MULTILINE)

    assert sorted(re.findall(r"`(\w+)`", settings)) == sorted(builtin(name).Settings.__struct_encode_fields__)


def test_its_table_of_statuses_is_the_engine_s():
    for status in RETRIED | NEVER | PAUSED:
        assert str(status) in TEXT
