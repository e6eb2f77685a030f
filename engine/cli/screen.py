"""What the demo shows: lines that change in place on a terminal, and are printed once elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from engine.cli.common import columns, ms, say
from engine.client.send import Progress
from engine.observe.balance import Equation
from engine.observe.status import Status, SyncStatus

Draw = Callable[[list[str]], None]
"""Shows these lines instead of the last."""


@contextmanager
def screen() -> Iterator[Draw]:
    """Yield what draws; without a terminal only the last drawing is seen, at the end."""
    if sys.stdout.isatty():
        from rich.live import Live  # noqa: PLC0415 - machines need none of it
        from rich.text import Text  # noqa: PLC0415

        with Live(auto_refresh=False) as live:
            yield lambda lines: live.update(Text("\n".join(lines)), refresh=True)
        return
    last: list[str] = []

    def keep(lines: list[str]) -> None:
        last[:] = lines

    yield keep
    for line in last:
        say(line)


def standing(status: Status, sent: Progress | None) -> list[str]:
    """Return how the engine stands: all in all, and each sync."""
    counts = {
        "received": sum(source.read for source in status.sources),
        "acked": sent.acked if sent else 0,
        "blocked": sum(source.blocked for source in status.sources),
        "filtered": sum(sum(sync.filtered.values()) for sync in status.syncs),
        "delivered": sum(sync.delivered for sync in status.syncs),
        "archived": sum(sync.archived for sync in status.syncs) + sum(source.failed for source in status.sources),
        "pending": sum(sync.pending + sync.lag for sync in status.syncs),
    }
    head = columns([tuple(counts), tuple(f"{count:,}" for count in counts.values())], left=0)
    titles = ("sync", "to", "delivered", "filtered", "archived", "pending", "p50", "p99")
    return [*head, "", *columns([titles, *(_cells(sync) for sync in status.syncs)], left=2)]


def ledger(books: Sequence[Equation]) -> list[str]:
    """Return each equation with its numbers and whether it holds."""
    cells = [(line.scope, line.text(), "balanced" if line.balanced else "NOT BALANCED") for line in books]
    return columns(cells, left=3)


def _cells(sync: SyncStatus) -> tuple[str, ...]:
    counts = (sync.delivered, sum(sync.filtered.values()), sync.archived, sync.pending + sync.lag)
    return (sync.name, sync.destination, *(f"{count:,}" for count in counts), ms(sync.p50), ms(sync.p99))
