"""Forgetting one user: what to erase, and how much was. What is left tells neither who it was nor what was said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from engine.messages import Envelope, Logged, Result, Trouble
from engine.store.looking import Who


class Tomb(msgspec.Struct, frozen=True, kw_only=True):
    """What stays of an erased event: its place, so that the books and every reader go on.

    Attributes:
        blocked: whether the source's contract had stopped it; else syncs that have not read it yet filter it.
        results: events that functions had made of it; None if nothing was stored.
    """

    position: int
    source: str
    received_at: float
    blocked: bool = False
    result: Result | None = None

    def logged(self) -> Logged:
        """Return the log row: no bytes, no id."""
        erased = "blocked" if self.blocked else "passed"
        envelope = Envelope(message_id="", received_at=self.received_at, erased=erased)
        return Logged(position=self.position, source=self.source, raw=b"", envelope=envelope)

    def left(self) -> Result | None:
        """Return the stored result: as many events as there were, all empty."""
        if self.result is None:
            return None
        return Result(
            position=self.position,
            outcome=self.result.outcome,
            events=(b"{}",) * len(self.result.events),
            reason=self.result.reason,
        )


class Eraser(Protocol):
    """What forgets. Each call is one transaction or several; after a crash it is called again."""

    async def bury(self, tombs: Sequence[Tomb]) -> int:
        """Replace log rows and their results; return how many events were not erased before.

        From then on a ledger row that is written for one of these positions is not: it counts as ``erased``.
        """

    async def erase_rows(self, ids: Sequence[str]) -> list[Trouble]:
        """Delete ledger rows; return them. One that waited or was archived counts as ``erased`` from now on."""

    async def erase_rest(self, who: Who | None, positions: Sequence[int]) -> dict[str, int]:
        """Delete what broke contracts at these positions; return counts.

        Of that user, if one is named, also what broke contracts elsewhere, and windows by that key: a scan.
        """

    async def scrub(self) -> bool:
        """Overwrite what was deleted, now or before; return whether all copies of it are gone from the files."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One user's erasure, which goes on step by step: the log from its end to its beginning, then the ledger.

    Attributes:
        kind: whose id it is.
        below: the log is erased from this position on; 0 before it begins.
        row, rows: of the ledger, see `History.sweep`.
        last: the log's last position when it began.
        events, results, rows_erased, violations, windows, remembered: what was erased where: in the log, of what
            functions made, in the ledger by its state, of broken contracts, of windows, of messageIds to recognise
            duplicates by.
        taken: deliveries that waited for their sender, and go nowhere.
        in_flight: deliveries that are in a request just now, or in a router's hand, and may still arrive.
        scrubbed: whether the bytes are gone from the files, too.
    """

    kind: Literal["userId", "anonymousId"]
    value: str
    state: Literal["log", "ledger", "rest", "done"] = "log"
    last: int = 0
    below: int = 0
    row: int = 0
    rows: int = 0
    events: int = 0
    results: int = 0
    rows_erased: dict[str, int] = {}
    violations: int = 0
    windows: int = 0
    remembered: int = 0
    taken: int = 0
    in_flight: int = 0
    scrubbed: bool = False

    @property
    def who(self) -> Who:
        """Whose events they are."""
        return self.kind, self.value

    @property
    def message(self) -> str:
        """How far it is, in a sentence that does not say who."""
        if self.state != "done":
            return f"an erasure by {self.kind} has begun"
        return f"{self.events:,} events and {sum(self.rows_erased.values()):,} entries by {self.kind} are erased"

    @property
    def done(self) -> int:
        """How many positions and rows were looked at."""
        return (self.last + 1 - self.below if self.last else 0) + self.row

    @property
    def all(self) -> int:
        """How many there are."""
        return self.last + self.rows
