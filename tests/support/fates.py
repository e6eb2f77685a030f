"""A simple model of delivery: what may become of each event in each sync, by what was seen outside the engine.

Outside is the destination, which notes all that arrives and answers each delivery as the event itself says, and the
person, whose deeds are noted as well. Nothing here looks at how the engine decides.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import trio

from engine.messages import Delivery, State, Trouble
from engine.plugin import Item, by_status
from tests.support.grown import Answer, hang
from tests.support.order import Came, disorder

RECENT = 1.5
"""Seconds before a crash: what arrived earlier, answer included, was written down."""
SLOW = 0.7
"""Seconds that a slow destination takes."""
FILTERED = frozenset({"disabled", "no_event_type", "erased"})
"""What a sync may say of an event that it makes nothing of."""
PACED = 2.0
"""Seconds for which a destination asks to be left alone when it says 429."""
HASTE = 0.5
"""Seconds between two attempts at one delivery, at least: half of the shortest back-off, by an engine's even chance."""
HANGS = 2.0
"""Seconds after which an attempt is given up."""
TRIED = frozenset({0, 408, 423, 425, 429, 500, 502, 503, 504})
"""Statuses that are tried again; 0 stands for no answer."""

Place = tuple[str, int]
"""A sync, and the number of an event: its position, too."""


class Said(msgspec.Struct, frozen=True):
    """One event.

    Attributes:
        script: the statuses that destinations answer it with, one for each attempt; the last one stays.
        whole: whether it has the field that a strict mapping wants.
        kills: which actor dies of it: ``router``, ``validator``, or none.
    """

    n: int
    user: str
    kind: str
    whole: bool
    script: tuple[int, ...]
    kills: str = ""


class Regime(msgspec.Struct, frozen=True):
    """A configuration, as far as fates depend on it.

    Attributes:
        refuses: the kind of event that no event type takes.
        version: a constant in the payload.
        strict: whether the mapping fails on events that are not whole.
    """

    refuses: str = "x"
    version: int = 1
    strict: bool = True


class Arrival(NamedTuple):
    """One attempt at one delivery, as its destination saw it.

    Attributes:
        at: trio's time.
        key: the idempotency key that it showed.
        status: what it was answered with; 0 for nothing.
    """

    at: float
    key: str
    status: int


