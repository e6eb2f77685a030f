"""``headrace pause``, ``resume``, ``disable`` and ``enable``: hold something back, or keep events from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import msgspec
from cyclopts import App, Parameter

from engine.cli.asking import ask
from engine.cli.common import DEFAULT, ConfigFile, names_of, read_places, say
from engine.errors import HeadraceError, did_you_mean, one_of

if TYPE_CHECKING:
    from engine.cli import House

What = Annotated[str, Parameter(help="Its name in config.toml; or sync, or destination, and then its name.")]
Name = Annotated[str, Parameter(show_default=False, help="Its name, after sync or destination.")]
KINDS = ("sync", "destination")


class Answer(msgspec.Struct, frozen=True):
    """What the engine says it did."""

    message: str


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``pause``, ``resume``, ``disable`` and ``enable`` on *app*."""
    _put_switches(app)

    @app.command(name="pause")
    def pause(what: What, name: Name = "", /, *, config: ConfigFile = DEFAULT) -> int:
        """Hold a sync or destination back: its events wait in the store, also over a restart.

        What a sync has made before, at most 1,024 deliveries and its retries, is still sent; pausing its destination
        holds that back, too.

        Example: headrace pause orders, or headrace pause destination crm if a sync is called so, too

        Args:
            what: Its name in config.toml; or sync, or destination.
            name: Its name, after sync or destination.
            config: The configuration file.
        """
        return _done(config, what, name, "pause")

    @app.command(name="resume")
    def resume(what: What, name: Name = "", /, *, config: ConfigFile = DEFAULT) -> int:
        """Let a paused sync or destination go on, from where it stood.

        Example: headrace resume orders

        Args:
            what: Its name in config.toml; or sync, or destination.
            name: Its name, after sync or destination.
            config: The configuration file.
        """
        return _done(config, what, name, "resume")


def _put_switches(app: App) -> None:
    """Put ``disable`` and ``enable`` on *app*."""

    @app.command(name="disable")
    def disable(what: What, name: Name = "", /, *, config: ConfigFile = DEFAULT) -> int:
        """Filter all further events of a sync or destination, until it is enabled.

        It holds over a restart and a reload. Unlike after a pause, these events are not sent later; what was on its way
        to a sync's destination goes on, and what waits for a disabled destination waits.

        Example: headrace disable orders

        Args:
            what: Its name in config.toml; or sync, or destination.
            name: Its name, after sync or destination.
            config: The configuration file.
        """
        return _done(config, what, name, "disable")

    @app.command(name="enable")
    def enable(what: What, name: Name = "", /, *, config: ConfigFile = DEFAULT) -> int:
        """Let a disabled sync or destination take events again, from now on.

        Example: headrace enable orders

        Args:
            what: Its name in config.toml; or sync, or destination.
            name: Its name, after sync or destination.
            config: The configuration file.
        """
        return _done(config, what, name, "enable")


def _done(config: Path, what: str, name: str, verb: str) -> int:
    """Ask the engine for it, and print what it says."""
    kind, name = (what, name) if what in KINDS and name else (_kind(config, what, name), what)
    say(ask(config, "POST", f"/{kind}s/{quote(name, safe='')}/{verb}", Answer).message)
    return 0


def _kind(config: Path, what: str, more: str) -> str:
    """Return which of `KINDS` has the name *what*.

    Raises:
        HeadraceError: neither, or both; or it is followed by *more*, which only a kind may be.
    """
    if more:
        raise HeadraceError(f"'{what}' is no kind of thing\n    say a name, or sync or destination and a name")
    loaded = read_places(config)
    known = {kind: names_of(loaded, f"{kind}s") for kind in KINDS}
    kinds = [kind for kind in KINDS if what in known[kind]]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise HeadraceError(f"'{what}' is a sync and a destination\n    say sync {what} or destination {what}")
    names = [name for each in known.values() for name in each]
    raise HeadraceError(f"no sync and no destination '{what}'\n    {did_you_mean(what, names) or one_of(names)}")
