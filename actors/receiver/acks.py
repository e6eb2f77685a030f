"""Which elements of a connection are decided, and what is to be said of it: numbers, not events. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from engine.wire import Ack, Refused


class Turn:
    """The elements of one submission; decided together, perhaps before they are numbered."""

    __slots__ = ("decided", "upto")

    def __init__(self) -> None:
        self.upto = 0
        self.decided = False


class Acks:
    """The slot of one connection: whatever becomes decided before the next ack is sent goes with it.

    Elements are numbered from 1, refused ones and duplicates too. ``upto`` of an ack is the lowest undecided number
    less one, in whatever order submissions become durable.
    """

    def __init__(self) -> None:
        self.read = 0
        self.decided = 0
        self._told = 0
        self._turns: deque[Turn] = deque()
        self._refused: list[Refused] = []

    @property
    def undecided(self) -> int:
        """Return how many elements were read and are not decided."""
        return self.read - self.decided

    def open(self, turn: Turn, count: int, refused: Iterable[tuple[int, str, str, str]] = ()) -> None:
        """Number the next *count* elements; *turn* is theirs.

        Args:
            turn: of these elements; may be decided already.
            count: at least 1.
            refused: index among these (from 0), messageId, code and message of each that is not accepted.
        """
        first = self.read + 1
        self.read += count
        self._refused.extend(
            Refused(n=first + index, message_id=message_id, code=code, message=message)
            for index, message_id, code, message in refused
        )
        turn.upto = self.read
        self._turns.append(turn)

    def decide(self, turn: Turn) -> bool:
        """Mark *turn* as durable or refused; return whether there is something new to say."""
        turn.decided = True
        while self._turns and self._turns[0].decided:
            self.decided = self._turns.popleft().upto
        return self.decided > self._told

    def take(self) -> Ack | None:
        """Return what is to be said now, once; None if nothing is new."""
        if self.decided == self._told:
            return None
        self._told = upto = self.decided
        # Refused numbers ascend, so those to be told are a head of the list.
        count = sum(1 for refusal in self._refused if refusal.n <= upto) if self._refused else 0
        told, self._refused = self._refused[:count], self._refused[count:]
        return Ack(upto=upto, refused=tuple(told))
