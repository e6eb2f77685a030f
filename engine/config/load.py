"""Read config.toml: all problems at once, each with its file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as types

from engine.config.contracts import read_contracts
from engine.config.convert import Converter, convert_settings
from engine.config.files import Files, Reader, ReadFile
from engine.config.lines import Lines, join
from engine.config.references import References, read_functions
from engine.config.schema import Config, Destination, Function, Source
from engine.config.secrets import Secrets, redacted
from engine.errors import ConfigError, Problem

__all__ = ["Lines", "Loaded", "convert_settings", "load", "read", "read_tables", "redacted"]

T = TypeVar("T", bound=msgspec.Struct)

COMMON = {
    "destinations": frozenset(Destination.__struct_encode_fields__),
    "functions": frozenset(Function.__struct_encode_fields__),
    "sources": frozenset(Source.__struct_encode_fields__),
}
"""Keys of a plugin's table that are not its own."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that could be read.

    Attributes:
        file: as the user named it.
        folder: what paths in it are relative to.
        config: the whole of it; contracts hold the events of their files.
        tables: TOML as written, all files merged, with the plugins' own keys in ``destinations`` and ``sources``;
            secrets unresolved.
        lines: where each path stands.
        digest: SHA-256, in hex, of the texts of all files: config, included ones, contracts and functions.
        text: the texts of config.toml and what it includes, one after another; secrets unresolved.
        files: SHA-256, in hex, of the text of each file that was read, by its path; "" if it could not be.
        folders: where a new file would be part of it, too.
        functions: the text of each function's file, by its path.
        secrets: turns ``env:`` and ``file:`` into values, or hides them if it was loaded without an environment.
        problems: what is wrong, as it stands in the files; after `load` only warnings.
    """

    file: str
    folder: Path
    config: Config
    tables: dict[str, Any]
    lines: Lines
    digest: str
    text: str
    secrets: Secrets
    files: dict[str, str] = {}
    folders: tuple[str, ...] = ()
    functions: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()

    def problem(self, where: str, what: str, hint: str = "", severity: str = "error") -> Problem:
        """Return a problem at the line of the path *where*."""
        return self.lines.problem(where, what, hint, severity)

    def settings(
        self, settings_type: type[T], name: str, *, kind: str = "destinations", hide: bool = False
    ) -> tuple[T | None, list[Problem]]:
        """Return the plugin's own settings of the table *name*, or None, and what is wrong with them.

        Args:
            settings_type: the plugin's.
            name: a key of *kind*.
            kind: ``destinations`` or ``sources``.
            hide: leave out all secrets, for requests that are shown.
        """
        table = self.tables[kind][name]
        secrets = None if hide else self.secrets
        where = join(kind, name)
        return convert_settings(settings_type, table, where, self.lines, secrets=secrets, beside=COMMON[kind])


def load(path: str | Path, *, env: Mapping[str, str] | None, read_file: ReadFile = Path.read_bytes) -> Loaded:
    """Read the configuration at *path*, and refuse it if it has problems.

    Args:
        path: config.toml, as the user named it.
        env: the environment that ``env:`` looks into; None resolves no secret and puts ``***`` for each.
        read_file: returns a file's bytes.

    Raises:
        ConfigError: carries every problem, in the order in which they stand in the files.
    """
    loaded = read(path, env=env, read_file=read_file)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if errors:
        raise ConfigError(loaded.file, errors)
    return loaded


def read(path: str | Path, *, env: Mapping[str, str] | None, read_file: ReadFile = Path.read_bytes) -> Loaded:
    """Read the configuration at *path* as far as it goes; raises nothing because of what is in it.

    For those who go on looking: ``compile_plan`` adds to `Loaded.problems` what it finds in the parts that could be
    read, so that a user is told everything at once. The arguments are those of `load`.
    """
    file = str(path)
    folder = Path(path).parent
    reader = Reader(read_file)
    files = Files(file, reader)
    text = "\n".join(reader.texts.values())
    secrets = Secrets(env, folder, read_file)
    lines = files.lines
    config = Config()
    problems: list[Problem] = []
    functions: dict[str, str] = {}
    try:
        lines = read_contracts(files.tables, folder, lines, reader)
        functions = read_functions(files.tables, folder, lines, reader)
        config, problems = _converted(files.tables, lines, secrets)
    except RecursionError:
        problems = [Problem(where="", what="nested too deeply", hint="use fewer levels", file=file)]
    if files.is_whole:
        problems += References(files.tables, lines, secrets).check()
    return Loaded(
        file=file,
        folder=folder,
        config=config,
        tables=files.tables,
        lines=lines,
        digest=reader.digest(),
        text=text,
        secrets=secrets,
        files=reader.digests(),
        functions=functions,
        folders=tuple(sorted(reader.folders)),
        problems=in_order([*reader.problems, *problems], list(reader.texts)),
    )


def read_tables(
    tables: dict[str, Any], folder: Path, *, env: Mapping[str, str] | None, read_file: ReadFile = Path.read_bytes
) -> Loaded:
    """Read a configuration that was read before: `Loaded.tables`, as a plan revision keeps them.

    Its files need not be there any more, but for the functions' and those that secrets are in.

    Args:
        tables: all of it, merged; contracts have their events.
        folder: what paths are relative to.
        env: as for `load`.
        read_file: returns a file's bytes.
    """
    name = "config.toml"
    secrets = Secrets(env, folder, read_file)
    lines = Lines(name)
    for contract in tables.get("contracts", {}).values():
        contract.pop("path", None)  # its events are here; a path beside them would be a fault
    config, problems = _converted(tables, lines, secrets)
    problems += References(tables, lines, secrets).check()
    return Loaded(
        file=name,
        folder=folder,
        config=config,
        tables=tables,
        lines=lines,
        digest=hashlib.sha256(msgspec.json.encode(tables, order="sorted")).hexdigest(),
        text="",
        secrets=secrets,
        problems=tuple(problems),
    )


def _converted(tables: dict[str, Any], lines: Lines, secrets: Secrets) -> tuple[Config, list[Problem]]:
    """Return what can be made of *tables*, and what is wrong with their keys and values."""
    converter = Converter(lines, secrets)
    config: Config = converter.value(types.type_info(Config), tables, "")
    return config, converter.problems


def in_order(problems: Iterable[Problem], files: Sequence[str]) -> tuple[Problem, ...]:
    """Return *problems* as they stand in *files*, those of no file first."""
    order = {file: index for index, file in enumerate(files)}
    return tuple(sorted(problems, key=lambda problem: (order.get(problem.file, -1), problem.line)))
