"""The command line: one command a file. Exit codes: 0 fine, 1 problems, 2 usage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from cyclopts import App, CycloptsError

from engine import __version__
from engine.cli import bench, check, config, control, demo, errors, explain, send, serve, status, test
from engine.errors import HeadraceError

COMMANDS = (serve, check, test, explain, send, status, errors, control, demo, bench, config)
"""Modules that each put their commands on the app."""


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
    )
    for module in COMMANDS:
        module.put(app, house)
    return app


def run(house: House, argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors of ours are told without a traceback."""
    app = make_app(house)
    try:
        code = app(argv, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        sys.stderr.write(f"{error}\n    headrace --help lists the commands, headrace COMMAND --help their options\n")
        return 2
    except HeadraceError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return code if isinstance(code, int) else 0


__all__ = ["House", "make_app", "run"]
