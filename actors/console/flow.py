"""The flow as a picture: sources on the left, syncs in the middle, destinations on the right. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from engine.observe.status import Status

BOX: Final = (190, 44)
"""Width and height of a box."""
GAP: Final = 16
"""Between two boxes of a column."""
COLUMNS: Final = (10, 305, 600)
"""Where each column begins."""
WIDTH: Final = 800
LONGEST: Final = 24
"""Letters of a name that fit into a box."""


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of the picture.

    Attributes:
        x, y: its upper left corner.
        name: whole; `label` is what fits.
        below: a second line.
        link: where it leads.
    """

    x: int
    y: int
    name: str
    label: str
    below: str
    state: str
    link: str


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Boxes, and the lines between them as SVG paths with the state of whom they lead to."""

    height: int
    boxes: tuple[Box, ...]
    lines: tuple[tuple[str, str], ...]


def picture(status: Status, links: Mapping[str, str]) -> Picture:
    """Return the picture of an engine.

    Args:
        status: its parts.
        links: kind (``source``, ``sync``, ``destination``) to the address of one's page, with ``{}`` for its name.
    """
    most = max(len(status.sources), len(status.syncs), len(status.destinations), 1)
    height = most * (BOX[1] + GAP) + GAP
    sources = _column(0, height, [(one.name, "source", one.state) for one in status.sources], links["source"])
    syncs = _column(1, height, [(one.name, "sync", one.state) for one in status.syncs], links["sync"])
    destinations = _column(
        2, height, [(one.name, one.type, one.state) for one in status.destinations], links["destination"]
    )
    lines: list[tuple[str, str]] = []
    for sync in status.syncs:
        middle = syncs[sync.name]
        if sync.source in sources:
            lines.append((_curve(sources[sync.source], middle), sync.state))
        if sync.destination in destinations:
            lines.append((_curve(middle, destinations[sync.destination]), destinations[sync.destination].state))
    return Picture(
        height=height, boxes=(*sources.values(), *syncs.values(), *destinations.values()), lines=tuple(lines)
    )


def _column(place: int, height: int, things: Sequence[tuple[str, str, str]], link: str) -> dict[str, Box]:
    """Return the boxes of one column, in the middle of the height, by name."""
    own = len(things) * (BOX[1] + GAP) - GAP
    first = (height - own) // 2
    return {
        name: Box(
            x=COLUMNS[place],
            y=first + number * (BOX[1] + GAP),
            name=name,
            label=name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…",
            below=below,
            state=state,
            link=link.format(quote(name, safe="")),
        )
        for number, (name, below, state) in enumerate(things)
    }


def _curve(left: Box, right: Box) -> str:
    """Return a line from the right edge of one box to the left edge of another."""
    x, y, end, over = left.x + BOX[0], left.y + BOX[1] // 2, right.x, right.y + BOX[1] // 2
    middle = (x + end) // 2
    return f"M{x} {y} C{middle} {y} {middle} {over} {end} {over}"
