from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import App

from engine.cli import make_app, run
from engine.errors import HeadraceError
from tests.support.commands import HOUSE

ROOT = Path(__file__).resolve().parents[3]
HINT = "    headrace --help lists the commands, headrace COMMAND --help their options\n"


def names(app: App, path: list[str]):
    """Yield every command as it is typed."""
    for name in app:
        if name.startswith("-"):
            continue
        inner = list(names(app[name], [*path, name]))
        yield from inner or [[*path, name]]


COMMANDS = list(names(make_app(HOUSE), []))


@pytest.mark.parametrize(
    ("argv", "err"),
    [
        (["check", "--confg", "x"], "Unknown option: --confg. Did you mean --config?\n"),
        (["errors", "list", "--state", "archve"], "Did you mean"),
        (["stauts"], 'Unknown command "stauts". Did you mean "status"?'),
        (["send", "events.ndjson", "--rate", "fast"], "Invalid value for --rate: expected a number above 0"),
        (["explain"], 'Command "explain" parameter EVENT requires an argument.'),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_meant(headrace, argv, err):
    said = headrace(*argv)

    assert (said.code, said.out) == (2, "")
    assert err in said.err
    assert said.err.endswith(HINT)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example(headrace, command):
    said = headrace(*command, "--help")

    assert said.code == 0
    assert f"Example: headrace {' '.join(command)}" in said.out


@pytest.fixture
def failing(monkeypatch):
    """Return what makes ``headrace check`` raise an error of the test's choice."""

    def fail(error):
        def read_plan(*_args, **_options):
            raise error

        monkeypatch.setattr("engine.cli.check.read_plan", read_plan)

    return fail


def test_ctrl_c_is_quiet(headrace, failing):
    failing(KeyboardInterrupt())

    assert headrace("check") == (130, "", "")


def test_ctrl_c_out_of_several_tasks_is_quiet(headrace, failing):
    failing(BaseExceptionGroup("tasks", [KeyboardInterrupt(), HeadraceError("lost")]))

    assert headrace("check") == (130, "", "")


def test_errors_out_of_several_tasks_are_all_told(headrace, failing):
    failing(ExceptionGroup("tasks", [HeadraceError("one"), ExceptionGroup("more", [HeadraceError("two")])]))

    assert headrace("check") == (1, "", "one\ntwo\n")


def test_a_bug_keeps_its_traceback(failing):
    failing(ExceptionGroup("tasks", [HeadraceError("one"), ZeroDivisionError()]))

    with pytest.raises(ExceptionGroup):
        run(HOUSE, ["check"])


def test_a_reader_that_goes_away_is_no_error():
    command = [sys.executable, "-m", "engine", "config", "schema"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        told = child.stderr.read()

    assert (child.returncode, told) == (141, b"")


def test_a_reload_that_is_asked_for_while_the_engine_begins_does_not_end_it():
    code = (
        "import os, signal, trio\n"
        "from engine.cli.serve import start\n"
        "trio.run = lambda *_: os.kill(os.getpid(), signal.SIGHUP)\n"
        "start(None, None, None, None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
