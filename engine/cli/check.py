"""``headrace check``: everything that is wrong with a configuration, and what probably is."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cyclopts import App

from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, read_plan, say, say_json
from engine.errors import ConfigError, Problem

if TYPE_CHECKING:
    from engine.cli import House
    from engine.plan import Plan


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``check --json`` prints.

    Attributes:
        ok: whether the configuration can be run.
        problems: errors, then warnings; each as it stands in the files.
    """

    file: str
    ok: bool
    problems: tuple[Problem, ...]


def put(app: App, house: House) -> None:
    """Put ``check`` on *app*."""

    @app.command(name="check")
    def check(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """Check a configuration, and say everything that is wrong with it at once.

        Looks up no secret and no name, and needs no running engine.

        Example: headrace check -c config.toml

        Args:
            config: The configuration file.
            json: Print JSON, for machines.
        """
        plan, errors, warnings = _compiled(config, house)
        if json:
            say_json(Report(file=str(config), ok=plan is not None, problems=(*errors, *warnings)))
        else:
            _tell(config, errors, "problem")
            _tell(config, warnings, "warning")
            if plan is not None:
                say(f"{config}: fine; {_inventory(plan)}")
        return 1 if errors else 0


def _compiled(config: Path, house: House) -> tuple[Plan | None, Sequence[Problem], Sequence[Problem]]:
    """Return the plan, or None, then errors and warnings."""
    try:
        plan, _ = read_plan(config, house, secrets=False)
    except ConfigError as error:
        return None, error.problems, error.warnings
    return plan, (), plan.warnings


def _tell(config: Path, problems: Sequence[Problem], word: str) -> None:
    """Print a head line with the count, then each problem, indented."""
    if problems:
        say(f"{config}: {counted(len(problems), word)}")
    for problem in problems:
        say("  " + str(problem).replace("\n", "\n  "))


def _inventory(plan: Plan) -> str:
    parts: list[tuple[Sized, str]] = [
        (plan.sources, "source"),
        (plan.syncs, "sync"),
        (plan.destinations, "destination"),
        (plan.config.cases, "case"),
    ]
    return ", ".join(counted(len(each), word) for each, word in parts)
