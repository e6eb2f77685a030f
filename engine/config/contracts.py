"""Contracts that are kept in files of their own: their events are put where inline ones would stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.config.files import Reader
from engine.config.lines import Lines, join, locate_json, locate_toml
from engine.errors import Problem, one_of

_READ = (".json", ".toml")
_YAML = (".yaml", ".yml")
_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte ([0-9]+)\)", re.DOTALL)
_CAMEL = {"onUndeclaredFields": "on_undeclared_fields", "onSchemaViolation": "on_schema_violation"}
_ABOUT = frozenset({"$schema", "description", "id", "slug"})
"""Keys of an exported event that say nothing about events; a file may have them."""
_EXPORTED = {"ALLOW_EVENT": "allow", "BLOCK_EVENT": "block", "OMIT_FIELDS": "omit"}


def read_contracts(tables: dict[str, Any], folder: Path, lines: Lines, reader: Reader) -> Lines:
    """Put the events of every contract with a ``path`` into its table.

    Args:
        tables: all of the configuration; its contracts are changed in place.
        folder: what paths are relative to.
        lines: where everything stands.
        reader: how to get at texts; takes the problems.

    Returns:
        *lines*, with those of the files that were read.
    """
    contracts = tables.get("contracts")
    for name, table in contracts.items() if isinstance(contracts, dict) else ():
        if not isinstance(table, dict):
            continue
        where = join("contracts", name)
        path = table.get("path", "")
        if isinstance(path, str) and path and "events" not in table:
            events, found = _Events(where, path, lines, reader).read(folder)
            table["events"] = events
            lines |= found
        reader.problems += _faults(where, table, lines)
    return lines


def _faults(where: str, table: dict[str, Any], lines: Lines) -> Iterator[Problem]:
    """Yield what is wrong with the events of one contract as a whole."""
    if table.get("path") and "events" in table and join(where, "events") in lines:
        yield lines.problem(join(where, "path"), "both path and events are given", "keep one of them")
    if not table.get("path") and not table.get("events"):
        hint = f'add path = "contracts/NAME.json", or [[{where}.events]]'
        yield lines.problem(where, "declares no event", hint)
    seen: dict[tuple[Any, ...], str] = {}
    events = table.get("events")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        if not isinstance(event, dict):
            continue
        place = join(join(where, "events"), index)
        if event.get("type") == "track" and not event.get("name"):
            yield lines.problem(place, "a track event needs a name", 'add name = "Order Completed"')
        identity = tuple(str(event.get(key, default)) for key, default in _IDENTITY)
        if identity in seen:
            file, line = lines.where(seen[identity])
            what = f"the same type, name and version stand at {file}:{line}"
            yield lines.problem(place, what, "give one of them another version")
        seen.setdefault(identity, place)


_IDENTITY = (("type", ""), ("name", ""), ("version", "default"))


class _Events:
    """Reads the events of one contract.

    Args:
        where: the contract's path, for example ``contracts.shop``.
        path: a file or folder, as the user wrote it.
        lines: where that is written.
        reader: how to get at texts; takes the problems.
    """

    def __init__(self, where: str, path: str, lines: Lines, reader: Reader) -> None:
        self._where = where
        self._path = path
        self._asked = lines
        self._reader = reader
        self._events: list[Any] = []
        self._places: dict[str, tuple[str, int]] = {}

    def read(self, folder: Path) -> tuple[list[Any], Lines]:
        """Return the events of all files, and where they stand."""
        for file in self._files(folder / self._path):
            if Path(file).suffix in _YAML:
                what, hint = "YAML contracts are not read yet", "write it as JSON or TOML"
                self._reader.problems.append(Problem(where=self._where, what=what, hint=hint, file=file))
            elif (text := self._reader.text(file, self._problem)) is not None:
                self._take(file, text)
        return self._events, Lines(self._asked.file, self._places)

    def _problem(self, what: str) -> Problem:
        """Return a problem at the line of ``path``."""
        hint = "check path; it is relative to config.toml"
        return self._asked.problem(join(self._where, "path"), what, hint)

    def _files(self, path: Path) -> list[str]:
        """Return the files to read, sorted."""
        try:
            if not path.is_dir():
                return [str(path)]
            found = sorted(str(inner) for inner in path.rglob("*") if inner.suffix in _READ + _YAML)
        except (OSError, ValueError) as error:
            self._reader.problems.append(self._problem(f"cannot read {self._path}: {error}"))
            return []
        if not found:
            self._reader.problems.append(self._problem(f"no .json or .toml file in {self._path}"))
        return found

    def _take(self, file: str, text: str) -> None:
        """Add what one file declares."""
        if Path(file).suffix == ".toml":
            data: Any = self._reader.toml(file, text)
            places = {} if data is None else locate_toml(text)
        else:
            data = self._json(file, text)
            places = {} if data is None else locate_json(text)
        for prefix, event in self._declared(file, data):
            target = join(join(self._where, "events"), len(self._events))
            self._events.append(
                {_CAMEL.get(key, key): _spelt(value) for key, value in event.items() if key not in _ABOUT}
            )
            self._places[target] = (file, places.get(prefix, 1))
            for path, line in places.items():
                rest = path[len(prefix) :] if path.startswith(prefix) else ""
                rest = f".{rest}" if rest and not prefix and rest[0] not in ".[" else rest
                if rest[:1] in {".", "["}:
                    first, dot, below = rest[1:].partition(".")
                    self._places[f"{target}{rest[0]}{_CAMEL.get(first, first)}{dot}{below}"] = (file, line)

    def _json(self, file: str, text: str) -> Any:
        """Return what a JSON text holds, or None with a problem noted."""
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            match = _BYTE.fullmatch(str(error))
            what = match[1] if match else str(error)
            line = text.encode()[: int(match[2])].count(b"\n") + 1 if match else text.count("\n") + 1
            self._fault(file, line, f"not valid JSON: {what}", "check quotes, brackets and commas around this place")
            return None

    def _declared(self, file: str, data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (path within the file, event) for each event in *data*: one, an array of them, or ``events``."""
        if isinstance(data, dict) and "schema" not in data and isinstance(data.get("events"), list):
            listed, above = data["events"], "events"
            for key in data.keys() - _ABOUT - {"events", "name"}:
                self._fault(file, 1, f"unknown key '{key}'", one_of(["events"]))
        elif isinstance(data, list):
            listed, above = data, ""
        else:
            listed, above = ([] if data is None else [data]), None
        for index, event in enumerate(listed):
            if isinstance(event, dict):
                yield ("" if above is None else join(above, index)), event
            else:
                self._fault(file, 1, "expected events, each with type, name and schema", "write each as a table")

    def _fault(self, file: str, line: int, what: str, hint: str) -> None:
        """Note what is wrong with a file itself."""
        problem = Problem(where=self._where, what=what, hint=hint, file=file, line=line)
        self._reader.problems.append(problem)


def _spelt(value: Any) -> Any:
    """Return our word for an exported setting."""
    return _EXPORTED.get(value, value) if isinstance(value, str) else value
