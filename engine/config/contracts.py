"""Contracts that are kept in files of their own: their events are put where inline ones would stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.config.files import Reader
from engine.config.layout import Layout, find_layout
from engine.config.lines import Lines, join, locate_json, locate_toml
from engine.config.yaml_text import YamlFault, read_yaml
from engine.errors import Problem, one_of

_READ = (".json", ".toml", ".yaml", ".yml")
_YAML = (".yaml", ".yml")
_BYTE = re.compile(r"(?:JSON is malformed: )?(.*) \(byte ([0-9]+)\)", re.DOTALL)
_CAMEL = {
    "onUndeclaredFields": "on_undeclared_fields",
    "onSchemaViolation": "on_schema_violation",
    "includeBuiltInContext": "include_built_in_context",
}
_CAMEL_ABOUT = {
    "onUndeclaredSchema": "on_undeclared_event",
    "schemaVersionPath": "schema_version_path",
    "sources": "sources",
}
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
            events = _Events(where, path, lines, reader)
            lines |= events.read(folder)
            table |= {
                "events": events.events,
                **{key: value for key, value in events.about.items() if key not in table},
            }
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
        self.events: list[Any] = []
        self.about: dict[str, Any] = {}
        self._components: dict[str, Any] = {}
        self._places: dict[str, tuple[str, int]] = {}

    def read(self, folder: Path) -> Lines:
        """Read the events of all files, and what holds for all of them; return where they stand."""
        try:
            layout = find_layout(folder / self._path)
        except (OSError, ValueError) as error:
            self._reader.problems.append(self._problem(f"cannot read {self._path}: {error}"))
            return Lines(self._asked.file)
        if isinstance(layout, Layout):
            self._read_layout(layout)
        elif layout:
            what = (
                f"there are {len(layout)} contracts in {self._path}" if len(layout) > 1 else "name the contract itself"
            )
            hint = "; or ".join(f'path = "{Path(self._path) / one.relative_to(folder / self._path)}"' for one in layout)
            self._reader.problems.append(self._asked.problem(join(self._where, "path"), what, hint))
        else:
            if (folder / self._path).is_dir():
                self._reader.folders.add(str(folder / self._path))
            for file in self._files(folder / self._path):
                if (text := self._reader.text(file, self._problem)) is not None:
                    self._take(file, text)
        return Lines(self._asked.file, self._places)

    def _read_layout(self, layout: Layout) -> None:
        """Read Hightouch's own files: what holds for all, components, then events."""
        self._reader.folders.update(str(path.parent) for path in (*layout.components, *layout.events))
        self._take_about(str(layout.about))
        for path in layout.components:
            data, _ = self._data(str(path))
            schema = data.get("schema") if isinstance(data, dict) else None
            if schema is None and data is not None:
                self._fault(str(path), 1, "a component needs a schema", "add schema: {type: object, properties: …}")
            self._components[path.stem] = schema
        for path in layout.events:
            if (text := self._reader.text(str(path), self._problem)) is not None:
                self._take(str(path), text)

    def _take_about(self, file: str) -> None:
        """Keep what a contract's own file says."""
        data, places = self._data(file)
        if not isinstance(data, dict):
            return
        for key, value in data.items():
            if key in _CAMEL_ABOUT:
                name = _CAMEL_ABOUT[key]
                self.about[name] = _spelt(value)
                self._places[join(self._where, name)] = (file, places.get(key, 1))
            elif key not in _ABOUT | {"name"}:
                self._fault(
                    file, places.get(key, 1), f"unknown key '{key}'", one_of(["name", "description", *_CAMEL_ABOUT])
                )

    def _data(self, file: str) -> tuple[Any, dict[str, int]]:
        """Return what a file holds and where, or None with a problem noted."""
        text = self._reader.text(file, self._problem)
        return (None, {}) if text is None else self._parsed(file, text)

    def _problem(self, what: str) -> Problem:
        """Return a problem at the line of ``path``."""
        hint = "check path; it is relative to config.toml"
        return self._asked.problem(join(self._where, "path"), what, hint)

    def _files(self, path: Path) -> list[str]:
        """Return the files to read, sorted."""
        try:
            if not path.is_dir():
                return [str(path)]
            found = sorted(str(inner) for inner in path.rglob("*") if inner.suffix in _READ)
        except (OSError, ValueError) as error:
            self._reader.problems.append(self._problem(f"cannot read {self._path}: {error}"))
            return []
        if not found:
            self._reader.problems.append(self._problem(f"no .json, .toml or .yaml file in {self._path}"))
        return found

    def _parsed(self, file: str, text: str) -> tuple[Any, dict[str, int]]:
        """Return what a text holds and where, or None with a problem noted."""
        suffix = Path(file).suffix
        if suffix in _YAML:
            try:
                return read_yaml(text)
            except YamlFault as fault:
                self._fault(file, fault.line, fault.what, "check indents, colons and quotes around this place")
                return None, {}
        data = self._reader.toml(file, text) if suffix == ".toml" else self._json(file, text)
        locate = locate_toml if suffix == ".toml" else locate_json
        return data, {} if data is None else locate(text)

    def _take(self, file: str, text: str) -> None:
        """Add what one file declares."""
        data, places = self._parsed(file, text)
        for prefix, event in self._declared(file, data):
            target = join(join(self._where, "events"), len(self.events))
            self.events.append(self._event(event))
            self._places[target] = (file, places.get(prefix, 1))
            for path, line in places.items():
                rest = path[len(prefix) :] if path.startswith(prefix) else ""
                rest = f".{rest}" if rest and not prefix and rest[0] not in ".[" else rest
                if rest[:1] in {".", "["}:
                    first, dot, below = rest[1:].partition(".")
                    self._places[f"{target}{rest[0]}{_CAMEL.get(first, first)}{dot}{below}"] = (file, line)

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return an event in our words, with the components that its schema may refer to."""
        made = {_CAMEL.get(key, key): _spelt(value) for key, value in event.items() if key not in _ABOUT}
        if made.get("name", "") is None:
            del made["name"]
        schema = made.get("schema")
        if self._components and isinstance(schema, dict):
            definitions = schema.get("definitions")
            definitions = definitions if isinstance(definitions, dict) else {}
            own = definitions.get("components")
            components = {**self._components, **(own if isinstance(own, dict) else {})}
            made["schema"] = {**schema, "definitions": {**definitions, "components": components}}
        return made

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
