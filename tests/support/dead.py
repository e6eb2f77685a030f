"""What an engine that was killed left in its store: the books hold at every moment, not only at rest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.messages import State
from engine.store.base import Selection
from engine.store.opening import open_reader

ALL = 10**9


def log_end(folder: Path) -> int:
    """Return the last position of a dead engine's log."""
    with open_reader(folder / "data") as reader:
        return reader.last()


def unbalanced(folder: Path) -> list[str]:
    """Return the books of a dead engine with one source that do not balance.

    A source's fates are as of its cursor, a sync's as of its progress, and a delivery is open, in the ledger, or has a
    fate: each is written in one transaction with the other.
    """
    wrong: list[str] = []
    with open_reader(folder / "data") as reader:
        counts = Counter(reader.counts())
        ledger = reader.list(Selection(limit=ALL))
        for cursor in reader.cursors():
            own = {name: counts[f"source:{cursor.source}", name] for name in ("passed", "blocked", "dropped", "failed")}
            derived = counts[f"source:{cursor.source}", "derived"]
            if cursor.position + derived != sum(own.values()):
                wrong.append(f"source {cursor.source}: {cursor.position} + {derived} derived ≠ {own}")
            if cursor.position > reader.last():
                wrong.append(f"source {cursor.source}: {cursor.position} is beyond the log's {reader.last()}")
        for page in reader.progress():
            own = {name: counts[f"sync:{page.sync}", name] for name in ("delivered", "archived", "discarded", "erased")}
            states = Counter(trouble.state for trouble in ledger if trouble.sync == page.sync)
            held = {"open": len(page.open), "retrying": states[State.RETRYING]}
            created = counts[f"sync:{page.sync}", "created"]
            if created != sum(own.values()) + sum(held.values()):
                wrong.append(f"deliveries of {page.sync}: {created} ≠ {own} + {held}")
            if own["archived"] != states[State.ARCHIVED]:
                wrong.append(f"archive of {page.sync}: {own['archived']} counted, {states[State.ARCHIVED]} there")
    return wrong
