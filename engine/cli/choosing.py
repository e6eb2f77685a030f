"""Which entries of the ledger a command is about, as options that several commands share."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from engine.cli.common import warn
from engine.errors import HeadraceError
from engine.lang.dates import time_or_age

if TYPE_CHECKING:
    from engine.store.base import Selection

States = Literal["retrying", "archived", "blocked", "discarded"]
Stages = Literal["", "contract", "function", "mapping", "send"]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], negative="", show_default=False, help="Do not ask.")]
Limit = Annotated[int, Parameter(validator=Number(gte=1), help="At most so many, the newest first.")]
DryRun = Annotated[bool, Parameter(negative="", show_default=False, help="Only count.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Parts:
    """What entries may be chosen by; every given part must hold."""

    sync: Annotated[str, Parameter(show_default=False, help="Only this sync.")] = ""
    source: Annotated[str, Parameter(show_default=False, help="Only this source.")] = ""
    destination: Annotated[str, Parameter(show_default=False, help="Only this destination.")] = ""
    stage: Annotated[Stages, Parameter(show_default=False, help="Only what failed at this stage.")] = ""
    reason: Annotated[str, Parameter(show_default=False, help="Only this reason, for example rejected_400.")] = ""
    since: Annotated[str, Parameter(show_default=False, help='Not older: "2h", or a time like 2026-01-31T12:00Z.')] = ""
    until: Annotated[str, Parameter(show_default=False, help="Not younger; likewise.")] = ""
    text: Annotated[str, Parameter(show_default=False, help="A part of the error or the messageId, any case.")] = ""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters(Parts):
    """Which entries."""

    state: Annotated[tuple[States, ...], Parameter(show_default=False, negative="", help="Only these states.")] = ()

    def selection(self, ids: tuple[str, ...] = (), *, after: str = "", limit: int = 100) -> Selection:
        """Return what the store looks for.

        Raises:
            HeadraceError: ``since`` or ``until`` is no time.
        """
        from engine.messages import State  # noqa: PLC0415 - with the store
        from engine.store.base import Selection  # noqa: PLC0415

        return Selection(
            ids=ids,
            sync=self.sync,
            source=self.source,
            destination=self.destination,
            stage=self.stage,
            states=tuple(State(one) for one in self.state),
            reason=self.reason,
            since=moment("--since", self.since, time.time()),
            until=moment("--until", self.until, time.time()),
            text=self.text,
            after=after,
            limit=limit,
        )


ALL = Filters()
"""No wish at all."""


def moment(option: str, text: str, now: float) -> float:
    """Return epoch seconds of a time, or of so long ago; 0.0 for no text.

    Raises:
        HeadraceError: it is neither.
    """
    try:
        return time_or_age(text, now) if text else 0.0
    except ValueError as error:
        raise HeadraceError(f"{option}: {error}") from None


def agreed(question: str, *, yes: bool, else_: str = ", or --dry-run to count only") -> bool:
    """Return whether to go on; without a terminal to ask on, only if *yes* says so.

    Args:
        question: what to ask.
        yes: whether it is agreed already.
        else_: what may be said instead of ``--yes``.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        warn(f"{question}\n    nobody is here to ask: say --yes to do it{else_}")
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
