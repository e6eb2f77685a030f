"""A bar for what takes a while: on a terminal; machines see nothing of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Moved = Callable[[int, int], None]
"""Told how much is done, and how much there is."""


@contextmanager
def bar(title: str) -> Iterator[Moved]:
    """Yield what moves a bar, if there is a terminal to draw it on."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415 - machines need none of it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        line = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(line, completed=done, total=total)
