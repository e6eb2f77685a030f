"""What the ledger says of order: rows that hold back others of their turn, and rows that wait for theirs."""

from __future__ import annotations

import msgspec


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What was written that the order of deliveries depends on.

    Attributes:
        ended: ids of ledger rows that were retrying and are not any more, or that somebody said were and are not.
        discarded: of these, those that a person discarded.
        parked: sync and turn of each row that was parked.
    """

    ended: tuple[str, ...] = ()
    discarded: tuple[str, ...] = ()
    parked: tuple[tuple[str, str], ...] = ()


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What of one turn waits in the ledger: a row that is tried again, or all that are parked.

    Attributes:
        id: of the row that is tried again; "" for those that are parked.
        count: how many rows.
        position: the highest of theirs.
    """

    sync: str
    turn: str
    id: str = ""
    count: int = 1
    position: int = 0
