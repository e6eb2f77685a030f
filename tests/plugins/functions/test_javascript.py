from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import PluginError
from plugins.functions import javascript
from plugins.functions.javascript import JavaScript, ScriptError


def script(folder: Path, body: str, **secrets: str) -> JavaScript:
    path = folder / "f.js"
    path.write_text(f"function transformEvents(events) {{\n{body}\n}}\n")
    return JavaScript(path, "f.js", secrets)


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("return events", [{"n": 1, "s": "ü"}, {"n": 2}]),
        ("return events.filter((event) => event.n > 1)", [{"n": 2}]),
        ("return events.map((event) => ({ ...event, n: event.n * 2 }))", [{"n": 2, "s": "ü"}, {"n": 4}]),
        ("events.push({ n: 3 }); return events.slice(2)", [{"n": 3}]),
        ("", None),
        ("return [SECRETS.key]", ["s3cret"]),
        ("return [typeof fetch, typeof require, typeof process, typeof setTimeout, typeof std]", ["undefined"] * 5),
    ],
)
def test_a_script_transforms_and_finds_nothing_outside(tmp_path: Path, body: str, made: Any) -> None:
    assert script(tmp_path, body, key="s3cret").transform([{"n": 1, "s": "ü"}, {"n": 2}]) == made


def test_what_it_logs_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(tmp_path, "console.log('a', 1, { b: [2] }); console.error('c'); return []").transform([])

    assert capsys.readouterr().out == 'a 1 {"b":[2]}\nc\n'


@pytest.mark.parametrize(
    ("body", "trace"),
    [
        ("throw new TypeError('boom')", "TypeError: boom\n    at transformEvents (f.js:2:11)"),
        ("return (async () => [])()", "TypeError: transformEvents must not be async"),
    ],
)
def test_what_it_throws_has_its_stack_and_name(tmp_path: Path, body: str, trace: str) -> None:
    with pytest.raises(ScriptError) as caught:
        script(tmp_path, body).transform([])

    assert caught.value.trace == trace


def test_one_that_eats_memory_fails_and_leaves_nothing_behind(tmp_path: Path) -> None:
    body = """
        globalThis.n = (globalThis.n || 0) + 1;
        const all = [];
        while (events.length) all.push('x'.repeat(999) + all.length);
        return [n];
    """
    made = script(tmp_path, body)

    with pytest.raises(ScriptError, match=r"^InternalError: out of memory"):
        made.transform([{}])

    assert made.transform([]) == [1]


def test_one_that_throws_null_has_an_error_with_words(tmp_path: Path) -> None:
    with pytest.raises(ScriptError) as caught:
        script(tmp_path, "throw null").transform([])

    assert str(caught.value) == "InternalError: out of memory (or the script threw null)"


def test_one_that_never_ends_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(javascript, "_SECONDS", 0.1)

    with pytest.raises(ScriptError, match=r"^InternalError: interrupted"):
        script(tmp_path, "for (;;);").transform([])


def test_one_that_calls_itself_for_ever_fails(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"^RangeError: Maximum call stack size exceeded"):
        script(tmp_path, "return transformEvents(events)").transform([])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("let a = 1;\nlet b = ;\n", "f.js:2: SyntaxError: unexpected token in expression: ';'"),
        ("let a = 1", "f.js has no function transformEvents(events)"),
    ],
)
def test_a_look_finds_what_is_no_script(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "f.js").write_text(text)

    with pytest.raises(PluginError) as caught:
        JavaScript.check(tmp_path / "f.js", "f.js")

    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null.x", "TypeError: cannot read property 'x' of null\n    at <eval> (f.js:1:1)"),
        ("const transformEvents = 3", "f.js has no function transformEvents(events)"),
    ],
)
def test_one_that_cannot_be_loaded_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "f.js").write_text(text)

    with pytest.raises(PluginError) as caught:
        JavaScript(tmp_path / "f.js", "f.js")

    assert str(caught.value).startswith(said)
