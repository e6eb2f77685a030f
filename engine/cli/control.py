"""``headrace pause``, ``resume``, ``disable`` and ``enable``: hold something back, or keep events from it."""

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
    """Put ``pause``, ``resume``, ``disable`` and ``enable`` on *app*."""
    _put_switches(app)

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


def _put_switches(app: App) -> None:
    """Put ``disable`` and ``enable`` on *app*."""

    @app.command(name="disable")
    def disable(kind: Kind, name: Name, /, *, config: ConfigFile = DEFAULT) -> int:
        """Filter all further events of a sync or destination, until it is enabled.

        It holds over a restart and a reload. Unlike after a pause, these events are not sent later; what was on its way
        to a sync's destination goes on, and what waits for a disabled destination waits.

        Example: headrace disable sync orders

        Args:
            kind: What shall take no events.
            name: Its name in config.toml.
            config: The configuration file.
        """
        say(ask(config, "POST", f"/{kind}s/{quote(name)}/disable", Answer).message)
        return 0

    @app.command(name="enable")
    def enable(kind: Kind, name: Name, /, *, config: ConfigFile = DEFAULT) -> int:
        """Let a disabled sync or destination take events again, from now on.

        Example: headrace enable sync orders

        Args:
            kind: What was disabled.
            name: Its name in config.toml.
            config: The configuration file.
        """
        say(ask(config, "POST", f"/{kind}s/{quote(name)}/enable", Answer).message)
        return 0
