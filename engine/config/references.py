"""What the parts of a configuration say about each other: names, keys, files, addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from engine.config.files import NAMED, Reader
from engine.config.lines import Lines, join
from engine.config.schema import Console, Receiver
from engine.config.secrets import Secrets, Unresolved
from engine.errors import Problem, did_you_mean, one_of
from engine.units import Address


class References:
    """Looks at tables as they are written, so that a part with another fault still answers for its name.

    Args:
        tables: all of the configuration.
        lines: where it stands.
        secrets: to tell whether two write keys are the same; no error shows one.
    """

    def __init__(self, tables: dict[str, Any], lines: Lines, secrets: Secrets) -> None:
        """Check nothing yet."""
        self._tables = tables
        self._lines = lines
        self._secrets = secrets

    def check(self) -> Iterator[Problem]:
        """Yield what does not fit together."""
        yield from self._names()
        for where, source in self._each("sources"):
            for key in ("contract", "shadow"):
                yield from self._known(key, "contracts", source.get(key), where)
            for index, name in enumerate(_array(source.get("functions"))):
                yield from self._known(join("functions", index), "functions", name, where)
        for where, window in self._each("windows"):
            yield from self._known("source", "sources", window.get("source"), where)
        for where, sync in self._each("syncs"):
            yield from self._known("source", "sources", sync.get("source"), where)
            yield from self._known("destination", "destinations", sync.get("destination"), where)
        yield from self._former_names()
        yield from self._cases()
        yield from self._write_keys()
        yield from self._addresses()

    def _each(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the path and the table of each *kind*."""
        for name, table in _table(self._tables.get(kind)).items():
            if isinstance(table, dict):
                yield join(kind, name), table

    def _names(self) -> Iterator[Problem]:
        """Yield names that nobody could call."""
        for kind in NAMED:
            if "" in _table(self._tables.get(kind)):
                yield self._lines.problem(join(kind, ""), "a name must not be empty", f"write [{kind}.NAME]")

    def _known(self, key: str, kind: str, name: Any, where: str) -> Iterator[Problem]:
        """Yield a problem if nothing of *kind* is called *name*."""
        choices = _table(self._tables.get(kind))
        if isinstance(name, str) and name not in choices:
            one = kind.removesuffix("s")
            hint = did_you_mean(name, choices) or (one_of(choices) if choices else f"add [{join(kind, name)}]")
            yield self._lines.problem(f"{where}.{key}", f"there is no {one} '{name}'", hint)

    def _former_names(self) -> Iterator[Problem]:
        """Yield syncs that say they were another one, which is still there or has become two."""
        syncs = _table(self._tables.get("syncs"))
        heirs: dict[str, str] = {}
        for where, sync in self._each("syncs"):
            was = sync.get("was")
            if not isinstance(was, str) or not was:
                continue
            if was in syncs:
                yield self._lines.problem(f"{where}.was", f"there still is a sync '{was}'", "take one of them out")
            elif heirs.setdefault(was, where) != where:
                what = f"{heirs[was]} was '{was}', too"
                yield self._lines.problem(f"{where}.was", what, "only one can go on where it stood")

    def _cases(self) -> Iterator[Problem]:
        """Yield cases that name what is not there, or do not say by which source they come."""
        sources = _table(self._tables.get("sources"))
        for index, case in enumerate(_array(self._tables.get("cases"))):
            where = join("cases", index)
            name = _table(case).get("source", "")
            if name:
                yield from self._known("source", "sources", name, where)
            elif len(sources) > 1:
                hint = f"add source = … ({one_of(sources)})"
                yield self._lines.problem(where, "several sources: which one does the event come by?", hint)
            for place, expect in enumerate(_array(_table(case).get("expect"))):
                yield from self._known("sync", "syncs", _table(expect).get("sync"), join(join(where, "expect"), place))

    def _write_keys(self) -> Iterator[Problem]:
        """Yield write keys that open two sources."""
        seen: dict[str, str] = {}
        for above, source in self._each("sources"):
            for index, text in enumerate(_array(source.get("write_keys"))):
                where = join(join(above, "write_keys"), index)
                first = seen.setdefault(self._value(text), where) if isinstance(text, str) and text else where
                if first != where:
                    yield self._lines.problem(where, f"the same write key as {first}", "give each source its own")

    def _value(self, text: str) -> str:
        """Return what tells one write key from another: its value, or what is written if that cannot be had."""
        try:
            return text if self._secrets.are_hidden else self._secrets.resolve(text)
        except Unresolved:
            return text

    def _addresses(self) -> Iterator[Problem]:
        """Yield a control endpoint that anybody could use, or that takes the receiver's port."""
        console = _table(self._tables.get("console"))
        control = _address(console, Console().listen)
        events = _address(_table(self._tables.get("receiver")), Receiver().listen)
        if control and not control.is_loopback and "token" not in console:
            hint = 'add token = "env:NAME", or listen on 127.0.0.1'
            yield self._lines.problem("console.listen", f"{control} is open to others, and there is no token", hint)
        if control and control == events and control.port:
            hint = "give each a port of its own"
            yield self._lines.problem("console.listen", f"{control} is the receiver's address too", hint)


def read_functions(tables: dict[str, Any], folder: Path, lines: Lines, reader: Reader) -> dict[str, str]:
    """Return the text of every function's file, by its path, and note those that are not there.

    Args:
        tables: all of the configuration.
        folder: what paths are relative to.
        lines: where it stands.
        reader: how to get at texts; takes the problems.
    """
    texts: dict[str, str] = {}
    for name, table in _table(tables.get("functions")).items():
        file = _table(table).get("file")
        if isinstance(file, str) and file:
            path, where = str(folder / file), join(join("functions", name), "file")
            asking = partial(lines.problem, where, hint="check file; it is relative to config.toml")
            text = reader.text(path, asking)
            if text is not None:
                texts[path] = text
    return texts


def _table(value: Any) -> dict[str, Any]:
    """Return *value* if it is a table; a wrong one is told elsewhere."""
    return value if isinstance(value, dict) else {}


def _array(value: Any) -> Iterable[Any]:
    """Return *value* if it is an array; a wrong one is told elsewhere."""
    return value if isinstance(value, list) else ()


def _address(table: dict[str, Any], default: Address) -> Address | None:
    """Return where *table* listens; a wrong address is told elsewhere."""
    try:
        return Address(str(table.get("listen", default)))
    except ValueError:
        return None
