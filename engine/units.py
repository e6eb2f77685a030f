"""Durations, sizes and rates as people write them: text with a unit, a number to the engine."""

from __future__ import annotations

import re
from typing import Self

_DURATION = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([smh])\s*")
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def _parse(text: str, units: dict[str, float] | dict[str, int], example: str) -> float:
    """Return the number of base units that *text* says, or raise ValueError with what was expected."""
    if not (match := _NUMBER.fullmatch(text)) or match[2] not in units:
        raise ValueError(f'expected a number and one of {" ".join(units)}, for example "{example}", got {text!r}')
    return float(match[1]) * units[match[2]]


class Duration(float):
    """Seconds, written ``"250ms"``, ``"5s"``, ``"10m"``, ``"4h"`` or ``"3d"``."""

    __slots__ = ()

    def __new__(cls, text: str | float) -> Self:
        """Take text with a unit, or seconds.

        Raises:
            ValueError: says what was expected.
        """
        return super().__new__(cls, _parse(text, _DURATION, "5s") if isinstance(text, str) else text)


class Size(int):
    """Bytes, written ``"32 KiB"``, ``"4 MiB"`` or ``"20 GiB"``."""

    __slots__ = ()

    def __new__(cls, text: str | int) -> Self:
        """Take text with a unit, or bytes.

        Raises:
            ValueError: says what was expected.
        """
        return super().__new__(cls, int(_parse(text, _SIZE, "32 KiB")) if isinstance(text, str) else text)


class Rate(float):
    """A number a second, written ``"50/s"``, ``"300/m"`` or ``"1000/h"``."""

    __slots__ = ()

    def __new__(cls, text: str | float) -> Self:
        """Take text with a period, or a number a second.

        Raises:
            ValueError: says what was expected.
        """
        if not isinstance(text, str):
            return super().__new__(cls, text)
        match = _RATE.fullmatch(text)
        if not match or not float(match[1]):
            raise ValueError(f'expected a number above 0, "/" and s, m or h, as in "50/s", got {text!r}')
        return super().__new__(cls, float(match[1]) / _PER[match[2]])


class Backoff(str):
    """Two durations, written ``"5s..5m"``: the longest wait before the second attempt, and the longest of all."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Take text.

        Raises:
            ValueError: says what was expected.
        """
        made = super().__new__(cls, text)
        if made.base > made.cap:
            raise ValueError(f'expected the shorter duration first, as in "5s..5m", got {text!r}')
        return made

    def _half(self, index: int) -> float:
        """Return one of the two durations, in seconds."""
        halves = self.split("..")
        if len(halves) != 2:  # noqa: PLR2004 - two halves
            raise ValueError(f'expected two durations with ".." between, as in "5s..5m", got {str(self)!r}')
        return Duration(halves[index])

    @property
    def base(self) -> float:
        """Seconds before the second attempt, at most."""
        return self._half(0)

    @property
    def cap(self) -> float:
        """Seconds between any two attempts, at most."""
        return self._half(1)
