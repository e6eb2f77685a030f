"""What a supervisor is told about its children, and what it tells about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from engine.errors import HeadraceError
from engine.runtime.channel import Inbox

Condition = Literal["starting", "running", "stopping", "restarting", "stopped", "down"]
"""What a child is doing; ``down`` means it was given up after too many deaths."""

Happening = Literal["started", "died", "restarting", "cancelled", "stopped", "down"]
"""What can happen to a child; ``cancelled`` means that it did not finish within its drain."""


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """How to start, restart and stop one child.

    Attributes:
        name: unique under its supervisor; the name that logs and metrics use.
        start: called for every (re)start; returns when the child is done.
        stop: asks the running child to finish what it holds and return; called at most once per start.
        drain: seconds it has for that before it is cancelled; ``math.inf`` for a nested supervisor, whose
            own children have theirs.
        inbox: what it receives from, if that should offer again what a dead child had in hand. Reopened at
            every start, so that ``stop`` may be ``inbox.close``.
        restart: ``permanent`` always, ``transient`` unless it returned, ``temporary`` never.
        essential: whether its supervisor cannot live without it.
        rank: neighbours of one rank are stopped together, so that their drains do not add up; "" stands alone.
    """

    name: str
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], None]
    drain: float = 5.0
    inbox: Inbox[Any] | None = None
    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    essential: bool = False
    rank: str = ""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Growing waits between restarts.

    Attributes:
        first: seconds before the first counted restart.
        factor: what each further wait is longer by.
        cap: seconds between any two restarts, at most.
    """

    first: float = 0.1
    factor: float = 2.0
    cap: float = 5.0

    def delay(self, deaths: int) -> float:
        """Return seconds to wait after the last of *deaths* (from 1) within one period."""
        return min(self.cap, self.first * self.factor ** (deaths - 1))


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When a supervisor gives a child up.

    Attributes:
        intensity: restarts within *period* that are still tolerated.
        period: seconds.
        backoff: the waits between restarts.
    """

    intensity: int = 3
    period: float = 30.0
    backoff: Backoff = Backoff()


class ChildState(msgspec.Struct, frozen=True, kw_only=True):
    """One child, as of now.

    Attributes:
        condition: what it is doing.
        restarts: how often it was started again after a death.
        error: what it last died of, as ``ValueError: text``; "" if it never did.
    """

    condition: Condition
    restarts: int
    error: str


class ChildEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a child.

    Attributes:
        child: its name.
        what: what happened.
        restarts: how often it was started again so far.
        error: for ``died`` and ``down``, what it died of, as ``ValueError: text``; else "".
        trace: for ``died``, the whole traceback; else "".
        delay: for ``restarting``, seconds until it is started again.
    """

    child: str
    what: Happening
    restarts: int = 0
    error: str = ""
    trace: str = ""
    delay: float = 0.0


class TooManyRestarts(HeadraceError):
    """An essential child died more often than its supervisor tolerates."""

    def __init__(self, child: str, policy: Policy, error: str) -> None:
        """Keep the *child*'s name, the *policy* it exceeded, and what it last died of."""
        self.child = child
        self.error = error
        super().__init__(
            f"'{child}' died more than {policy.intensity} times within {policy.period:g} s, last of {error}\n"
            f"    the tracebacks of all its deaths are in the log"
        )


class Unbidden(HeadraceError):
    """A permanent child returned although nobody had asked it to stop."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("it returned although nobody had asked it to stop")
