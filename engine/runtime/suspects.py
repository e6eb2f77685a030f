"""Whose fault a bad answer is, the destination's or that of what was sent: who got one and has not arrived since."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 64
"""Names remembered; with so many it is the destination, and every further one counts as new."""


class Suspects:
    """Names of what was answered badly and has not arrived yet.

    One thing that fails again and again says less than many that fail once: it may be to blame itself. That does not
    change when others arrive: what fails before and after a good answer is to blame all the more.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._lately: set[str] = set()  # of these, since the last good answer

    def note(self, names: Iterable[str]) -> bool:
        """Remember *names*; return whether any was not known."""
        bad = list(names)
        new = [name for name in bad if name not in self._names]
        self._names.update(new[: MOST - len(self._names)])
        self._lately.update(bad[: MOST - len(self._lately)])
        return bool(new)

    def drop(self, names: Iterable[str]) -> None:
        """Forget *names*: they will not be tried again."""
        gone = set(names)
        self._names -= gone
        self._lately -= gone

    def others(self, name: str) -> bool:
        """Return whether anybody but *name* was answered badly since the last good answer."""
        return bool(self._lately - {name})

    def absolve(self, names: Iterable[str]) -> None:
        """Forget *names*, which arrived, and what the others say of the destination."""
        if self._names:
            self._names.difference_update(names)
        self._lately.clear()
