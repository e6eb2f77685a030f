"""Changes of many entries at once: one after the other, a few entries at a time, with how far each has come.

They belong to the running engine: what a change has done when it ends stays done, and the rest can be asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import structlog
import trio

from actors.console.answers import Refused
from actors.console.audit import Audit
from engine.errors import HeadraceError
from engine.observe.audited import Changed
from engine.runtime.clock import Clock
from engine.store.selection import Selection

if TYPE_CHECKING:
    from actors.operator import Operator

AT_ONCE: Final = 200
"""Entries that are changed together."""
WAITING: Final = 8
"""Changes that may wait or run."""
KEPT: Final = 10
"""Changes that are remembered after their end."""

Change = Literal["retry", "discard"]

log = structlog.get_logger()


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """One change of many entries.

    Attributes:
        number: from 1 on, since the engine started.
        who: who asked for it.
        at, ended_at: epoch seconds; 0.0 while it has not ended.
        state: ``running`` (or waiting for those before it), ``done``, ``stopped`` or ``failed``.
        place, all: the number of the ledger's row that was looked at last, and of the last that is meant; 0 before it
            begins.
        matched: entries that were met.
        changed: of these, those that were changed; the others had ended before, or have no payload or no destination.
        error: why it failed, or "".
    """

    number: int
    change: Change
    selection: Selection
    who: str
    at: float
    ended_at: float = 0.0
    state: Literal["running", "done", "stopped", "failed"] = "running"
    place: int = 0
    all: int = 0
    matched: int = 0
    changed: int = 0
    error: str = ""

    @property
    def message(self) -> str:
        """What was begun, in a sentence."""
        return f"it has begun: {self.change} in bulk, number {self.number}"


class Bulks:
    """All changes of many entries, and the task that does them.

    Args:
        operator: makes the changes.
        audit: where the end of each is noted.
        clock: for the time of day.
    """

    def __init__(self, operator: Operator, audit: Audit, clock: Clock) -> None:
        self._operator = operator
        self._audit = audit
        self._clock = clock
        self._kept: dict[int, Bulk] = {}
        self._last = 0
        self._news = trio.Event()

    def known(self) -> tuple[Bulk, ...]:
        """Return those that run or ended lately, the newest first."""
        return tuple(reversed(self._kept.values()))

    def begin(self, change: Change, selection: Selection, who: str) -> Bulk:
        """Return a new one, which runs when those before it have ended.

        Raises:
            Refused: too many wait.
        """
        if sum(one.state == "running" for one in self._kept.values()) >= WAITING:
            raise Refused(409, "too_many", f"{WAITING} such changes have not ended: wait, or stop one")
        self._last += 1
        one = Bulk(number=self._last, change=change, selection=selection, who=who, at=self._clock.wall())
        self._kept[one.number] = one
        for number in [each.number for each in self._kept.values() if each.state != "running"][:-KEPT]:
            del self._kept[number]
        self._news.set()
        return one

    def stop(self, number: int) -> Bulk | None:
        """End one where it stands; None if there is none of that number."""
        one = self._kept.get(number)
        if one is None or one.state != "running":
            return one
        return self._moved(number, **self._over("stopped"))

    async def run(self) -> None:
        """Do what was begun, until cancelled; after a crash the one in hand goes on from its last step."""
        while True:
            one = next((each for each in self._kept.values() if each.state == "running"), None)
            if one is None:
                self._news = trio.Event()
                await self._news.wait()
            else:
                await self._do(one.number)

    async def _do(self, number: int) -> None:
        try:
            if not self._kept[number].all:
                newest = await self._operator.tree.store.history.newest()
                self._moved(number, all=newest)
            while self._kept[number].state == "running" and not await self._step(self._kept[number]):
                pass
            parts = self._over("done")
        except HeadraceError as error:
            log.warning("bulk.failed", number=number, error=str(error))
            parts = {**self._over("failed"), "error": str(error)}
        one = self._kept[number]
        if one.state == "running":  # it may have been stopped meanwhile
            one = msgspec.structs.replace(one, **parts)
        await self._note(one)  # and only then is it told: whoever sees that it is over finds the note
        self._kept[number] = one

    async def _step(self, one: Bulk) -> bool:
        """Change the next few entries; return whether that were all."""
        found = await self._operator.tree.store.history.sweep(one.selection, (one.place, one.all), AT_ONCE)
        changed = 0
        if found:
            some = msgspec.structs.replace(one.selection, ids=tuple(each.id for _, each in found))
            changed = await (self._operator.retry if one.change == "retry" else self._operator.discard)(some)
        whole = len(found) == AT_ONCE
        self._moved(
            one.number,
            place=found[-1][0] if whole else one.all,
            matched=one.matched + len(found),
            changed=one.changed + changed,
        )
        return not whole

    def _over(self, state: str) -> dict[str, Any]:
        return {"state": state, "ended_at": self._clock.wall()}

    def _moved(self, number: int, **parts: Any) -> Bulk:
        self._kept[number] = one = msgspec.structs.replace(self._kept[number], **parts)
        return one

    async def _note(self, one: Bulk) -> None:
        told = f"{one.state}: {one.changed:,} of {one.matched:,} entries"
        what = f"{one.change} in bulk, number {one.number}"
        await self._audit.add(
            Changed(at=one.ended_at, who=one.who, what=what, told=one.error or told, failed=one.state == "failed")
        )
