"""``headrace pause`` and ``headrace resume``: hold a sync or destination back, and let it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

import msgspec
from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.common import DEFAULT, ConfigFile, say

if TYPE_CHECKING:
    from engine.cli import House

Kind = Annotated[Literal["sync", "destination"], Parameter(help="What to hold back.")]
Name = Annotated[str, Parameter(help="Its name in config.toml.")]


class Answer(msgspec.Struct, frozen=True):
    """What the engine says it did."""

    message: str


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``pause`` and ``resume`` on *app*."""

    @app.command(name="pause")
    def pause(kind: Kind, name: Name, /, *, config: ConfigFile = DEFAULT) -> int:
        """Hold a sync or destination back: its events wait in the store, also over a restart.

        Example: headrace pause destination crm

        Args:
            kind: What to hold back.
            name: Its name in config.toml.
            config: The configuration file.
        """
        say(ask(config, "POST", f"/{kind}s/{quote(name)}/pause", Answer).message)
        return 0

    @app.command(name="resume")
    def resume(kind: Kind, name: Name, /, *, config: ConfigFile = DEFAULT) -> int:
        """Let a paused sync or destination go on, from where it stood.

        Example: headrace resume destination crm

        Args:
            kind: What was held back.
            name: Its name in config.toml.
            config: The configuration file.
        """
        say(ask(config, "POST", f"/{kind}s/{quote(name)}/resume", Answer).message)
        return 0
