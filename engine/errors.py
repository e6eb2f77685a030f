"""What can go wrong, in words: where, what, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import msgspec


class HeadraceError(Exception):
    """The root of every error this package raises on purpose."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong in what a user wrote.

    Attributes:
        where: the dotted path of the key, for example ``syncs.orders.destination``; "" for a whole file.
        what: what is wrong, one sentence without a full stop.
        hint: what to do about it, or "".
        file: the file it stands in, as the user named it, or "".
        line: counts from 1; 0 if it is not known.
        severity: "error" refuses the file, "warning" is only told.
    """

    where: str
    what: str
    hint: str = ""
    file: str = ""
    line: int = 0
    severity: str = "error"

    def __str__(self) -> str:
        """Return ``file:line: where: what`` and, on a line of its own, the hint."""
        place = ":".join([self.file, str(self.line)] if self.line else [self.file]) if self.file else ""
        head = ": ".join(part for part in (place, self.where, self.what) if part)
        return f"{head}\n{_indented(self.hint)}" if self.hint else head


class ConfigError(HeadraceError):
    """A configuration that cannot be run; carries all of its problems, and beside them what is only suspicious.

    Attributes:
        files: what it was read from, or would have been: where a change may make it right. Empty if nobody noted it.
    """

    def __init__(
        self, file: str, problems: Sequence[Problem], warnings: Sequence[Problem] = (), files: Sequence[str] = ()
    ) -> None:
        """Keep *problems* and *warnings* in the order in which they stand in *file*."""
        self.file = file
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        self.files = tuple(files)
        super().__init__(file, self.problems, self.warnings, self.files)

    def __str__(self) -> str:
        """Return a head line with the count, then each problem, indented."""
        count = len(self.problems)
        head = f"{self.file}: {count} problem{'' if count == 1 else 's'}"
        body = "\n".join("  " + str(problem).replace("\n", "\n  ") for problem in self.problems)
        return f"{head}\n{body}"


class LangError(HeadraceError):
    """A reference, filter, template or mapping that cannot be compiled (at load, never per event).

    Args:
        what: what is wrong, one sentence without a full stop.
        hint: what to do about it, or "".
        column: where in the text, from 1; 0 if it is not known.
    """

    def __init__(self, what: str, hint: str = "", column: int = 0) -> None:
        """Keep the three parts apart, so that the loader can make a `Problem` of them."""
        self.what = what
        self.hint = hint
        self.column = column
        super().__init__(what, hint, column)

    def __str__(self) -> str:
        """Return what is wrong and, on a line of its own, the hint."""
        return f"{self.what}\n{_indented(self.hint)}" if self.hint else self.what


class MappingFailed(HeadraceError):
    """An event that a mapping cannot turn into a payload: required field, cast, template."""


class PluginError(HeadraceError):
    """A plugin that cannot be loaded or broke its contract; says which and how."""


class SettingsError(PluginError):
    """A plugin's settings that cannot work; carries all of their problems.

    Args:
        problems: at least one; ``where`` is the key within the plugin's own table, for example ``url``.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep *problems*, so that the loader can say the line of each."""
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return each problem, with its hint on a line of its own."""
        return "\n".join(map(str, self.problems))


class StoreError(HeadraceError):
    """The store cannot do what was asked: locked, corrupt, newer schema, failed write."""


class StoreFull(StoreError):
    """No room: the disk has only its reserve left, or pinned rows alone exceed the size limit."""


class ProtocolError(HeadraceError):
    """A peer that does not speak the protocol; the text is sent back to it."""


class SignatureError(HeadraceError):
    """A message that does not show that it is from whom it should be; the text is sent back to its sender."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the nearest of *choices*, or "" if none is near."""
    near = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else ""


def one_of(choices: Iterable[str]) -> str:
    """Return ``one of: a, b, c`` for a hint, sorted; ``there are none`` when empty."""
    names = sorted(choices)
    return f"one of: {', '.join(names)}" if names else "there are none"


def _indented(hint: str) -> str:
    """Indent every line of *hint*: a caret must stay below its text."""
    return "    " + hint.replace("\n", "\n    ")
