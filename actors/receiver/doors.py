"""A source's way in, as the tree makes it: its plan, its books, its tap, and where its events go."""

from __future__ import annotations

from typing import Protocol

from actors.receiver.origins import Origins
from engine.messages import Span
from engine.observe.tap import Tap
from engine.plan import Doorway
from engine.plugin import Secret
from engine.runtime.channel import Inbox
from engine.runtime.mark import Mark


class Named(Protocol):
    """What the door knows of a source's plan."""

    @property
    def name(self) -> str:
        """Return the source's name."""

    @property
    def enabled(self) -> bool:
        """Return whether it takes events."""

    @property
    def write_keys(self) -> tuple[Secret, ...]:
        """Return what clients show."""

    @property
    def doorway(self) -> Doorway:
        """Return who may come in, and how."""


class Counts:
    """The door's books of one source since start: read = refused + duplicate + accepted.

    Attributes:
        refused: code to how many.
    """

    __slots__ = ("accepted", "duplicate", "read", "refused")

    def __init__(self) -> None:
        self.read = 0
        self.refused: dict[str, int] = {}
        self.duplicate = 0
        self.accepted = 0

    def balanced(self) -> bool:
        """Return whether the books balance."""
        return self.read == sum(self.refused.values()) + self.duplicate + self.accepted


class Door:
    """One source's way in; belongs to the tree and outlives the receiver.

    Attributes:
        inbox: the validator's.
        mark: how far this source's events have come, accepted ones; moved before the inbox is offered anything.
        origins: the pages that may send.
        tap: the last events, for whoever looks.
    """

    __slots__ = ("counts", "inbox", "mark", "origins", "plan", "tap")

    def __init__(self, plan: Named, inbox: Inbox[Span], mark: Mark) -> None:
        self.plan = plan
        self.inbox = inbox
        self.mark = mark
        self.origins = Origins(plan.doorway.origins)
        self.counts = Counts()
        self.tap = Tap()
