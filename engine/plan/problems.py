"""The list that everything found wrong in a configuration ends up in."""

from __future__ import annotations

from collections.abc import Iterable

from engine.config.load import Loaded, in_order
from engine.errors import LangError, PluginError, Problem


class Problems:
    """Collects what is wrong, each with its file and line, so that all of it is told at once.

    Begins with what was found when the files were read. What is found later at or above the place of such an error is a
    mere consequence (a filter that is misspelt makes a catch-all) and is not noted.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._found = list(loaded.problems)
        self._broken = [problem.where for problem in loaded.problems if problem.severity == "error"]

    def error(self, where: str, what: str, hint: str = "") -> None:
        """Note what refuses the configuration; *where* is the dotted path of the key."""
        self._note(where, what, hint, "error")

    def warn(self, where: str, what: str, hint: str = "") -> None:
        """Note what is probably a mistake."""
        self._note(where, what, hint, "warning")

    def lang(self, where: str, error: LangError) -> None:
        """Note a text that does not compile."""
        self.error(where, error.what, error.hint)

    def plugin(self, where: str, error: PluginError) -> None:
        """Note a plugin that cannot be used; the first line of its text says what, the rest what to do."""
        what, _, hint = str(error).partition("\n")
        self.error(where, what, hint)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Note what others have found."""
        self._found += problems

    def of(self, severity: str) -> tuple[Problem, ...]:
        """Return the errors or the warnings, as they stand in the files."""
        files = list(dict.fromkeys([self._loaded.file, *(problem.file for problem in self._found if problem.file)]))
        return in_order([problem for problem in self._found if problem.severity == severity], files)

    def _note(self, where: str, what: str, hint: str, severity: str) -> None:
        if not any(place == where or place.startswith((f"{where}.", f"{where}[")) for place in self._broken):
            self._found.append(self._loaded.problem(where, what, hint, severity))
