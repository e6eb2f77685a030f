"""Replays: what was asked for, how far each has come, and what became of it; kept in Meta, so that none is lost."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from engine.errors import HeadraceError
from engine.messages import State
from engine.store.base import Store
from engine.store.selection import Selection

REPLAYS = "replays"
"""The Meta key of all replays that are remembered, as JSON."""
KEPT = 20
"""Replays that are remembered after their end."""
WAITING = 16
"""Replays that may wait or run at the same time; they run one after the other."""

Fate = Literal["archived", "blocked", "discarded", "delivered", "filtered"]
"""What may be replayed: entries of the ledger by their state, or events of the log by what became of them."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be replayed, and how; every given part must hold.

    Attributes:
        ids, sync, source, destination, stage, reason, text: as for entries of the ledger, see `Selection`.
        fates: entries of these states; events of the log that were delivered or filtered.
        since, until: epoch seconds, 0.0 for no limit: of an entry's last trouble, of an event's receipt.
        filter: a filter over the event, as its sync sees it; "" takes all.
        through_functions: run the functions of the source again, instead of what they made then.
        plan: map with today's plan, or with the one that decided then.
        rate: events a second, at most.
        same_keys: keep the idempotency key even if the payload is another one.
    """

    ids: tuple[str, ...] = ()
    sync: str = ""
    source: str = ""
    destination: str = ""
    stage: str = ""
    reason: str = ""
    text: str = ""
    fates: tuple[Fate, ...] = ("archived", "blocked")
    since: float = 0.0
    until: float = 0.0
    filter: str = ""
    through_functions: bool = False
    plan: Literal["current", "stored"] = "current"
    rate: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    same_keys: bool = False

    @property
    def states(self) -> tuple[State, ...]:
        """The states of ledger rows that are meant."""
        return tuple(State(fate) for fate in self.fates if fate not in {"delivered", "filtered"})

    @property
    def from_log(self) -> bool:
        """Whether events of the log are meant, beside entries of the ledger."""
        return not self.ids and bool({"delivered", "filtered"} & {*self.fates})

    def selection(self) -> Selection:
        """Return which ledger rows are meant."""
        return Selection(
            ids=self.ids,
            sync=self.sync,
            source=self.source,
            destination=self.destination,
            stage=self.stage,
            reason=self.reason,
            text=self.text,
            states=self.states,
            since=self.since,
            until=self.until,
        )

    def same_as(self, other: Wish) -> bool:
        """Return whether both mean the same; how fast does not matter."""
        return msgspec.structs.replace(self, rate=1.0) == msgspec.structs.replace(other, rate=1.0)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay has come: first the log, sync by sync, then the rows of the ledger.

    Attributes:
        row, rows: the number of the last row that was looked at, and of the last that is meant.
        read, upto: by sync, the last position that was looked at, and the last that is meant.
        set: whether the ends are known, which are drawn when the replay begins.
    """

    row: int = 0
    rows: int = 0
    read: dict[str, int] = {}
    upto: dict[str, int] = {}
    set: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.set and self.row >= self.rows and not self.reading

    @property
    def reading(self) -> str:
        """The sync whose events are looked at now; "" if the log is done with."""
        return next((name for name, upto in self.upto.items() if self.read.get(name, 0) < upto), "")

    @property
    def done(self) -> int:
        """How many rows and positions were looked at."""
        return min(self.row, self.rows) + sum(self.read.values())

    @property
    def all(self) -> int:
        """How many there are to look at."""
        return self.rows + sum(self.upto.values())


class Became(msgspec.Struct, kw_only=True):
    """What became of the events of one sync; "" of those that no sync took, since the source's stages stopped them.

    Attributes:
        sent: deliveries that go out (or would).
        changed: of these, those whose payload is another one than before, and so have another key.
        filtered: today's plan does not take the event.
        blocked: the contract of today stops it.
        failed: it fails again: in a function or mapping.
        pending: it waits to be tried anyway, and is left alone.
        gone: neither log nor entry have what is needed: the sync, or the event, or what functions made of it.
    """

    sent: int = 0
    changed: int = 0
    filtered: int = 0
    blocked: int = 0
    failed: int = 0
    pending: int = 0
    gone: int = 0


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One replay.

    Attributes:
        number: from 1 on; 0 for one that only counts.
        at, ended_at: epoch seconds; 0.0 while it has not ended.
        state: ``running`` (or waiting for those before it), ``done`` or ``stopped``.
        became: by sync.
        held: why it does not go on just now, or "".
    """

    number: int = 0
    wish: Wish
    at: float
    ended_at: float = 0.0
    state: Literal["running", "done", "stopped"] = "running"
    place: Place = Place()
    became: dict[str, Became] = {}
    held: str = ""

    @property
    def message(self) -> str:
        """What it is, in a sentence."""
        return f"replay {self.number} {'has begun' if self.state == 'running' else f'is {self.state}'}"


class Replays(msgspec.Struct, frozen=True, kw_only=True):
    """All replays that are remembered, the oldest first.

    Attributes:
        last: the number of the youngest there ever was.
    """

    last: int = 0
    kept: tuple[Replay, ...] = ()

    @property
    def running(self) -> tuple[Replay, ...]:
        """Those that have not ended."""
        return tuple(replay for replay in self.kept if replay.state == "running")

    def begun(self, wish: Wish, now: float) -> Replays:
        """Return these and one more.

        Raises:
            Refused: the same is running already, or too many are.
        """
        for other in self.running:
            if other.wish.same_as(wish):
                raise Refused(
                    f"replay {other.number} does just that, and has not ended\n"
                    f"    headrace replay list shows how far it is; headrace replay stop {other.number} ends it"
                )
        if len(self.running) >= WAITING:
            raise Refused(f"{len(self.running)} replays have not ended\n    wait, or end one: headrace replay stop N")
        replay = Replay(number=self.last + 1, wish=wish, at=now)
        return msgspec.structs.replace(self, last=replay.number, kept=(*self.kept, replay))

    def ended(self, number: int, now: float) -> tuple[Replays, Replay | None]:
        """Return these with a replay stopped where it stands, and that; None if there is none of that number."""
        found = next((one for one in self.kept if one.number == number), None)
        if found is None or found.state != "running":
            return self, found
        found = msgspec.structs.replace(found, state="stopped", ended_at=now)
        return self.moved(found), found

    def moved(self, replay: Replay) -> Replays:
        """Return these with *replay* as it is now; the oldest that ended are forgotten."""
        kept = [replay if one.number == replay.number else one for one in self.kept]
        ended = [one.number for one in kept if one.state != "running"]
        forgotten = set(ended[:-KEPT])
        return msgspec.structs.replace(self, kept=tuple(one for one in kept if one.number not in forgotten))


class Refused(HeadraceError):
    """A replay that is not begun: why, and what to do."""


async def read_replays(store: Store) -> Replays:
    """Return what is remembered."""
    stored = await store.meta.get(REPLAYS)
    return msgspec.json.decode(stored[0], type=Replays) if stored else Replays()


def fact_of(replays: Replays) -> dict[str, bytes]:
    """Return the fact to write."""
    return {REPLAYS: msgspec.json.encode(replays)}
