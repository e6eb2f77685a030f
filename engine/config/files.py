"""config.toml and the files it includes, put together into one set of tables."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engine.config.lines import Lines, join, locate_toml
from engine.errors import Problem

NAMED = ("sources", "contracts", "functions", "windows", "destinations", "syncs")
"""Tables of names: several files may each hold some."""

_TOML_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)
_WILD = re.compile(r"[*?\[]")

ReadFile = Callable[[Path], bytes]
"""Returns a file's bytes; raises OSError, or ValueError for a path that cannot be one."""


class Reader:
    """Reads texts and remembers them, and what was wrong.

    Attributes:
        texts: by file, as the user named it, in the order in which they were read.
        missing: files that were asked for, and could not be read.
        folders: where files were looked for by pattern, or taken from whole.
        problems: what was wrong with the files as such.

    Args:
        read_file: how to get at bytes.
    """

    def __init__(self, read_file: ReadFile) -> None:
        """Read nothing yet."""
        self.read_file = read_file
        self.texts: dict[str, str] = {}
        self.missing: set[str] = set()
        self.folders: set[str] = set()
        self.problems: list[Problem] = []

    def text(self, file: str, asking: Callable[[str], Problem]) -> str | None:
        """Return the text of *file*, or None with a problem noted.

        Args:
            file: its path, as the user named it.
            asking: makes a problem, at the place that asked for the file, of what is wrong.
        """
        try:
            text = self.read_file(Path(file)).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.problems.append(
                Problem(where="", what="not UTF-8 text", hint="save it as UTF-8", file=file, line=line)
            )
        except FileNotFoundError:
            self.problems.append(asking(f"there is no file {file}"))
        except (OSError, ValueError) as error:
            self.problems.append(asking(f"cannot read {file}: {getattr(error, 'strerror', None) or error}"))
        else:
            self.texts[file] = text
            return text
        self.missing.add(file)
        return None

    def toml(self, file: str, text: str) -> dict[str, Any] | None:
        """Return what *text* holds, or None with a problem noted."""
        try:
            return tomllib.loads(text)
        except RecursionError:
            self.problems.append(Problem(where="", what="nested too deeply", hint="use fewer levels", file=file))
        except ValueError as error:
            self.problems.append(_syntax(file, text, str(error)))
        return None

    def digests(self) -> dict[str, str]:
        """Return the SHA-256, in hex, of each text by its file; of a file that could not be read it is ""."""
        read = {file: hashlib.sha256(text.encode()).hexdigest() for file, text in self.texts.items()}
        return dict.fromkeys(sorted(self.missing), "") | read

    def digest(self) -> str:
        """Return the SHA-256, in hex, of all texts; their names do not count."""
        whole = hashlib.sha256()
        for text in self.texts.values():
            content = text.encode()
            whole.update(len(content).to_bytes(8, "big") + content)
        return whole.hexdigest()


