"""Order: of a sync's deliveries with one key, one at a time is on its way.

Belongs to the tree by the sync's name and outlives actors and plans. The router lets deliveries in, a sender tells what
became of them, the store what became of ledger rows, and the retry scheduler brings back those that are parked. What
becomes free goes on in the lane where it stood: no message goes up the stream.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import trio

from engine.messages import Delivery, Due, Settled, State, Trouble, trouble_id
from engine.plan import SyncPlan
from engine.runtime.bell import Bell
from engine.runtime.breaker import Breaker
from engine.runtime.lanes import Lanes
from engine.runtime.turns import Freed, Hot, Line, Turn, Turns, Waits
from engine.store.order import Moved, Remains
from engine.store.tally import ORDER_TIMEOUT, Work, work_delivery


class Way(NamedTuple):
    """Where a sync's deliveries go today: its plan, and of its destination the lanes and the breaker."""

    sync: SyncPlan
    lanes: Lanes[Work]
    breaker: Breaker


Where = Callable[[str], Way | None]
"""Returns the way of a sync; None if it is gone."""


class Ordering:
    """Keeps one sync's order.

    Args:
        sync: its name.
        where: see `Where`.
        bell: of the retry scheduler; rung when something parked shall be fetched.

    Attributes:
        unkeyed: deliveries without a key, since start; they are not ordered.
    """

    def __init__(self, sync: str, where: Where, bell: Bell) -> None:
        self.sync = sync
        self.turns: Turns[Work] = Turns()
        self.turns.again = True
        self.unkeyed = 0
        self._where = where
        self._bell = bell
        self._news = trio.Event()
        self._fed: float | None = None  # the probe for which something was let in last

    def found(self, left: Remains) -> None:
        """Know of what an earlier life left in the ledger."""
        if left.id:
            self.turns.found(left.id, left.turn, left.position)
        else:
            self.turns.found_parked(left.turn, left.count, left.position)

    def began(self) -> None:
        """Know that all that was open when the engine last ended was let in: what was parked comes behind it."""
        self.turns.again = False
        self.changed()

    async def room(self, deliveries: Sequence[Delivery]) -> None:
        """Wait while *deliveries* would be parked because their destination is not to be had: then the sync lags."""
        while not self.turns.again and self._is_down() and self._would_park(deliveries) and not self._lacks_a_probe():
            await self._news.wait()

    def changed(self) -> None:
        """Let those look again who wait: for room, and for what is parked."""
        self._news.set()
        self._news = trio.Event()
        if self.turns.wishes:
            self._bell.ring()

    def admit(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Let *deliveries*, which have places in their lane, go or wait; return those that must be parked."""
        found = self._where(self.sync)
        assert found is not None
        go: list[Work] = []
        parked: list[Delivery] = []
        standing = 0
        for delivery in deliveries:
            turn = self._turn(delivery)
            if turn is Turn.GO:
                go.append(delivery)
            elif turn is Turn.STAND:
                standing += 1
            elif turn is Turn.PARK:
                parked.append(delivery)
        if found.sync.order is not None:
            self.unkeyed += sum(not delivery.turn for delivery in deliveries)
        found.lanes[self.sync].give_back(standing + len(parked))
        if go:
            found.lanes.put(self.sync, go)
        return parked

    def followers(self, work: Work, fits: Callable[[Work], bool]) -> list[Freed[Work]]:
        """Return those behind *work* that go along with it in one batch, as many as fit."""
        found: list[Freed[Work]] = []
        while freed := self.turns.follow(_name(work), fits):
            found.append(freed)
            work = freed.item
        return found

    def back(self, work: Work) -> None:
        """Let one that went along, and did not arrive, wait again behind what it went with."""
        self._go_on(self.turns.back(_name(work), work))

    def settled(self, settled: Settled) -> list[Work]:
        """Let those go that waited for what has its fate; return those that nobody wants any more, to be archived."""
        forsaken: list[Work] = []
        after = {trouble.id: trouble for trouble in settled.troubles}
        for sync, position, key in settled.closed:
            if sync == self.sync:
                name = trouble_id(position, key)
                forsaken += self._became(name, after.get(name))
        for settle in settled.settles:
            forsaken += self._became(settle.id, settle.trouble)
        self.changed()
        return forsaken

    def moved(self, moved: Moved) -> None:
        """Know what was written: rows that ended by another hand, and rows that are parked for good."""
        if gone := set(moved.discarded):
            self.take_out(lambda work: _name(work) in gone)
        for name in moved.ended:
            self._go_on(self.turns.ended(name))
        for sync, turn in moved.parked:
            if sync == self.sync:
                self.turns.written(turn)
        self.changed()

    def wishes(self) -> list[Line[Work]]:
        """Return the lines whose next is parked; none before `began`."""
        return [] if self.turns.again else list(self.turns.wishes.values())

    def fetched(self, line: Line[Work], found: Sequence[Due], gone: Sequence[Due]) -> None:
        """Let the first of *found* go, and the others wait; *gone* came before them, and is archived."""
        if not found and not gone:
            if not self.turns.nothing_found(line.key):
                return  # it is being written; `moved` tells when it is, and to look before would be to turn in a circle
        else:
            last = (found or gone)[-1].delivery
            waits = [Waits[Work](_name(due), due) for due in found]
            freed = self.turns.fetched(line.key, waits, (last.position, _name(last)), len(gone))
            self._go_on(freed)
        self.changed()

    def take_out(self, where: Callable[[Work], bool]) -> list[Work]:
        """Return what waits in memory for its turn and is so, and let go of it."""
        gone, seats = self.turns.take_out(where)
        self._give_back(seats)
        return gone

    def withdraw(self) -> list[Work]:
        """Return all that waits in memory, and let go of it: the sync goes, or goes elsewhere."""
        gone, seats = self.turns.withdraw()
        self._give_back(seats)
        return gone

    def longest(self) -> tuple[Hot, ...]:
        """Return the keys behind which most wait."""
        return self.turns.longest()

    def _turn(self, delivery: Delivery) -> Turn:
        if not delivery.turn:
            return Turn.GO
        return self.turns.admit(_name(delivery), delivery.turn, delivery.position, delivery)

    def _became(self, name: str, trouble: Trouble | None) -> list[Work]:
        """Know the fate of one, or that it is tried again; return those that are archived with it."""
        if trouble is not None and trouble.state is State.RETRYING:
            self._give_back(self.turns.delayed(name))
            return []
        forsaken: list[Work] = []
        if trouble is not None and trouble.reason == ORDER_TIMEOUT and self._archives_key():
            forsaken, seats = self.turns.forsake(name)
            self._give_back(seats)
        self._go_on(self.turns.ended(name))
        return forsaken

    def _go_on(self, freed: Freed[Work] | None) -> None:
        found = self._where(self.sync)
        if freed is not None and found is not None:
            item = _addressed(freed.item, found.sync.destination)
            found.lanes.rejoin(self.sync, [item], places=not freed.seated)

    def _give_back(self, places: int) -> None:
        found = self._where(self.sync)
        if places and found is not None:
            found.lanes[self.sync].give_back(places)

    def _archives_key(self) -> bool:
        found = self._where(self.sync)
        return found is not None and found.sync.order is not None and found.sync.order.archive_key

    def _is_down(self) -> bool:
        found = self._where(self.sync)
        return found is not None and found.breaker.state != "closed"

    def _lacks_a_probe(self) -> bool:
        """Return whether all that a destination's probes can try was refused before; true once a probe.

        Several that it refuses for what they are would stay for ever, and hold up all: only another can tell.
        """
        found = self._where(self.sync)
        if found is None or not found.breaker.refused or found.lanes[self.sync].items:
            return False
        fed, self._fed = self._fed, found.breaker.next_probe
        return fed != self._fed

    def _would_park(self, deliveries: Sequence[Delivery]) -> bool:
        return any(delivery.turn and self.turns.full(delivery.turn, len(deliveries)) for delivery in deliveries)


class Orderings:
    """The order of every sync that has one; falsy if none has, so that nobody else pays for it.

    Args:
        where, bell: see `Ordering`.
        left: what an earlier life left in the ledger.
    """

    def __init__(self, where: Where, bell: Bell, left: Iterable[Remains]) -> None:
        self.by_sync: dict[str, Ordering] = {}
        self._where = where
        self._bell = bell
        for one in left:
            self.of(one.sync).found(one)

    def __bool__(self) -> bool:
        """Return whether any sync has an order."""
        return bool(self.by_sync)

    def of(self, sync: str) -> Ordering:
        """Return a sync's order."""
        if sync not in self.by_sync:
            self.by_sync[sync] = Ordering(sync, self._where, self._bell)
        return self.by_sync[sync]

    def settled(self, settled: Settled) -> list[Work]:
        """Tell every order what became of deliveries; return those to be archived with them."""
        return [work for one in self.by_sync.values() if one.turns for work in one.settled(settled)]

    def followers(self, picked: Sequence[Work], fits: Callable[[Work], bool]) -> list[Freed[Work]]:
        """Return what goes along with *picked* in one batch, as much as fits: for who applies a batch in order."""
        found: list[Freed[Work]] = []
        for work in picked:
            delivery = work_delivery(work)
            if delivery.turn and (one := self.by_sync.get(delivery.sync)) is not None:
                found += one.followers(work, fits)
        return found

    def take_out(self, where: Callable[[Work], bool]) -> list[Work]:
        """Return what waits for its turn in any order and is so, and let go of it."""
        return [work for one in self.by_sync.values() for work in one.take_out(where)]

    def is_live(self, work: Work) -> bool:
        """Return whether *work* holds back others of its key."""
        one = self.by_sync.get(work_delivery(work).sync)
        return one is not None and one.turns.is_live(_name(work))

    def moved(self, moved: Moved) -> None:
        """Tell every order what was written."""
        for one in self.by_sync.values():
            one.moved(moved)

    def changed(self) -> None:
        """Let those look again who wait for a destination."""
        for one in self.by_sync.values():
            one.changed()

    def router(self, sync: SyncPlan) -> Ordering | None:
        """Return the order that a sync's router keeps: today's, or what is left of one; None if there is none."""
        return self.of(sync.name) if sync.order is not None else self.by_sync.get(sync.name)

    def patience(self, delivery: Delivery) -> float:
        """Return for how many seconds *delivery* may hold up others of its key."""
        found = self._where(delivery.sync) if delivery.turn else None
        return math.inf if found is None or found.sync.order is None else found.sync.order.timeout


class Behind:
    """What of a batch waits again, since one of its key before it did not arrive and is tried again.

    Args:
        orderings: of every sync.
    """

    def __init__(self, orderings: Orderings) -> None:
        self._orderings = orderings
        self._turns: set[tuple[str, str]] = set()
        self._back: dict[int, Work] = {}

    def holds(self, work: Work) -> bool:
        """Return whether *work* waits again; then it is not to be settled."""
        if not self._turns or (isinstance(work, Due) and work.delivery.first_at):  # tried before: it has its own time
            return False
        found = _turn(work) in self._turns and self._orderings.is_live(work)
        if found:
            self._back[id(work)] = work
        return found

    def learn(self, work: Work, trouble: Trouble | None) -> None:
        """Know what became of *work*: None if it arrived."""
        if trouble is not None and (trouble.state is State.RETRYING or trouble.reason == ORDER_TIMEOUT):
            self._turns.add(_turn(work))

    def rest(self, part: list[Work]) -> list[Work]:
        """Return *part* without what waits again."""
        return [work for work in part if id(work) not in self._back] if self._back else part

    def hold_back(self, later: list[list[Work]]) -> list[list[Work]]:
        """Return the parts of the batch that are sent *later*, the last one first, without what waits again."""
        if not self._turns:
            return later
        return [[work for work in part if not self.holds(work)] for part in reversed(later)][::-1]

    def put_back(self) -> list[Work]:
        """Let it wait in its place, and return it; before anybody hears of what it waits for."""
        for work in reversed(self._back.values()):
            self._orderings.of(work_delivery(work).sync).back(work)
        return list(self._back.values())


def _turn(work: Work) -> tuple[str, str]:
    delivery = work_delivery(work)
    return delivery.sync, delivery.turn


def _name(work: Work) -> str:
    delivery = work.delivery if isinstance(work, Due) else work
    return trouble_id(delivery.position, delivery.key)


def _addressed(work: Work, destination: str) -> Work:
    """Return *work* for the destination that its sync has today."""
    if isinstance(work, Due):
        return msgspec.structs.replace(work, delivery=_to(work.delivery, destination))
    return _to(work, destination)


def _to(delivery: Delivery, destination: str) -> Delivery:
    if delivery.destination == destination:
        return delivery
    return msgspec.structs.replace(delivery, destination=destination)
