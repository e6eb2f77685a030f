"""Places that are reserved before something is sent where it must not wait."""

from __future__ import annotations

from collections import deque

import trio


class _Turn:
    """One task's wish for places."""

    __slots__ = ("granted", "places")

    def __init__(self, places: int) -> None:
        self.places = places
        self.granted = trio.Event()


class Room:
    """A count of free places; only `occupy` may take it below zero.

    `reserve` hands places over in the order asked, so that a task that needs many is not overtaken for
    ever by tasks that need few. `take` does not wait and does overtake.

    Args:
        capacity: places in all; at least 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a room needs at least 1 place, not {capacity}")
        self.capacity = capacity
        self.free = capacity
        self._reserving: deque[_Turn] = deque()
        self._watching: deque[_Turn] = deque()

    def take(self, places: int = 1) -> None:
        """Occupy *places* now.

        Raises:
            ValueError: there are fewer free; nothing was occupied.
        """
        if not 0 <= places <= self.free:
            raise ValueError(f"{places} places asked for, {self.free} of {self.capacity} are free")
        self.free -= places

    def occupy(self, places: int) -> None:
        """Occupy *places* whether they are free or not; what is missing is waited for by those who come later."""
        self.free -= places

    async def reserve(self, places: int = 1) -> None:
        """Wait until *places* are free and occupy them; a cancelled call occupies none.

        Not a checkpoint when nobody is ahead and there is room.

        Raises:
            ValueError: *places* is more than the capacity.
        """
        self._check(places)
        if places <= self.free and not self._reserving:
            self.free -= places
            return
        await self._wait(self._reserving, _Turn(places))

    async def reserve_some(self, places: int) -> int:
        """Reserve *places*, or the whole room for more than it has; return how many these are."""
        some = min(places, self.capacity)
        await self.reserve(some)
        return some

    async def wait(self, places: int = 1) -> None:
        """Wait until *places* are free, and occupy none; not a checkpoint when they are.

        Somebody else may occupy them before the caller's next checkpoint, but not before this returns.

        Raises:
            ValueError: *places* is more than the capacity.
        """
        self._check(places)
        while places > self.free:
            await self._wait(self._watching, _Turn(places))

    def give(self, places: int = 1) -> None:
        """Free *places* that were occupied.

        Raises:
            ValueError: fewer were occupied.
        """
        if not 0 <= places <= self.capacity - self.free:
            raise ValueError(f"{places} places given back, {self.capacity - self.free} were occupied")
        self.free += places
        self._hand_over()

    def _check(self, places: int) -> None:
        if not 0 <= places <= self.capacity:
            raise ValueError(f"{places} places can never be free: there are {self.capacity}")

    async def _wait(self, turns: deque[_Turn], turn: _Turn) -> None:
        turns.append(turn)
        came = False
        try:
            await turn.granted.wait()
            came = True
        finally:
            if not came:  # whoever stood behind it, with a wish that was too large, may fit
                self._withdraw(turns, turn)
                self._hand_over()

    def _withdraw(self, turns: deque[_Turn], turn: _Turn) -> None:
        if not turn.granted.is_set():
            turns.remove(turn)
        elif turns is self._reserving:  # granted after it was cancelled, before it came to know
            self.free += turn.places

    def _hand_over(self) -> None:
        while self._reserving and self._reserving[0].places <= self.free:
            turn = self._reserving.popleft()
            self.free -= turn.places
            turn.granted.set()
        if self._watching:
            woken = [turn for turn in self._watching if turn.places <= self.free]
            self._watching = deque(turn for turn in self._watching if turn.places > self.free)
            for turn in woken:
                turn.granted.set()
