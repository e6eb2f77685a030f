"""The books: what came in equals what became of it, at the door, at each source, in each sync, for each delivery."""

from __future__ import annotations

import msgspec

from engine.observe.status import SourceStatus, Status, SyncStatus

Term = tuple[str, int]
"""A name and how many."""


class Equation(msgspec.Struct, frozen=True, kw_only=True):
    """Two sums that must be equal.

    Attributes:
        scope: what they are about, for example ``sync orders``.
        came: what there was.
        went: what became of it.
    """

    scope: str
    came: tuple[Term, ...]
    went: tuple[Term, ...]

    @property
    def balanced(self) -> bool:
        """Return whether the sums are equal."""
        return sum(count for _, count in self.came) == sum(count for _, count in self.went)

    def text(self) -> str:
        """Return both sums with their numbers."""
        came, went = (" + ".join(f"{count:,} {name}" for name, count in side) for side in (self.came, self.went))
        return f"{came} {'=' if self.balanced else '≠'} {went}"


def equations(status: Status) -> list[Equation]:
    """Return all books of an engine whose store was made when it started; ``passed`` has the derived events in it.

    The door counts since start, everything else since the store was made: with an older store the lines of sources and
    of the log cannot balance.
    """
    passed = {source.name: source.passed for source in status.sources}
    accepted = sum(source.accepted for source in status.sources)
    return [
        *(_door(source) for source in status.sources),
        Equation(scope="log", came=(("accepted", accepted),), went=(("positions", status.last),)),
        *(_source(source) for source in status.sources),
        *(line for sync in status.syncs for line in _sync(sync, passed[sync.source])),
    ]


def _door(source: SourceStatus) -> Equation:
    went = (
        ("refused", sum(source.refused.values())),
        ("duplicate", source.duplicate),
        ("accepted", source.accepted),
    )
    return Equation(scope=f"door of {source.name}", came=(("read", source.read),), went=went)


def _source(source: SourceStatus) -> Equation:
    came = (("accepted", source.accepted), ("derived", source.derived))
    fates = ("blocked", "dropped", "failed", "passed")
    return Equation(
        scope=f"source {source.name}", came=came, went=tuple((fate, getattr(source, fate)) for fate in fates)
    )


def _sync(sync: SyncStatus, passed: int) -> tuple[Equation, Equation]:
    matched = (("filtered", sum(sync.filtered.values())), ("matched", sync.matched))
    fates = ("delivered", "archived", "discarded", "erased", "pending")
    return (
        Equation(scope=f"sync {sync.name}", came=(("passed", passed),), went=matched),
        Equation(
            scope=f"deliveries of {sync.name}",
            came=(("created", sync.created),),
            went=tuple((fate, getattr(sync, fate)) for fate in fates),
        ),
    )