class Outside:
    """The destinations, over all lives of the engine.

    Attributes:
        moods: by destination: ``well`` answers as the events say, ``slow`` does so later, ``hang``, ``refused``, or a
            status for all.
        came: arrivals by sync and event.
        held: by destination, when a person paused it, and when that was over.
        told: by destination, when it asked to be left alone, and until when.
        buried: by erased event, the syncs that had a request of it in hand just then.
        quiet: by paused sync, the events of which its sender had a request in hand just then.
        wrongs: what no destination should have seen.
    """

    def __init__(self, said: dict[int, Said], moods: dict[str, str]) -> None:
        self.said = said
        self.moods = moods
        self.came: dict[Place, list[Arrival]] = {}
        self.order: list[tuple[Place, Came]] = []
        self.held: dict[str, list[tuple[float, float]]] = {name: [] for name in moods}
        self.told: dict[str, list[tuple[float, float]]] = {name: [] for name in moods}
        self.buried: dict[int, set[str]] = {}
        self.quiet: dict[str, set[int]] = {}
        self.wrongs: list[str] = []
        self._late: Counter[tuple[str, float]] = Counter()
        self._answered: Counter[Place] = Counter()

    def answer(self, destination: str) -> Answer:
        """Return how a destination answers."""

        async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
            mood = self.moods[destination]
            self._look(destination, batch)
            statuses = [self._note(one, mood) for one in batch]
            if mood == "slow":
                await trio.sleep(SLOW)
            elif mood == "hang":
                await hang(batch)
            elif mood == "refused":
                raise OSError("nobody listens")
            if 429 in statuses:
                now = trio.current_time()
                self.told[destination].append((now, now + PACED))
            return [_item(status) for status in statuses]

        return answer

    def hold(self, destination: str, *, shut: bool) -> None:
        """Note that a person paused a destination, or let it go on."""
        now, held = trio.current_time(), self.held[destination]
        if held and held[-1][1] > now:
            held[-1] = (held[-1][0], math.inf if shut else now)
        elif shut:
            held.append((now, math.inf))

    def begun_anew(self) -> None:
        """Know that another engine asks from now on, to whom nobody said that he should wait."""
        now = trio.current_time()
        for told in self.told.values():
            told[:] = [(since, min(until, now)) for since, until in told]
        self._late.clear()

    def away(self, destination: str, since: float, until: float, more: Sequence[tuple[float, float]]) -> float:
        """Return for how many seconds between two moments it was paused, had asked to be left alone, or *more*."""
        away, reached = 0.0, since
        for first, last in sorted([*more, *self.held[destination], *self.told[destination]]):
            away += max(0.0, min(last, until) - max(first, reached))
            reached = max(reached, last)
        return away

    def _look(self, destination: str, batch: Sequence[Delivery]) -> None:
        """Note what is wrong with a request that is made now; at the moment itself, what was on its way still comes."""
        now = trio.current_time()
        if any(one[0] == now < one[1] for one in self.told[destination]):
            self._late[destination, now] += 1
            if self._late[destination, now] >= HANDS[destination]:
                self.wrongs.append(f"{destination}, {now}: it had just asked for time")
        for why, times in (("it was paused", self.held), ("it had asked for time", self.told)):
            self.wrongs += [
                f"{destination}, {now}: {why}: {one}" for one in times[destination] if one[0] < now < one[1]
            ]
        for one in batch:
            if one.position in self.buried and one.sync not in self.buried[one.position]:
                self.wrongs.append(f"{one.sync} {one.position}: it was erased")
            self.buried.get(one.position, set()).discard(one.sync)
            if one.position not in self.quiet.get(one.sync, {one.position}):
                self.wrongs.append(f"{one.sync} {one.position}: its sync was paused")

    def accepted(self, place: Place) -> list[Arrival]:
        """Return the arrivals of one delivery that were answered with 200."""
        return [one for one in self.came.get(place, ()) if one.status == 200]

    def _note(self, one: Delivery, mood: str) -> int:
        body = one.body()
        place = (one.sync, body["n"])
        assert body["n"] == one.position
        by_all = int(mood) if mood.isdigit() else 0
        status = self._scripted(place) if mood in {"well", "slow"} else by_all
        shown = f"{one.key};r{one.replay}" if one.replay else one.key
        self.came.setdefault(place, []).append(Arrival(trio.current_time(), shown, status))
        turn = (one.sync, self.said[one.position].user)
        self.order.append((place, Came(turn, f"{one.position}", one.position)))
        return status

    def _scripted(self, place: Place) -> int:
        """Return the next status of its script; what was taken once is taken again."""
        if self.accepted(place):
            return 200
        script = self.said[place[1]].script
        status = script[min(self._answered[place], len(script) - 1)]
        self._answered[place] += 1
        return status


def _item(status: int) -> Item:
    wait = PACED if status == 429 else None
    return msgspec.structs.replace(by_status(status), retry_after=wait)


