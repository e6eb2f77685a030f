from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def tried(tmp_path: Path, headrace: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a function's text on an event."""

    def run(name: str, text: str, *options: str, event: str = '{"type": "track", "messageId": "m1"}') -> Any:
        (tmp_path / name).write_text(text)
        (tmp_path / "event.json").write_text(event)
        return headrace("function", "test", name, "--event", "event.json", *options)

    return run


def test_a_function_is_run_and_shown_with_what_it_printed(tried: Callable[..., Any]) -> None:
    text = "def transform_events(events):\n    print('seen', len(events))\n    return [*events, {'n': 1}]\n"

    assert tried("f.py", text) == (
        0,
        (
            'printed:\n    seen 1\n2 events came out\n[\n  {\n    "type": "track",\n    "messageId": "m1"\n  },\n'
            '  {\n    "n": 1\n  }\n]\n'
        ),
        "",
    )


def test_javascript_is_run_likewise(tried: Callable[..., Any]) -> None:
    text = "function transformEvents(events) { console.log('seen', events.length); return events.slice(1) }"
    said = tried("f.js", text, "--json", event='[{"n": 1}, {"n": 2}]')

    assert json.loads(said.out) == {"events": [{"n": 2}], "printed": "seen 2\n", "error": None}


@pytest.mark.parametrize(
    ("name", "text", "out"),
    [
        (
            "f.js",
            "function transformEvents(events) {\n  throw new TypeError('boom');\n}\n",
            "failed:\n    TypeError: boom\n        at transformEvents (f.js:2:13)\n",
        ),
        ("f.py", "def transform_event(e): ...\n", None),
        (
            "f.py",
            "import os\ndef transform_events(e): os._exit(4)\n",
            "failed:\n    the function's process exited with 4\n",
        ),
    ],
)
def test_what_fails_is_shown_with_its_stack(tried: Callable[..., Any], name: str, text: str, out: str | None) -> None:
    said = tried(name, text)

    assert said.code == 1
    expected = "failed:\n    f.py has no function transform_events(events)\n    did you mean 'transform_event'?\n"
    assert said.out == (out or expected)


def test_one_that_does_not_answer_is_ended(tried: Callable[..., Any]) -> None:
    said = tried("f.js", "function transformEvents(events) { for (;;); }", "--timeout", "0.3")

    assert said == (1, "failed:\n    no answer within 0.3 s\n", "")


def test_what_is_no_event_or_no_function_is_told(tried: Callable[..., Any]) -> None:
    assert tried("f.py", "", event="[1]").err == (
        "event.json holds no event\n    an event is a JSON object; several stand in an array\n"
    )
    assert tried("f.rb", "").err == "f.rb is not a file that functions are written in\n    one of: .js, .py\n"
