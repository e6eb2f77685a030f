"""On which line every key of a TOML or JSON text stands."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping

from engine.errors import Problem

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_LAST = re.compile(r"(?:\.?[A-Za-z0-9_-]+|\[[0-9]+\]|\['(?:[^'\\]|\\.)*'\])\Z", re.DOTALL)
_BLANK = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t\r\n]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Longest quotes first; a multi-line string may end in five quotes, of which the last three close it.
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:[^\s,\]}#]+|[^\s,\]}#]+")
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


def join(where: str, key: str | int) -> str:
    """Return the path of *key* below *where*: ``a.b``, ``a[0]``, and ``a['x.y']`` for a key that is not a bare word."""
    if isinstance(key, int):
        return f"{where}[{key}]"
    if not _BARE.match(key):
        escaped = key.replace("\\", "\\\\").replace("'", "\\'")
        return f"{where}['{escaped}']"
    return f"{where}.{key}" if where else key


def parent(where: str) -> str:
    """Return the path one step up, "" at the top."""
    return where[: match.start()] if (match := _LAST.search(where)) else ""


class Lines:
    """Where each path of a configuration stands: file and line.

    Args:
        file: the main file, as the user named it; it answers for a path that nobody knows.
        places: path to (file, line from 1).
    """

    def __init__(self, file: str, places: Mapping[str, tuple[str, int]] | None = None) -> None:
        """Keep *places*."""
        self.file = file
        self._places = dict(places or {})

    def where(self, path: str) -> tuple[str, int]:
        """Return (file, line) of *path*, or of its nearest parent that is known, or (file, 0)."""
        while path and path not in self._places:
            path = parent(path)
        return self._places.get(path, (self.file, 0))

    def problem(self, where: str, what: str, hint: str = "", severity: str = "error") -> Problem:
        """Return a problem at the place of *where*."""
        file, line = self.where(where)
        return Problem(where=where, what=what, hint=hint, file=file, line=line, severity=severity)

    def renamed(self, prefixes: Mapping[str, str]) -> Lines:
        """Return these with the start of some paths changed, for arrays that were put behind others."""
        places = {}
        for path, place in self._places.items():
            element = path[: path.index("]") + 1] if "]" in path else ""
            places[prefixes.get(element, element) + path[len(element) :]] = place
        return Lines(self.file, places)

    def __contains__(self, path: str) -> bool:
        """Tell whether *path* itself, not only a parent, has a place."""
        return path in self._places

    def __or__(self, other: Lines) -> Lines:
        """Return these and *other*'s; where both know a path, these win."""
        return Lines(self.file, {**other._places, **self._places})


def locate_toml(text: str) -> dict[str, int]:
    """Return path to line (from 1) for every key, table and array element of *text*, which must be valid TOML."""
    return _Toml(text).lines()


def locate_json(text: str, root: str = "") -> dict[str, int]:
    """Return path to line for every key and array element of *text*, which must be valid JSON, below *root*."""
    scanner = _Json(text, ":")
    scanner.skip(_SPACE)
    scanner.value(root)
    return scanner.found


class _Scanner:
    """Reads values and notes where they begin; TOML's inline values and JSON differ in the sign after a key only."""

    def __init__(self, text: str, sign: str) -> None:
        self.text = text
        self.sign = sign
        self.at = 0
        self.found: dict[str, int] = {}
        self._ends = [index for index, char in enumerate(text) if char == "\n"]

    def line(self) -> int:
        """Return the line of the place that is read, from 1."""
        return bisect_left(self._ends, self.at) + 1

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Step over *pattern* and return what it was; "" if it is not here."""
        match = pattern.match(self.text, self.at)
        if not match:
            return ""
        self.at = match.end()
        return match[0]

    def key(self) -> str:
        """Read one bare or quoted key."""
        if word := self.skip(_BARE_KEY):
            return word
        quoted = self.skip(_STRING)
        return quoted[1:-1] if quoted[:1] == "'" else _ESCAPE.sub(_unescaped, quoted[1:-1])

    def keys(self) -> list[str]:
        """Read a dotted key."""
        keys = [self.key()]
        self.skip(_SPACE)
        while self.text.startswith(".", self.at):
            self.at += 1
            self.skip(_SPACE)
            keys.append(self.key())
            self.skip(_SPACE)
        return keys

    def value(self, where: str) -> None:
        """Read the value of the path *where*, noting what is inside it."""
        opening = self.text[self.at : self.at + 1]
        if opening == "[":
            self.array(where)
        elif opening == "{":
            self.table(where)
        elif not self.skip(_STRING):
            self.skip(_SCALAR)

    def array(self, where: str) -> None:
        """Read ``[…]``."""
        self.at += 1
        index = 0
        self.skip(_BLANK)
        while self.at < len(self.text) and self.text[self.at] != "]":
            element = join(where, index)
            self.found[element] = self.line()
            self.value(element)
            self.skip(_BLANK)
            index += 1
        self.at += 1

    def table(self, where: str) -> None:
        """Read ``{…}``."""
        self.at += 1
        self.skip(_BLANK)
        while self.at < len(self.text) and self.text[self.at] != "}":
            self.pair(where)
            self.skip(_BLANK)
        self.at += 1

    def pair(self, where: str) -> None:
        """Read a key, the sign after it and its value."""
        line = self.line()
        for key in self.keys():
            where = join(where, key)
            self.found.setdefault(where, line)
        self.at = self.text.index(self.sign, self.at) + 1
        self.skip(_SPACE)
        self.value(where)


class _Json(_Scanner):
    """Reads JSON, whose escapes know surrogate pairs."""

    def key(self) -> str:
        """Read one quoted key."""
        return str(json.loads(self.skip(_STRING)))


class _Toml(_Scanner):
    """Reads a whole TOML text: headers and pairs."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "=")
        self._arrays: dict[str, int] = {}

    def lines(self) -> dict[str, int]:
        """Read all of it and return path to line."""
        where = ""
        self.skip(_BLANK)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                where = self.header()
            else:
                self.pair(where)
            self.skip(_BLANK)
        return self.found

    def header(self) -> str:
        """Read ``[a.b]`` or ``[[a.b]]`` and return the path of the table that follows."""
        line = self.line()
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        self.skip(_SPACE)
        *above, last = self.keys()
        self.at = self.text.index("]", self.at) + brackets
        where = ""
        for key in above:
            where = self.latest(join(where, key))
            self.found.setdefault(where, line)
        where = join(where, last)
        if brackets == 1:
            self.found[where] = line
            return where
        self.found.setdefault(where, line)
        self._arrays[where] = index = self._arrays.get(where, -1) + 1
        self.found[join(where, index)] = line
        return join(where, index)

    def latest(self, where: str) -> str:
        """Return *where*, or its last element if it is an array of tables."""
        return join(where, self._arrays[where]) if where in self._arrays else where


def _unescaped(match: re.Match[str]) -> str:
    """Return the character that one escape stands for."""
    code = match[1]
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code)