class Files:
    """A configuration's files, their tables merged.

    Attributes:
        tables: what all files hold together, but for ``include``.
        lines: where each of it stands.
        is_whole: whether every file could be read; if not, what seems missing may be in the one that could not.

    Args:
        file: the main file, as the user named it.
        reader: how to get at texts; takes the problems.
    """

    def __init__(self, file: str, reader: Reader) -> None:
        """Read *file* and all that it includes."""
        self.tables: dict[str, Any] = {}
        self.lines = Lines(file)
        self.is_whole = True
        self._reader = reader
        self._read(file, (), lambda what: Problem(where="", what=what, hint="name another with -c FILE"))

    def _read(self, file: str, above: tuple[str, ...], asking: Callable[[str], Problem]) -> None:
        """Read one file, then what it includes; *above* are the files that led here."""
        text = self._reader.text(file, asking)
        tables = None if text is None else self._reader.toml(file, text)
        if text is None or tables is None:
            self.is_whole = False
            return
        lines = Lines(file, {path: (file, line) for path, line in locate_toml(text).items()})
        patterns = tables.pop("include", [])
        self._merge(tables, lines)
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            self._note(lines.problem("include", "expected an array of text", 'write include = ["syncs/*.toml"]'))
            return
        for index, pattern in enumerate(patterns):
            where = join("include", index)
            for inner in self._matching(file, pattern, where, lines):
                self._include(inner, (*above, file), where, lines)

    def _include(self, file: str, above: tuple[str, ...], where: str, lines: Lines) -> None:
        """Read one included file, unless it was read or leads back to itself."""
        if file in above:
            circle = " → ".join([*above[above.index(file) :], file])
            self._note(lines.problem(where, f"{file} includes itself: {circle}", "take one of them out"))
        elif file not in self._reader.texts:
            hint = "check the name; it is relative to the file that includes it"
            self._read(file, above, lambda what: lines.problem(where, what, hint))

    def _matching(self, file: str, pattern: str, where: str, lines: Lines) -> list[str]:
        """Return the files that *pattern* names, sorted; one without wildcards names one file, there or not."""
        hint = 'write it relative to this file, as in "syncs/*.toml"'
        if not pattern or Path(pattern).is_absolute():
            self._note(lines.problem(where, "expected a relative pattern", hint))
            return []
        folder = Path(file).parent
        if not _WILD.search(pattern):
            return [_named(folder / pattern)]
        self._reader.folders.add(_named(folder / _WILD.split(pattern)[0].rpartition("/")[0]))
        try:
            found = sorted({_named(path) for path in folder.glob(pattern) if path.is_file()})
        except (OSError, ValueError, NotImplementedError) as error:
            self._note(lines.problem(where, f"not a pattern of files: {error}", hint))
            return []
        if not found:
            self._note(lines.problem(where, "no file matches", "check the name, or take it out", "warning"))
        return found

    def _merge(self, tables: dict[str, Any], lines: Lines) -> None:
        """Add one file's tables to what the files before it hold."""
        for key, value in tables.items():
            mine = self.tables.get(key)
            if key in NAMED and isinstance(mine, dict) and isinstance(value, dict):
                self._twice((join(key, name) for name in value if name in mine), lines)
                self.tables[key] = {**value, **mine}
            elif key == "cases" and isinstance(mine, list) and isinstance(value, list):
                moved = {join(key, index): join(key, len(mine) + index) for index in range(len(value))}
                lines = lines.renamed(moved)
                self.tables[key] = [*mine, *value]
            elif key in self.tables:
                self._twice([key], lines)
            else:
                self.tables[key] = value
        self.lines |= lines

    def _twice(self, paths: Iterable[str], lines: Lines) -> None:
        """Note tables that stand in two files, with both places."""
        for path in paths:
            file, line = self.lines.where(path)
            self._note(lines.problem(path, f"stands in two files: here and at {file}:{line}", "keep one of them"))

    def _note(self, problem: Problem) -> None:
        """Keep one problem."""
        self._reader.problems.append(problem)


def _named(path: Path) -> str:
    """Return *path* as text without ``a/../``, so that one file has one name."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts and parts[-1] not in {"..", path.anchor}:
            parts.pop()
        else:
            parts.append(part)
    return str(Path(*parts))


def _syntax(file: str, text: str, error: str) -> Problem:
    """Return what tomllib says as a problem; the line itself is not shown, it may hold a secret."""
    match = _TOML_PLACE.fullmatch(error)
    what = match[1] if match else error
    line = int(match[2]) if match and match[2] else text.count("\n") + 1
    column = f"column {match[3]}" if match and match[3] else "the end of the file"
    hint = "check quotes, brackets and commas on this line and the one before"
    what = f"not valid TOML at {column}: {what[:1].lower()}{what[1:]}"
    return Problem(where="", what=what, hint=hint, file=file, line=line)
