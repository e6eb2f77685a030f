"""Questions on a terminal; without one, what is missing is named all at once."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.cli.common import warn
from engine.errors import HeadraceError, did_you_mean, one_of

if TYPE_CHECKING:
    from engine.plan.suggest import Asked


class Questions:
    """Asks, one after the other; an answer that cannot be is asked for again.

    Args:
        silent: ask nothing; what has a default gets it.
    """

    def __init__(self, *, silent: bool) -> None:
        self._ask = sys.stdin.isatty() and not silent
        self._missing: list[str] = []

    def text(self, what: str, given: str, *, default: str, like: re.Pattern[str]) -> str:
        """Return a name: what was given, what is answered, or the default."""
        answer = given or self._answer(what, default)
        while not like.fullmatch(answer):
            problem = f"{what}: '{answer}' is no name: letters, digits, - and _"
            if not self._ask or given:
                self._missing.append(problem)
                return answer
            warn(problem)
            answer = self._answer(what, default)
        return answer

    def choice(self, what: str, given: str, choices: Sequence[str], *, default: str) -> str:
        """Return one of *choices*.

        Raises:
            HeadraceError: what was given is none.
        """
        answer = given or self._answer(f"{what} ({', '.join(choices)})", default)
        while answer not in choices:
            problem = f"{what}: there is no '{answer}'; {did_you_mean(answer, choices) or one_of(choices)}"
            if not self._ask or given:
                raise HeadraceError(problem)
            warn(problem)
            answer = self._answer(what, default)
        return answer

    def setting(self, asked: Asked) -> str:
        """Return a plugin's setting; "" leaves it out."""
        if not self._ask:
            if asked.required:
                self._missing.append(f"{asked.name}: {asked.help}\n    say it with: --set {asked.name}=VALUE")
            return ""
        warn(f"  {asked.help}")
        while True:
            optional = "" if asked.required else ", nothing for none"
            if asked.kind == "secret":
                answer = getpass.getpass(f"{asked.name} (env:NAME, or the secret itself{optional}): ").strip()
            else:
                answer = self._answer(f"{asked.name}{optional}", "")
            if answer or not asked.required:
                return answer

    def several(self, what: str, choices: Sequence[str]) -> list[str]:
        """Return some of *choices* by their numbers, or other texts; [] for none."""
        if not self._ask:
            return []
        for number, choice in enumerate(choices, 1):
            warn(f"  {number}  {choice}")
        answer = self._answer(what, "")
        parts = [part.strip() for part in answer.split(",") if part.strip()]
        return [choices[int(part) - 1] if part.isdigit() and 0 < int(part) <= len(choices) else part for part in parts]

    def agreed(self, question: str) -> bool:
        """Return whether to go on; nobody to ask means yes, since options have said it."""
        return not self._ask or self._answer(f"{question} [Y/n]", "y").casefold() in {"y", "yes"}

    def check(self) -> None:
        """Check that all is known.

        Raises:
            HeadraceError: with all that is missing.
        """
        if self._missing:
            raise HeadraceError("\n".join(self._missing))

    def _answer(self, what: str, default: str) -> str:
        if not self._ask:
            return default
        sys.stderr.write(f"{what} [{default}]: " if default else f"{what}: ")
        sys.stderr.flush()
        line = sys.stdin.readline()
        if not line:
            raise HeadraceError("nothing was written: the answers ended")
        return line.strip() or default
