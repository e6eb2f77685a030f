"""The command line: one command a file. Exit codes: 0 fine, 1 problems, 2 usage; 130 after Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from cyclopts import App, CycloptsError

from engine import __version__
from engine.cli import (
    backup,
    bench,
    check,
    completion,
    config,
    contract,
    control,
    demo,
    doctor,
    erase,
    errors,
    explain,
    function,
    init,
    plan,
    reload,
    replay,
    send,
    serve,
    status,
    tap,
    test,
    top,
    trace,
    violations,
)
from engine.cli.common import STDIN
from engine.errors import HeadraceError

COMMANDS = (
    serve,
    init,
    check,
    test,
    explain,
    plan,
    reload,
    function,
    send,
    tap,
    status,
    top,
    errors,
    replay,
    trace,
    erase,
    violations,
    contract,
    control,
    backup,
    doctor,
    demo,
    bench,
    config,
    completion,
)
"""Modules that each put their commands on the app."""

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the signal's number, as shells have it."""
BROKEN_PIPE = 141
"""Likewise, when nobody reads any more."""


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What the front door brings.

    Attributes:
        builtin: the built-in plugins, see `engine.registry.Registry`.
        tree: makes the running machine of plan, store, beginning, clock, sources and chance.
    """

    builtin: Mapping[str, Mapping[str, str]]
    tree: Callable[..., Any]


def make_app(house: House) -> App:
    """Return the command line with all its commands."""
    app = App(
        name="headrace",
        help="Event streaming in one process: events in over WebSocket or HTTP, out to your tools, durably.",
        version=__version__,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for module in COMMANDS:
        module.put(app, house)
    return app


def run(house: House, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what a user can cause is told without a traceback."""
    try:
        words = sys.argv[1:] if argv is None else argv
        # A lone hyphen looks like an option to the parser; this is what it means.
        code = _ran(make_app(house), [STDIN if word == "-" else word for word in words])
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has gone, `head` for example; Python would meet it once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def _ran(app: App, argv: Sequence[str]) -> int:
    try:
        code = app(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        sys.stderr.write(f"{error}\n    headrace --help lists the commands, headrace COMMAND --help their options\n")
        return 2
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BaseExceptionGroup as group:
        return _told(group)
    return code if isinstance(code, int) else 0


def _told(group: BaseExceptionGroup[BaseException]) -> int:
    """Tell what ended several tasks at once, if all of it is told to users; raise it otherwise."""
    interrupted, others = group.split(KeyboardInterrupt)
    errors, bugs = others.split(HeadraceError) if others else (None, None)
    if bugs:
        raise group
    if interrupted:
        return INTERRUPTED
    for error in _leaves(errors) if errors else ():
        sys.stderr.write(f"{error}\n")
    return 1


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


__all__ = ["House", "make_app", "run"]
