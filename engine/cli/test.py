"""``headrace test``: the ``[[cases]]`` of a configuration, held against what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from engine.cli.common import DEFAULT, AsJson, ConfigFile, counted, read_plan, say, say_json

if TYPE_CHECKING:
    from engine.cli import House
    from engine.plan.cases import CaseResult


def put(app: App, house: House) -> None:
    """Put ``test`` on *app*."""

    @app.command(name="test")
    def test(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """Run the [[cases]] of a configuration: each an event, and what must become of it.

        Nothing is sent; the plan is the one that the engine would run.

        Example: headrace test -c config.toml

        Args:
            config: The configuration file.
            json: Print one JSON object per case.
        """
        from engine.plan.cases import run_cases  # noqa: PLC0415 - only where it is needed

        plan, _ = read_plan(config, house, secrets=False)
        results = run_cases(plan)
        for result in results:
            if json:
                say_json(result)
            else:
                say(_line(result))
        failed = sum(not result.ok for result in results)
        if not json:
            say(f"{counted(len(results), 'case')}, {failed} failed" if results else f"{config}: there are no [[cases]]")
        return 1 if failed else 0


def _line(result: CaseResult) -> str:
    """Return the case's name, and below it what differs."""
    if result.ok:
        return f"ok    {result.name}"
    findings = result.text.replace("\n", "\n      ")
    return f"FAIL  {result.name} ({result.file}:{result.line})\n      {findings}"
