"""Secrets: ``env:NAME`` and ``file:PATH`` become values when the engine starts, and are never printed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import HeadraceError
from engine.plugin import Secret
from engine.units import UNITS

HIDDEN = Secret("***")
"""What stands for every secret where none is needed: ``check``, ``test``, ``explain``."""


class Unresolved(HeadraceError):
    """A secret that cannot be had; says what is wrong and what to do, never a value."""

    def __init__(self, what: str, hint: str) -> None:
        """Keep the two parts apart."""
        self.what = what
        self.hint = hint
        super().__init__(what, hint)


class Secrets:
    """Turns what is written into values.

    Args:
        env: the environment, or None: every secret is then `HIDDEN`, and nothing is looked up.
        folder: what ``file:`` paths are relative to.
        read_file: returns a file's bytes, or raises OSError or ValueError.
    """

    def __init__(self, env: Mapping[str, str] | None, folder: Path, read_file: Callable[[Path], bytes]) -> None:
        """Look nothing up yet."""
        self._env = env
        self._folder = folder
        self._read_file = read_file

    def __repr__(self) -> str:
        """Hide the environment."""
        return "Secrets(***)"

    @property
    def env(self) -> Mapping[str, str] | None:
        """Return the environment, for who reads the configuration again."""
        return self._env

    @property
    def are_hidden(self) -> bool:
        """Whether nothing is looked up."""
        return self._env is None

    def resolve(self, text: str) -> Secret:
        """Return the value of *text*: ``env:NAME``, ``file:PATH``, or the secret itself.

        Raises:
            Unresolved: not set, not readable, or empty.
        """
        if not text:
            raise Unresolved("an empty secret protects nothing", 'write "env:NAME" or "file:/path"')
        if self._env is None:
            return HIDDEN
        if text.startswith("env:"):
            return _variable(text[4:], self._env)
        if text.startswith("file:"):
            return self._file(text[5:])
        return Secret(text)

    def _file(self, path: str) -> Secret:
        """Return what the file holds, without the newline at its end."""
        try:
            content = self._read_file(self._folder / path)
        except (OSError, ValueError) as error:
            fault = f"cannot read {path}: {error.strerror}" if isinstance(error, OSError) else f"{path} is not a path"
            raise Unresolved(fault, "check the path and who may read it") from None
        try:
            value = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Unresolved(f"{path} does not hold UTF-8 text", "write the secret to it as one line") from None
        if not value:
            raise Unresolved(f"{path} is empty", "write the secret to it as one line")
        return Secret(value)


def _variable(name: str, env: Mapping[str, str]) -> Secret:
    """Return one environment variable."""
    if value := env.get(name):
        return Secret(value)
    fault = "is empty" if name in env else "is not set"
    raise Unresolved(f"{name} {fault}" if name else 'no name after "env:"', f"export {name or 'NAME'}=…")


def redacted(value: Any) -> Any:
    """Return *value*, a Struct or what is inside one, as plain tables, arrays and units, ``***`` for every secret."""
    if isinstance(value, Secret):
        return str(HIDDEN)
    if isinstance(value, UNITS):
        return value.written()
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {key: redacted(getattr(value, name)) for key, name in names}
    if isinstance(value, Mapping):
        return {key: redacted(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [redacted(inner) for inner in value]
    return value
