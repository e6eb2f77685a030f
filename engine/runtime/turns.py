"""Turns: of all that has one key, one at a time goes, in order; the rest waits. Pure, and bounded.

What waits behind one that is on its way keeps its place in the lane, so that a destination that is slow or down makes
its feeder wait as ever. What waits behind one that is *delayed* (it failed, and is tried again later) gives its place
back, so that other keys are not held up by this one: it stands, up to `PER_KEY` of a key and `IN_ALL` of all keys. What
comes beyond that is *parked*: the caller puts it where there is room, and brings it back when `wishes` asks for it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

import msgspec

PER_KEY = 1000
"""What stands in memory behind one that is delayed, of one key."""
IN_ALL = 10_000
"""The same, of all keys of one `Turns`."""
SHOWN = 5
"""Keys that `Turns.longest` shows."""

T = TypeVar("T")

Mark = tuple[int, str]
"""Where one of those parked stands in the order: its place, and its name among those at the same place."""


class Turn(Enum):
    """What becomes of one that was let in."""

    GO = "go"
    SIT = "sit"
    """It waits, and keeps its place in the lane."""
    STAND = "stand"
    """It waits, and gives its place back."""
    PARK = "park"
    """There is no room for it in memory."""


class Waits(NamedTuple, Generic[T]):
    """One that waits.

    Attributes:
        name: by which its end is told.
        item: what shall go.
    """

    name: str
    item: T


class Freed(NamedTuple, Generic[T]):
    """One whose turn has come.

    Attributes:
        item: what shall go.
        seated: whether it has a place in the lane.
    """

    item: T
    seated: bool


class Line(Generic[T]):
    """All of one key. It exists while one of them is on its way, delayed, waits or is parked.

    Attributes:
        key: theirs.
        first: the name of the one that went last, or was found delayed; it, and others found so, hold back the rest.
        busy: how many hold back the rest; 0 while what is parked is fetched.
        delayed: whether one of them failed and is tried again later.
        waiting: in order.
        seated: how many of these, at the end, have a place in the lane.
        parked: how many are parked, as far as is known.
        parking: whether there may be any; then whatever comes is parked behind them.
        unwritten: how many of these the store does not have yet.
        mark: of the last that was fetched.
        last: the highest place let in.
        forsaken: the highest place of those that nobody wants any more.
    """

    __slots__ = (
        "busy",
        "delayed",
        "first",
        "forsaken",
        "key",
        "last",
        "mark",
        "parked",
        "parking",
        "seated",
        "unwritten",
        "waiting",
    )

    def __init__(self, key: str) -> None:
        self.key = key
        self.first = ""
        self.busy = 0
        self.delayed = False
        self.waiting: deque[Waits[T]] = deque()
        self.seated = 0
        self.parked = 0
        self.parking = False
        self.unwritten = 0
        self.mark: Mark = (0, "")
        self.last = 0
        self.forsaken = 0

    @property
    def length(self) -> int:
        """How many wait, wherever."""
        return len(self.waiting) + self.parked


class Hot(msgspec.Struct, frozen=True, kw_only=True):
    """A key behind which many wait.

    Attributes:
        key: as it was given; a hash, if keys are personal.
        waiting: how many.
        head: the name of the one that they wait for; "" while the next is fetched.
    """

    key: str
    waiting: int
    head: str = ""


class Turns(Generic[T]):
    """Who may go and who waits, for one feeder of one lane.

    Args:
        per_key, in_all: see `PER_KEY` and `IN_ALL`; one batch more may stand.
    """

    def __init__(self, per_key: int = PER_KEY, in_all: int = IN_ALL) -> None:
        self.per_key = per_key
        self.in_all = in_all
        self.lines: dict[str, Line[T]] = {}
        self.standing = 0
        self.parked = 0
        self.again = False
        """Whether what comes now is what an earlier life left open: it is older than all that is parked."""
        self.wishes: dict[str, Line[T]] = {}
        """Lines whose next is parked, by key: somebody shall fetch it, and call `fetched`."""
        self._live: dict[str, Line[T]] = {}

    def __bool__(self) -> bool:
        """Return whether anything has a turn: if not, no end need be told."""
        return bool(self._live)

    def admit(self, name: str, key: str, place: int, item: T) -> Turn:
        """Let one in behind all of its key that were let in before."""
        line = self.lines.get(key)
        if line is None:
            line = self.lines[key] = Line(key)
            line.last = place
            self._go(line, name)
            return Turn.GO
        line.last = max(line.last, place)
        if not line.busy and self.again:
            self.wishes.pop(key, None)
            self._go(line, name)
            return Turn.GO
        if not line.delayed and (self.again or not line.parking):
            line.waiting.append(Waits(name, item))
            line.seated += 1
            return Turn.SIT
        if not self.again and (line.parking or self.full(key)):
            line.parking = True
            line.parked += 1
            line.unwritten += 1
            self.parked += 1
            return Turn.PARK
        line.waiting.append(Waits(name, item))
        self.standing += 1
        return Turn.STAND

    def full(self, key: str, more: int = 1) -> bool:
        """Return whether one of *more* of *key* would be parked, if its first is delayed."""
        line = self.lines.get(key)
        if line is None or not (line.delayed or line.parking):
            return False
        return line.parking or len(line.waiting) + more > self.per_key or self.standing + more > self.in_all

    def found(self, name: str, key: str, place: int = 0) -> None:
        """Know of one that an earlier life left delayed."""
        line = self.lines.setdefault(key, Line(key))
        line.delayed = True
        line.last = max(line.last, place)
        self.wishes.pop(key, None)
        self._go(line, name)

    def found_parked(self, key: str, many: int, place: int) -> None:
        """Know of *many* that an earlier life left parked, the last of them at *place*."""
        line = self.lines.setdefault(key, Line(key))
        line.parking = True
        line.parked += many
        line.last = max(line.last, place)
        self.parked += many
        if not line.busy:
            self.wishes[key] = line

    def ended(self, name: str) -> Freed[T] | None:
        """Forget one that has its fate; return the next of its key, which goes. Others than ours change nothing."""
        line = self._live.pop(name, None)
        if line is None:
            return None
        line.busy -= 1
        return None if line.busy else self._next(line)

    def delayed(self, name: str) -> int:
        """Know that one is tried again later; return how many give their places back, since they wait for it."""
        line = self._live.get(name)
        if line is None:
            return 0
        line.delayed = True
        line.first = name
        gone, line.seated = line.seated, 0
        self.standing += gone
        return gone

    def follow(self, name: str, fits: Callable[[T], bool]) -> Freed[T] | None:
        """Let the next behind *name* go along with it, as one of what it goes with, if it *fits*; return it.

        None goes along with one that is tried again, nor with one that is not the last of its key that went.
        """
        line = self._live.get(name)
        if line is None or line.delayed or line.first != name or not (line.waiting and fits(line.waiting[0].item)):
            return None
        return self._first_of(line)

    def is_live(self, name: str) -> bool:
        """Return whether one has gone, and has no fate that we know of."""
        return name in self._live

    def back(self, name: str, item: T) -> Freed[T] | None:
        """Let one that had gone wait again, before all others and without a place; return the next, if that may go."""
        line = self._live.pop(name)
        line.busy -= 1
        line.waiting.appendleft(Waits(name, item))
        self.standing += 1
        return None if line.busy else self._next(line)

    def forsake(self, name: str) -> tuple[list[T], int]:
        """Take out all that wait in memory behind one, and mark those parked; its end is still to be told.

        Returns:
            What was taken out, and how many of it had a place in the lane.
        """
        line = self._live.get(name)
        if line is None:
            return [], 0
        gone, seats = [waits.item for waits in line.waiting], line.seated
        self.standing -= len(gone) - seats
        line.waiting.clear()
        line.seated = 0
        line.forsaken = line.last if line.parking else 0
        return gone, seats

    def take_out(self, where: Callable[[T], bool]) -> tuple[list[T], int]:
        """Take out those that wait in memory and are so; the order of the others stays.

        Returns:
            What was taken out, and how many of it had a place in the lane.
        """
        gone: list[T] = []
        seats = 0
        for line in self.lines.values():
            standing = len(line.waiting) - line.seated
            wanted = [where(waits.item) for waits in line.waiting]
            if not any(wanted):
                continue
            gone += [waits.item for waits, out in zip(line.waiting, wanted, strict=True) if out]
            line.waiting = deque(waits for waits, out in zip(line.waiting, wanted, strict=True) if not out)
            self.standing -= sum(wanted[:standing])
            line.seated -= sum(wanted[standing:])
            seats += sum(wanted[standing:])
        return gone, seats

    def withdraw(self) -> tuple[list[T], int]:
        """Take out all that wait in memory; nothing parked is wished for until `again` is over.

        Returns:
            What was taken out, and how many of it had a place in the lane.
        """
        self.again = True
        gone: list[T] = []
        seats = 0
        for line in self.lines.values():
            gone += [waits.item for waits in line.waiting]
            seats += line.seated
            line.waiting.clear()
            line.seated = 0
        self.standing = 0
        return gone, seats

    @property
    def spare(self) -> int:
        """How many of those parked may be fetched for one key now; at least one, which does not stand but goes."""
        return max(1, min(self.per_key, self.in_all - self.standing))

    def fetched(self, key: str, found: Sequence[Waits[T]], mark: Mark, gone: int = 0) -> Freed[T] | None:
        """Take what was fetched of those parked behind `Line.mark`, in order; return the first, which goes.

        Args:
            key: whose.
            found: at most as many as `spare` said.
            mark: of the last of them, and of those that are gone.
            gone: how many before them were forsaken.
        """
        line = self.wishes.pop(key)
        self._unpark(line, len(found) + gone)
        self.standing += len(found)
        line.waiting.extend(found)
        line.mark = mark
        return self._next(line)

    def nothing_found(self, key: str) -> bool:
        """Know that nothing is parked behind `Line.mark`; return False if the store does not have it yet."""
        line = self.wishes[key]
        if line.unwritten:
            return False
        self._unpark(line, line.parked)
        line.parking = False
        del self.wishes[key]
        self._next(line)
        return True

    def written(self, key: str) -> None:
        """Know that the store has one more of those that were parked."""
        line = self.lines.get(key)
        if line is not None and line.unwritten:
            line.unwritten -= 1

    def longest(self) -> tuple[Hot, ...]:
        """Return the keys behind which most wait, the longest first."""
        some = heapq.nlargest(SHOWN, self.lines.values(), key=lambda line: line.length)
        return tuple(Hot(key=line.key, waiting=line.length, head=line.first) for line in some if line.length)

    def _unpark(self, line: Line[T], many: int) -> None:
        known = min(line.parked, many)
        line.parked -= known
        self.parked -= known

    def _next(self, line: Line[T]) -> Freed[T] | None:
        """Let the next of *line* go; without one, fetch what is parked; without that, forget the line."""
        line.delayed = False
        line.first = ""
        if line.waiting:
            return self._first_of(line)
        if line.parking:
            self.wishes[line.key] = line
        else:
            del self.lines[line.key]
        return None

    def _first_of(self, line: Line[T]) -> Freed[T]:
        name, item = line.waiting.popleft()
        seated = len(line.waiting) < line.seated
        if seated:
            line.seated -= 1
        else:
            self.standing -= 1
        self._go(line, name)
        return Freed(item, seated)

    def _go(self, line: Line[T], name: str) -> None:
        line.busy += 1
        line.first = name
        self._live[name] = line
