"""What several commands share: reading the configuration, printing, asking a running engine."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from engine.config.load import Loaded, load, read
from engine.errors import ConfigError
from engine.plan import Plan, compile_plan
from engine.registry import Registry

if TYPE_CHECKING:
    from engine.cli import House

ConfigFile = Annotated[Path, Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON, for machines.")]
DEFAULT = Path("config.toml")
STDIN = "/dev/stdin"
"""What a user names with a hyphen."""
PLACES = ("", "include", "console", "store")
"""Parts of a configuration without which nobody knows where its engine answers and where its store is."""
CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder of the project, if this is run from a checkout."""


def read_plan(file: Path, house: House, *, secrets: bool) -> tuple[Plan, Registry]:
    """Return the plan of a configuration file.

    Args:
        file: as the user named it.
        house: brings the built-in plugins.
        secrets: whether ``env:`` and ``file:`` values are looked up; without it they are hidden.

    Raises:
        ConfigError: with every problem.
    """
    registry = Registry(house.builtin)
    return compile_plan(read(file, env=_env(secrets=secrets)), registry), registry


def read_config(file: Path, *, secrets: bool) -> Loaded:
    """Return a configuration file, read and checked but not compiled.

    Raises:
        ConfigError: with every problem that can be found without compiling.
    """
    return load(file, env=_env(secrets=secrets))


def read_places(file: Path, *, secrets: bool = False) -> Loaded:
    """Return a configuration file whose ``[console]`` and ``[store]`` can be relied upon, whatever else is wrong.

    A running engine goes on with the configuration before, so that a mistake in today's must not keep anybody from
    asking it, pausing something, or looking into its store.

    Raises:
        ConfigError: with every problem, if one is in those parts, or a file could not be read whole.
    """
    loaded = read(file, env=_env(secrets=secrets))
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if any(problem.where.partition(".")[0].partition("[")[0] in PLACES for problem in errors):
        raise ConfigError(loaded.file, errors)
    return loaded


def names_of(loaded: Loaded, part: str) -> list[str]:
    """Return what stands in a *part* of a configuration, ``syncs`` for example, be it right or wrong."""
    table = loaded.tables.get(part)
    return list(table) if isinstance(table, dict) else []


def _env(*, secrets: bool) -> Mapping[str, str] | None:
    return os.environ if secrets else None


def data_folder(loaded: Loaded) -> Path:
    """Return where the store is: the configured path, relative to the configuration file."""
    return loaded.folder / loaded.config.store.path


def say(text: str) -> None:
    """Print one line to standard output."""
    sys.stdout.write(f"{text}\n")


def warn(text: str) -> None:
    """Print one line to standard error."""
    sys.stderr.write(f"{text}\n")


def counted(count: int, word: str) -> str:
    """Return ``1 case`` or ``2,000 cases``."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def iso(at: float) -> str:
    """Return epoch seconds as ISO-8601, UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(seconds: float | None) -> str:
    """Return ``1.2 ms``, or a hyphen for None."""
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"


def columns(cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Return *cells*, given line by line, as lines of text.

    The first *left* columns begin where their place begins; the others, which are numbers, end where it ends.
    """
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def say_json(value: Any) -> None:
    """Print *value* as one line of JSON."""
    say(msgspec.json.encode(value).decode())


def shipped(name: str) -> Path:
    """Return a file that comes with headrace: from the wheel, or from the checkout it is run in."""
    inside = CHECKOUT / "engine" / "demo" / name
    return inside if inside.exists() else CHECKOUT / ("examples" if name != "config.toml" else "") / name
