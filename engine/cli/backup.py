"""``headrace backup``: a copy of the store, while the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, AsJson, ConfigFile, data_folder, read_places, say, say_json, warn

if TYPE_CHECKING:
    from engine.cli import House


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``backup`` on *app*."""

    @app.command(name="backup")
    def backup(
        file: Annotated[Path, Parameter(help="Where the copy goes; must not exist.")],
        /,
        *,
        config: ConfigFile = DEFAULT,
        json: AsJson = False,
    ) -> int:
        """Copy the store to FILE, whether the engine runs or not; events go on meanwhile.

        The copy is of one moment, checked, and one file. To restore it: stop the engine, move headrace.db and what
        begins with headrace.db- out of the data folder, copy FILE there as headrace.db, and start the engine. It then
        goes on as after a crash at that moment: what was pending is delivered, with the same idempotency keys; what
        came later is not in it.

        Example: headrace backup /var/backups/headrace.db

        Args:
            file: Where the copy goes; must not exist.
            config: The configuration file.
            json: Print JSON, for machines.
        """
        from engine.store.opening import back_up  # noqa: PLC0415 - commands that open no store start without it

        folder = data_folder(read_places(config))
        with _shown() as told:
            copied = back_up(folder, file, told)
        if json:
            say_json(copied)
        else:
            say(f"{copied.file}: {copied.size:,} bytes, {copied.last:,} events accepted until then")
            warn("    to restore it: headrace backup --help")
        return 0


@contextmanager
def _shown() -> Iterator[Callable[[int, int], None]]:
    """Yield what shows how far it is, on a terminal."""
    from rich.console import Console  # noqa: PLC0415 - imported with the first thing to show
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        number = bar.add_task("")
        yield lambda done, size: bar.update(number, completed=done, total=size)
