"""Several lanes into one receiver with several hands: what waits for a destination."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import trio
from trio.lowlevel import ParkingLot

from engine.runtime.channel import Closed
from engine.runtime.gate import Gate
from engine.runtime.room import Room

T = TypeVar("T")


class Lane(Generic[T]):
    """One way in: items in order, and the places its feeder must reserve first.

    Attributes:
        room: places; a feeder reserves them, `Lanes.done` gives them back.
        gate: while it is shut, what waits here is not for anybody; None if it always is.
    """

    def __init__(self, name: str, capacity: int, gate: Gate | None = None) -> None:
        self.name = name
        self.gate = gate
        self.room = Room(capacity)
        self.items: deque[T] = deque()

    @property
    def shut(self) -> bool:
        """Whether nothing may be picked here now."""
        return self.gate is not None and self.gate.shut

    def give_back(self, count: int) -> None:
        """Free the places of *count* items.

        A feeder with more items than the lane has places reserves all of them; so fewer may be taken than come back.
        """
        self.room.give(min(count, self.room.capacity - self.room.free))


class Lanes(Generic[T]):
    """Lanes that alternate: the first one and all the others take turns 1:1, the others among themselves in a circle.

    Belongs to the tree and outlives its receiver: what a dead receiver had in hand is in `leftovers`.

    Args:
        name: as shown in status and logs.
        first: the name of the lane that has every second turn while it has items.
        others: names of the other lanes.
        capacity: places of each lane.
    """

    def __init__(self, name: str, first: str, others: Sequence[str], capacity: int) -> None:
        self.name = name
        self.closed = False
        self._first: Lane[T] = Lane(first, capacity)
        self._others: deque[Lane[T]] = deque(Lane(other, capacity) for other in others)
        self._lanes = {lane.name: lane for lane in (self._first, *self._others)}
        self._turn_of_first = True
        self._hand: dict[int, tuple[Lane[T], list[T]]] = {}
        self._takers = ParkingLot()
        self._lingering = ParkingLot()
        self._watching = ParkingLot()
        self._dismissed = False
        self._capacity = capacity

    def __getitem__(self, name: str) -> Lane[T]:
        """Return the lane of that name."""
        return self._lanes[name]

    @property
    def waiting(self) -> int:
        """How many items wait in all lanes."""
        return sum(len(lane.items) for lane in self._lanes.values())

    @property
    def pickable(self) -> int:
        """How many of them are not behind a gate that is shut."""
        return sum(len(lane.items) for lane in self._lanes.values() if not lane.shut)

    @property
    def in_hand(self) -> int:
        """How many items were picked and are not done."""
        return sum(len(items) for _, items in self._hand.values())

    def put(self, name: str, items: Sequence[T]) -> None:
        """Let *items* in at the end of a lane; their places were reserved in its room.

        Raises:
            Closed: nothing more is let in.
        """
        if self.closed:
            raise Closed(self.name)
        self._lanes[name].items.extend(items)
        self._takers.unpark()  # one hand may take them all; if not, it wakes the next
        if self._lingering:
            self._lingering.unpark_all()

    def rejoin(self, name: str, items: Sequence[T], *, places: int) -> None:
        """Let *items* in again at the end of a lane, closed or not: they had been let in, and waited elsewhere.

        Args:
            name: of the lane.
            items: what comes back.
            places: how many of them have no place any more; they take it, free or not.
        """
        lane = self._lanes[name]
        lane.room.occupy(places)
        lane.items.extend(items)
        self._takers.unpark()
        if self._lingering:
            self._lingering.unpark_all()

    async def ready(self) -> None:
        """Wait until something may be picked; another hand may be quicker. Not a checkpoint when something can.

        Raises:
            Closed: closed, and nothing can; or `dismiss` was called.
        """
        while not self.pickable or self._dismissed:
            if self.closed or self._dismissed:
                raise Closed(self.name)
            await self._takers.park()

    async def gather(self, most: int, seconds: float) -> None:
        """Give what waits up to *seconds* to become *most* items; a closed one gathers nothing more."""
        with trio.move_on_after(seconds):
            while self.pickable < most and not self.closed and not self._dismissed:
                await self._lingering.park()

    def pick(
        self,
        hand: int,
        most: int,
        weigh: Callable[[T], int],
        heaviest: float = math.inf,
        alike: Callable[[T], object] | None = None,
    ) -> list[T]:
        """Take up to *most* items of one lane, weighing at most *heaviest* together, into *hand*; [] if none waits.

        The first item is taken whatever it weighs. With *alike*, others are taken only if it says the same of them as
        of the first; those that it passes over stay where they are, and the order among equals stays, too.
        """
        lane = self._choose()
        if lane is None:
            return []
        first = lane.items.popleft()
        wanted = alike(first) if alike else None
        picked, passed, weight = [first], [], weigh(first)
        while lane.items and len(picked) < most:
            item = lane.items[0]
            if alike and alike(item) != wanted:
                passed.append(lane.items.popleft())
                continue
            weight += weigh(item)
            if weight > heaviest:
                break
            picked.append(lane.items.popleft())
        lane.items.extendleft(reversed(passed))
        self._hand[hand] = (lane, picked)
        if self.pickable:
            self._takers.unpark()
        return list(picked)

    def join(self, hand: int, items: Sequence[T], *, places: int) -> None:
        """Put *items*, which waited elsewhere, into *hand* beside what was picked; see `rejoin` for *places*."""
        lane, picked = self._hand[hand]
        lane.room.occupy(places)
        picked += items

    def done(self, hand: int, items: Sequence[T] | None = None) -> None:
        """Let go of *items*, or of all that is in *hand*, and give their places back."""
        lane, picked = self._hand.pop(hand)
        gone = len(picked)
        if items is not None:
            gone = len(items)
            settled = set(map(id, items))
            self._hand[hand] = (lane, [item for item in picked if id(item) not in settled])
        lane.give_back(gone)
        if self._watching:
            self._watching.unpark_all()

    def prefer_others(self) -> None:
        """Let the next turn be another lane's than the first's, if any other has items."""
        self._turn_of_first = False

    def leftovers(self) -> list[T]:
        """Return what a dead receiver had in hand, and give its places back; it is not offered again."""
        left = [item for _, picked in self._hand.values() for item in picked]
        for hand in list(self._hand):
            self.done(hand)
        return left

    def add(self, name: str, gate: Gate | None = None) -> None:
        """Open one more lane, beside the first; nothing is picked from it while *gate* is shut."""
        lane: Lane[T] = Lane(name, self._capacity, gate)
        self._lanes[name] = lane
        self._others.append(lane)

    def remove(self, name: str) -> None:
        """Close a lane that nobody feeds any more; what waits in it is gone, what is in hand is not."""
        self._others.remove(self._lanes.pop(name))

    def is_shut(self, name: str) -> bool:
        """Return whether there is a lane of that name, and its gate is shut."""
        return name in self._lanes and self._lanes[name].shut

    def opened(self) -> None:
        """Know that a gate was opened."""
        self._takers.unpark()
        self._lingering.unpark_all()

    def take_out(self, where: Callable[[T], bool], only: str = "") -> list[T]:
        """Return what waits in any lane, or in the *only* one of that name, and is so; let go of it."""
        taken: list[T] = []
        for lane in [self._lanes[only]] if only else self._lanes.values():
            own = [item for item in lane.items if where(item)]
            if own:
                lane.items = deque(item for item in lane.items if not where(item))
                lane.give_back(len(own))
                taken += own
        return taken

    async def rid_of(self, where: Callable[[T], bool]) -> None:
        """Wait until nothing that is so is in hand."""
        while any(where(item) for _, items in self._hand.values() for item in items):
            await self._watching.park()

    def dismiss(self) -> None:
        """Let nobody pick any more, so that another receiver can take over; what waits stays, and more may come."""
        self._dismissed = True
        self._takers.unpark_all()
        self._lingering.unpark_all()

    def recall(self) -> None:
        """Let the next receiver pick."""
        self._dismissed = False

    def close(self) -> None:
        """Let nothing more in; what waits can still be picked."""
        self.closed = True
        self._takers.unpark_all()
        self._lingering.unpark_all()

    def _choose(self) -> Lane[T] | None:
        """Return the lane whose turn it is, of those where items can be picked; none once nobody may any more."""
        if self._dismissed:
            return None
        other = next((lane for lane in self._others if lane.items and not lane.shut), None)
        if self._first.items and (self._turn_of_first or other is None):
            self._turn_of_first = False
            return self._first
        if other is not None:
            self._turn_of_first = True
            while self._others[0] is not other:
                self._others.rotate(-1)
            self._others.rotate(-1)
        return other
