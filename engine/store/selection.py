"""Which ledger rows are meant."""

from __future__ import annotations

import msgspec

from engine.messages import State


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger rows; every given part must hold.

    Attributes:
        stage: one of `Stage`, or "" for any.
        since: epoch seconds; rows whose last trouble is not older.
        until: epoch seconds; rows whose last trouble is not younger; 0.0 for no limit.
        text: a part of the error or the messageId, any case.
        after: the id of the last row of the page before; pages go from the newest to the oldest. Only for `list`.
        limit: rows on a page. Only for `list`: `retry` and `discard` take every row that matches.
    """

    ids: tuple[str, ...] = ()
    sync: str = ""
    source: str = ""
    destination: str = ""
    states: tuple[State, ...] = ()
    reason: str = ""
    stage: str = ""
    since: float = 0.0
    until: float = 0.0
    text: str = ""
    after: str = ""
    limit: int = 100
