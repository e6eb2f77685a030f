"""``headrace config``: what config.toml may hold, and what this one does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cyclopts import App

from engine.cli.common import DEFAULT, AsJson, ConfigFile, read_plan, say, say_json

if TYPE_CHECKING:
    from engine.cli import House
    from engine.plan import Plan


def put(app: App, house: House) -> None:
    """Put ``config`` on *app*."""
    config_ = App(name="config", help="What config.toml may hold, and what yours does.")
    app.command(config_)

    @config_.command(name="schema")
    def schema() -> int:
        """Print the JSON Schema of config.toml: every key with its unit, default and meaning.

        Editors complete and check config.toml with it.

        Example: headrace config schema > config.schema.json
        """
        import msgspec  # noqa: PLC0415 - only where it is needed

        from engine.config.describe import config_schema  # noqa: PLC0415

        say(msgspec.json.format(msgspec.json.encode(config_schema()), indent=2).decode())
        return 0

    @config_.command(name="show")
    def show(*, config: ConfigFile = DEFAULT, json: AsJson = False) -> int:
        """Show a configuration as the engine takes it: all files together, defaults filled in, secrets hidden.

        Example: headrace config show -c config.toml

        Args:
            config: The configuration file.
            json: Print JSON, for machines.
        """
        from engine.config.toml_text import as_toml  # noqa: PLC0415 - only where it is needed

        plan, _ = read_plan(config, house, secrets=False)
        if json:
            say_json(effective(plan))
        else:
            say(as_toml(effective(plan)).removesuffix("\n"))
        return 0


def effective(plan: Plan) -> dict[str, Any]:
    """Return the configuration as plain tables, the plugins' own settings included, ``***`` for every secret."""
    from engine.config.load import redacted  # noqa: PLC0415 - with msgspec's Structs

    tables: dict[str, Any] = redacted(plan.config)
    for name, each in plan.destinations.items():
        tables["destinations"][name] |= redacted(each.destination.settings)
    return tables
