"""``headrace reload``: let a changed configuration take effect in the running engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.asking import ask
from engine.cli.common import DEFAULT, AsJson, ConfigFile, say, say_json, warn
from engine.observe.reloaded import Reloaded

if TYPE_CHECKING:
    from engine.cli import House

PATIENCE = 120.0
"""Seconds: compiling may take long, and requests in flight are finished first."""


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``reload`` on *app*."""

    @app.command(name="reload")
    def reload(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """Let the configuration take effect as it is now, and show what that changes.

        One that is wrong is refused whole, with every problem; the engine goes on with what it has.

        Example: headrace reload

        Args:
            config: The configuration file.
            json: Print JSON, for machines.
        """
        made = ask(config, "POST", "/reload", Reloaded, patience=PATIENCE)
        if json:
            say_json(made)
        else:
            show(made)
        return 1 if made.refused else 0


def show(made: Reloaded) -> None:
    """Print what came of a reload."""
    if made.refused:
        warn(made.refused)
        return
    if not made.changes and not made.restart:
        say("nothing is changed: the engine has this configuration already")
    for change in made.changes:
        say(change)
    for key in made.restart:
        say(f"{key} takes effect at the next start")
    for warning in made.warnings:
        warn(warning)