class Fates:
    """What may have become of what was said.

    Attributes:
        regimes: by sync, what is in force.
        off: by sync, the switches that are off just now.
        may: what a sync may have made of an event when it read it: ``made``, ``unmapped``, or one of `FILTERED`.
        remade: likewise, of what was sent again by hand.
        again: how often a person asked for a delivery again.
        discarded: what a person ended.
        voidable: open at a moment at which another plan, that does not make it, took over.
        erased: numbers of events whose user was erased.
        hurried: what a person wanted to be tried at once.
        lives: trio's times at which an engine began.
        crashes: trio's times.
        deaths: (sync, trio's time) of senders with something in hand.
    """

    def __init__(self, syncs: Sequence[str], outside: Outside) -> None:
        self.outside = outside
        self.said = outside.said
        self.regimes = {name: Regime() for name in syncs}
        self.off: dict[str, set[str]] = {name: set() for name in syncs}
        self.may: dict[Place, set[str]] = {}
        self.remade: dict[Place, set[str]] = {}
        self.again: Counter[Place] = Counter()
        self.discarded: set[Place] = set()
        self.voidable: set[Place] = set()
        self.erased: set[int] = set()
        self.hurried: set[Place] = set()
        self.lives: list[float] = []
        self.crashes: list[float] = []
        self.deaths: list[tuple[str, float]] = []

    def planned(self, sync: str, n: int) -> str:
        """Return what today's configuration makes of an event, whoever is switched off."""
        said, regime = self.said[n], self.regimes[sync]
        if n in self.erased:
            return "erased"
        if said.kind == regime.refuses:
            return "no_event_type"
        return "made" if said.whole or not regime.strict else "unmapped"

    def unread(self, marks: dict[str, int]) -> None:
        """Note what may become, as things are now, of what syncs have not read, behind these positions."""
        for sync, mark in marks.items():
            for n in range(mark + 1, len(self.said) + 1):
                made = "disabled" if self.off[sync] else self.planned(sync, n)
                if n not in self.erased and (kills := self.said[n].kills):
                    made = KILLED[kills]
                self.may.setdefault((sync, n), set()).add(made)

    def opened(self, sync: str, numbers: Sequence[int]) -> None:
        """Note that these had no fate when what is in force now took over."""
        self.voidable |= {(sync, n) for n in numbers if self.planned(sync, n) != "made"}
        for place, made in self.remade.items():  # its replay may not be through
            made.add(self.planned(*place))

    def asked_again(self, places: Sequence[Place]) -> None:
        """Note that these may be sent once more, by today's plan or as they are."""
        for place in places:
            self.again[place] += 1
            self.remade.setdefault(place, set()).add(self.planned(*place))

    def wrong(self, place: Place, entry: Trouble | None) -> str:
        """Return what is wrong with the fate of one delivery, of which nothing waits any more; "" if it is fine.

        Args:
            place: whose.
            entry: what the ledger has of it.
        """
        may, accepted = self.may[place], self.outside.accepted(place)
        came = self.outside.came.get(place, [])
        if came and "made" not in may and not self.again[place]:
            return f"it arrived, though it is {may}"
        if entry is None and not accepted and not self._vanishes(place):
            return f"it has no fate: {may}, {came}"
        if len(accepted) > (most := 1 + self.again[place] + self._repeats(place)):
            return f"it was taken {len(accepted)} times, {most} at most: {accepted}"
        if hasty := self._hasty(place, came):
            return hasty
        if not self.again[place] and len({one.key for one in came}) > 1:
            return f"it came with several keys: {came}"
        return "" if entry is None else self._wrong_entry(place, entry, came)

    def _vanishes(self, place: Place) -> bool:
        """Return whether a delivery may be gone without a trace of its own: counts tell of it."""
        return (
            bool(self.may[place] & {*FILTERED, KILLED["validator"]})
            or place[1] in self.erased
            or place in self.voidable
        )

    def _repeats(self, place: Place) -> int:
        """Return how often it may have arrived once more since nobody knew that it had."""
        taken = [one.at for one in self.outside.accepted(place)]
        crashes = sum(any(crash - RECENT <= at <= crash for at in taken) for crash in self.crashes)
        deaths = sum(
            any(death - SLOW - 0.01 <= at <= death for at in taken) for sync, death in self.deaths if sync == place[0]
        )
        return crashes + deaths

    def _wrong_entry(self, place: Place, entry: Trouble, came: Sequence[Arrival]) -> str:
        last = came[-1].status if came else None
        told = f"{entry.state} {entry.reason}, after {came}"
        if entry.state is State.DISCARDED:
            fine = place in self.discarded
        elif entry.state is not State.ARCHIVED:
            fine = False
        elif entry.reason == "mapping_failed":
            fine = "unmapped" in self.may[place] | self.remade.get(place, set())
        elif entry.reason == KILLED["router"]:
            fine = KILLED["router"] in self.may[place]
        elif entry.reason.startswith("rejected_"):
            fine = entry.reason == f"rejected_{last}" and (last not in {401, 403} or _refused_for_itself(came))
        else:
            fine = self._gave_up(place, entry.reason, came)
        return "" if fine else told

    def _gave_up(self, place: Place, reason: str, came: Sequence[Arrival]) -> bool:
        """Return whether it was tried for long enough; a dead sender's attempt may not have come to anybody."""
        windows = {"retries_exhausted": WINDOW[place[0]], "order_timeout": PATIENCE.get(place[0], 1e9)}
        failed = [one.status for one in came if one.status in TRIED or one.status in {401, 403}]
        died = sum(sync == place[0] for sync, _ in self.deaths)
        if reason not in windows or len(failed) + died < 2 or came[-1].status not in TRIED:
            return False
        if reason == "retries_exhausted" and len(failed) - failed.count(429) + died < TRIES[place[0]]:
            return False  # who is told to wait has not been tried
        times = [one.at for one in came]
        first, last = times[0], times[-1]
        # How it was in an earlier life, nobody knows who tries again in this one.
        unknown = [(max(at for at in times if at <= life), life) for life in self.lives if first <= life <= last]
        tried = last - first - self.outside.away(GOES[place[0]], first, last, unknown)
        slack = SLOW + 2 * RECENT + HANGS * len(came)  # an attempt that is on its way when it is paused is not away
        sooner = any(sync == place[0] and at <= first for sync, at in self.deaths)  # tried first in a dead one's hand
        return sooner or tried + slack >= windows[reason]

    def _hasty(self, place: Place, came: Sequence[Arrival]) -> str:
        """Return what was tried again too early, who keeps an order aside: its last try may come at any time."""
        if place[0] in PATIENCE or place in self.hurried or self.again[place]:
            return ""
        restless = [*self.lives, *self.crashes, *(at for _, at in self.deaths)]
        for one, another in itertools.pairwise(came):
            if another.at - one.at < HASTE - 0.001 and not any(one.at <= at <= another.at for at in restless):
                return f"it came again at once: {one}, {another}"
        return ""

    def disorder(self, sync: str) -> list[str]:
        """Return what is wrong with the order of a sync's arrivals, those aside that a person ended or asked for again.

        What came before one that is ended may come once more after a crash, and is then the last.
        """
        own = [came for place, came in self.outside.order if place[0] == sync and not self._meddled(place)]
        return disorder(own)

    def _meddled(self, place: Place) -> bool:
        return bool(self.again[place]) or place in self.discarded or place[1] in self.erased


def _refused_for_itself(came: Sequence[Arrival]) -> bool:
    """Return whether it was refused, tried again, and refused again: once may be anybody's."""
    return sum(one.status in {401, 403} for one in came) > 1 or len(came) > 2


GOES = {"orders": "crm", "turns": "erp"}
"""Each sync, and where it goes."""
HANDS = {"crm": 2, "erp": 3}
"""Requests that a destination has at once."""
KILLED = {"router": "router_died", "validator": "stopped"}
"""What becomes in a sync of an event of which an actor dies; no sync hears of those that its source stopped."""
WINDOW = {"orders": 20.0, "turns": 40.0}
"""Seconds for which a sync's destination is tried."""
TRIES = {"orders": 14, "turns": 2}
"""Attempts at the least; of orders, more than fit into their window."""
PATIENCE = {"turns": 15.0}
"""Seconds for which one of a sync may hold up the others of its key."""
