"""Whose fault a bad answer is, the destination's or that of what was sent: who got one since the last good answer."""

from __future__ import annotations

from collections.abc import Iterable

MOST = 64
"""Names remembered; with so many it is the destination, and every further one counts as new."""


class Suspects:
    """Names of what was answered badly since the last good answer.

    One thing that fails again and again says less than many that fail once: it may be to blame itself.
    """

    def __init__(self) -> None:
        self._names: set[str] = set()

    def note(self, names: Iterable[str]) -> bool:
        """Remember *names*; return whether any was not known."""
        new = [name for name in names if name not in self._names]
        self._names.update(new[: MOST - len(self._names)])
        return bool(new)

    def drop(self, names: Iterable[str]) -> None:
        """Forget *names*: they will not be tried again."""
        self._names.difference_update(names)

    def others(self, name: str) -> bool:
        """Return whether anybody but *name* is known."""
        return bool(self._names - {name})

    def clear(self) -> None:
        """Forget all: there was a good answer."""
        self._names.clear()
