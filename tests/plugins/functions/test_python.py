from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import PluginError
from plugins.functions.python import Python


def written(folder: Path, text: str) -> Path:
    path = folder / "clean.py"
    path.write_text(text)
    return path


def test_the_file_s_function_transforms(tmp_path: Path) -> None:
    path = written(tmp_path, "def transform_events(events):\n    return events[1:]\n")

    assert Python(path, "clean.py").transform([{"n": 1}, {"n": 2}]) == [{"n": 2}]


def test_an_edit_counts_at_once_and_leaves_no_bytecode(tmp_path: Path) -> None:
    Python(written(tmp_path, "def transform_events(events):\n    return [1]\n"), "clean.py")
    path = written(tmp_path, "def transform_events(events):\n    return [{'n': 2}]\n")

    assert Python(path, "clean.py").transform([]) == [{"n": 2}]
    assert [file.name for file in tmp_path.iterdir()] == ["clean.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "f/clean.py has no function transform_events(events)"),
        (
            "def transform_event(events):\n    return events\n",
            "f/clean.py has no function transform_events(events)\ndid you mean 'transform_event'?",
        ),
        ("transform_events = 3\n", "f/clean.py has no function transform_events(events)"),
        ("def transform_events(events:\n", "f/clean.py:1: '(' was never closed"),
        ("import json\n\nx = nothing\n", "f/clean.py:3: NameError: name 'nothing' is not defined"),
        ("import no_such_thing\n", "f/clean.py:1: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("raise SystemExit(3)\n", "f/clean.py:1: SystemExit: 3"),
        ("\0", "f/clean.py: source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        Python(written(tmp_path, text), "f/clean.py")

    assert str(caught.value) == said


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(PluginError) as caught:
        Python(tmp_path / "no.py", "no.py")

    assert str(caught.value) == "no.py cannot be read: No such file or directory"


def test_a_function_that_exits_fails_its_events_only(tmp_path: Path) -> None:
    path = written(tmp_path, "import sys\ndef transform_events(events):\n    sys.exit(2)\n")

    with pytest.raises(RuntimeError) as caught:
        Python(path, "clean.py").transform([])

    assert str(caught.value) == "transform_events called exit(2): raise an exception to fail an event"
