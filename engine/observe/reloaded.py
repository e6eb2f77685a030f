"""What came of a reload."""

from __future__ import annotations

import msgspec


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of reading the configuration again.

    Attributes:
        refused: every problem, if it was refused and nothing changed; "" if it took effect.
        changes: what is other than before, a sentence each.
        restart: keys that are other than before and that only a restart changes.
        warnings: what is probably a mistake.
        revision: the number of the configuration that is in force.
    """

    refused: str = ""
    changes: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    revision: int = 0
