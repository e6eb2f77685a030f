"""What several commands share: reading the configuration, printing, asking a running engine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import Parameter

from engine.config.load import Loaded, load
from engine.plan import Plan, compile_plan
from engine.registry import Registry

if TYPE_CHECKING:
    from engine.cli import House

ConfigFile = Annotated[Path, Parameter(name=["--config", "-c"], help="The configuration file.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for machines.")]
DEFAULT = Path("config.toml")


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
    return compile_plan(read_config(file, secrets=secrets), registry), registry


def read_config(file: Path, *, secrets: bool) -> Loaded:
    """Return a configuration file, read and checked but not compiled."""
    env: Mapping[str, str] | None = os.environ if secrets else None
    return load(file, env=env)


def data_folder(loaded: Loaded) -> Path:
    """Return where the store is: the configured path, relative to the configuration file."""
    return loaded.folder / loaded.config.store.path


def say(text: str) -> None:
    """Print one line to standard output."""
    sys.stdout.write(f"{text}\n")


def warn(text: str) -> None:
    """Print one line to standard error."""
    sys.stderr.write(f"{text}\n")


def say_json(value: Any) -> None:
    """Print *value* as one line of JSON."""
    say(msgspec.json.encode(value).decode())


def shipped(name: str) -> Path:
    """Return a file that comes with headrace: from the wheel, or from the checkout it is run in."""
    engine = Path(__file__).resolve().parents[1]
    inside = engine / "demo" / name
    return inside if inside.exists() else engine.parent / ("examples" if name != "config.toml" else "") / name
