"""Charts as SVG paths: drawn by the server, redrawn by the browser in the same way. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

WIDTH: Final = 600
HEIGHT: Final = 120
POINTS: Final = 300
"""Places on the x axis, one a second; the newest is on the right."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a chart.

    Attributes:
        name: for people.
        key: for the browser: which number of a sample it shows.
        values: one a second, oldest first; None where there is none.
        path: SVG's ``d``.
        area: the same, closed down to the axis.
    """

    name: str
    key: str
    values: tuple[float | None, ...]
    path: str
    area: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Several lines on one scale.

    Attributes:
        title: what is shown.
        unit: ``rate`` or ``seconds``.
        top: the value at the upper edge.
        lines: in the order they are drawn.
    """

    title: str
    unit: str
    top: float
    lines: tuple[Line, ...]


def chart(title: str, unit: str, series: Sequence[tuple[str, str, Sequence[float | None]]]) -> Chart:
    """Return a chart of *series*: name, key and values of each."""
    top = ceiling(max((value for _, _, values in series for value in values if value is not None), default=0.0))
    lines = tuple(
        Line(name=name, key=key, values=tuple(values), path=path(values, top), area=area(values, top))
        for name, key, values in series
    )
    return Chart(title=title, unit=unit, top=top, lines=lines)


def ceiling(most: float) -> float:
    """Return the next 1, 2 or 5 of a power of ten above *most*."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def path(values: Sequence[float | None], top: float) -> str:
    """Return the line through *values*; it breaks where there is none, and a lone one is a dot."""
    return " ".join(f"{mark}{x:.1f} {y:.1f}{'h0' if mark == 'M' else ''}" for mark, x, y in _steps(values, top))


def area(values: Sequence[float | None], top: float) -> str:
    """Return what lies below the line."""
    made: list[str] = []
    last = None
    for mark, x, y in _steps(values, top):
        if mark == "M":
            made += [] if last is None else [f"L{last:.1f} {HEIGHT} Z"]
            made.append(f"M{x:.1f} {HEIGHT} L{x:.1f} {y:.1f}")
        else:
            made.append(f"L{x:.1f} {y:.1f}")
        last = x
    return " ".join([*made, f"L{last:.1f} {HEIGHT} Z"]) if last is not None else ""


def _steps(values: Sequence[float | None], top: float) -> list[tuple[str, float, float]]:
    steps: list[tuple[str, float, float]] = []
    broken = True
    for place, value in enumerate(values, POINTS - len(values)):
        if value is not None:
            steps.append(("M" if broken else "L", place * WIDTH / (POINTS - 1), HEIGHT - value / top * HEIGHT))
        broken = value is None
    return steps
