"""Bounded channels between actors, and what becomes of a message whose receiver died."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

import msgspec
from trio.lowlevel import ParkingLot, cancel_shielded_checkpoint, checkpoint_if_cancelled

from engine.errors import HeadraceError

DEATHS_ALONE = 2
"""Deaths with one indivisible message in hand after which it is offered no more."""


class Divisible(Protocol):
    """What may cross a channel: something that can be cut in two while a death is traced to its cause."""

    def halves(self) -> tuple[Self, Self] | None:
        """Return two smaller messages that together are this one, in order; None if it holds one thing."""


M = TypeVar("M", bound=Divisible)


class Closed(HeadraceError):
    """The inbox takes no more messages, or, asked for one, has none left."""

    def __init__(self, name: str) -> None:
        """Keep the inbox's *name*."""
        self.name = name
        super().__init__(f"inbox '{name}' is closed")


class Poison(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """A message that killed its receiver each time it was offered alone.

    Attributes:
        message: holds one thing: its `halves` are None.
        error: what the receiver died of, the last time.
    """

    message: M
    error: Exception


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """An inbox in numbers; the counts run since it was made.

    Attributes:
        size: messages (or weight) that may wait.
        waiting: messages that wait now, those to be offered again included.
        in_hand: messages taken and not yet done.
        offered: messages that were let in.
        refused: times `Inbox.offer` found it full.
        taken: messages handed out; one that is offered again is not counted again.
        deaths: times its receiver died.
        poisoned: messages that were found to be poison.
    """

    size: int
    waiting: int
    in_hand: int
    offered: int
    refused: int
    taken: int
    deaths: int
    poisoned: int


class Inbox(Generic[M]):
    """What waits for one actor; belongs to the tree and outlives the actor's deaths.

    Data flows from left to right: many senders `send` or `offer`, one actor `take`s. A full inbox blocks
    its senders: that is all the back-pressure there is. What was taken is *in hand* until `done`, or until
    the next plain `take`; what a dead actor had in hand is offered again to the next one:

    * after a death messages are offered one at a time;
    * one that was alone in hand comes back as its two halves;
    * one that has no halves is offered once more, and after its second death alone becomes a `Poison`.

    Args:
        name: as shown in metrics and logs, for example ``events``.
        size: weight that may wait; at least 1. One message is let into an empty inbox whatever it weighs.
        weigh: what a message weighs; 1 each if not given.
    """

    def __init__(self, name: str, size: int, weigh: Callable[[M], int] | None = None) -> None:
        if size < 1:
            raise ValueError(f"inbox '{name}' needs room for at least 1 message, not {size}")
        self.name = name
        self.size = size
        self._weigh = weigh
        self._weight = 0  # of what waits; not kept without weigh
        self._waiting: deque[M] = deque()
        self._again: deque[M] = deque()
        self._hand: list[M] = []
        self._poison: deque[Poison[M]] = deque()
        self._suspect = False  # something in hand was offered before
        self._alone = 0  # deaths of the indivisible message at the head of _again
        self._closed = False
        self._senders = ParkingLot()
        self._takers = ParkingLot()
        self._offered = self._refused = self._taken = self._deaths = self._poisoned = 0

    async def send(self, message: M) -> None:
        """Let *message* in, waiting while the inbox is full; a cancelled call let nothing in.

        Raises:
            Closed: the inbox was closed before there was room.
        """
        await checkpoint_if_cancelled()
        if self._let_in(message):
            await cancel_shielded_checkpoint()
            return
        while True:
            await self._senders.park()
            if self._let_in(message):
                return

    async def put(self, message: M) -> None:
        """Let *message* in like `send`, but without a checkpoint if there is room: for who has just come from one."""
        if not self._let_in(message):
            await self.send(message)

    def offer(self, message: M) -> bool:
        """Let *message* in if there is room now; return whether there was.

        Raises:
            Closed: the inbox is closed.
        """
        if self._let_in(message):
            return True
        self._refused += 1
        return False

    async def take(self, *, keep: bool = False) -> M:
        """Return the next message and hold it in hand; wait for one if there is none.

        Args:
            keep: False lets go of all that was in hand. True adds to it: for an actor with several
                messages in flight, which lets go of each by ``done(message)``.

        Raises:
            Closed: the inbox is closed and nothing waits.
        """
        if not keep:
            self.done()
        await checkpoint_if_cancelled()
        if self._again:
            message = self._again.popleft()
            self._suspect = True
        elif self._waiting:
            message = self._first()
        else:
            message = await self._next()
            self._hand.append(message)
            return message
        self._hand.append(message)
        await cancel_shielded_checkpoint()
        return message

    def take_nowait(self) -> M | None:
        """Return one more message, in hand together with those before it; None if none should be taken now.

        None means that nothing waits, or that the actor before this one died with what is in hand or
        still to be offered again: such messages come one at a time, by `take`.
        """
        if not self._waiting or self._suspect or self._again:
            return None
        message = self._first()
        self._hand.append(message)
        return message

    def peek(self) -> M | None:
        """Return what `take_nowait` would take, and leave it there; None if that would be None."""
        return self._waiting[0] if self._waiting and not self._suspect and not self._again else None

    def hold(self, message: M) -> None:
        """Put *message* in hand as if it had been taken: for one that the actor fetched itself, from the store."""
        self._hand.append(message)

    @property
    def held(self) -> tuple[M, ...]:
        """What is in hand."""
        return tuple(self._hand)

    @property
    def waiting(self) -> int:
        """Messages that `take` would return without waiting."""
        return len(self._waiting) + len(self._again)

    def done(self, message: M | None = None) -> None:
        """Let go of *message*, or of all that is in hand; it will not be offered again.

        Raises:
            ValueError: *message* is not in hand.
        """
        if message is None:
            self._hand.clear()
        else:
            del self._hand[self._place(message)]
        if self._suspect and not self._hand:
            self._suspect = False
            self._alone = 0

    def close(self) -> None:
        """Let nothing more in; what waits can still be taken. Senders that wait get `Closed`."""
        self._closed = True
        self._senders.unpark_all()
        self._takers.unpark_all()

    def reopen(self) -> None:
        """Let messages in again, for a receiver that was stopped and is started anew."""
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed; there may still be messages to take."""
        return self._closed

    @property
    def poison(self) -> Poison[M] | None:
        """The oldest poison that nobody settled yet; a restarted actor looks here before it takes."""
        return self._poison[0] if self._poison else None

    def poison_settled(self) -> None:
        """Forget the oldest poison: the actor has put it where somebody will see it."""
        self._poison.popleft()

    def died(self, error: Exception) -> bool:
        """Take back what the receiver, which died of *error*, had in hand; for the supervisor.

        Returns:
            Whether this death brought its cause nearer: the next offer is smaller than what was in hand,
            or the cause was found. If False nothing was learnt, and the death should count.
        """
        self._deaths += 1
        hand, suspect = self._hand, self._suspect
        self._hand, self._suspect = [], False
        if not hand:
            return False
        if len(hand) > 1:
            self._again.extendleft(reversed(hand))
            self._alone = 0
            # Only fresh messages: an actor that takes several suspects at once would never get anywhere.
            return not suspect
        return self._cut(hand[0], error)

    def put_back(self) -> None:
        """Take back what the receiver, which was cancelled, had in hand, whole and without blame."""
        self._again.extendleft(reversed(self._hand))
        self._hand = []
        self._suspect = False

    def leftovers(self) -> list[M]:
        """Return what would be offered again, and do not offer it.

        For an actor whose dead predecessor's messages must not be handled twice, such as a sender that
        cannot know whether its request arrived.
        """
        left = list(self._again)
        self._again.clear()
        self._alone = 0
        return left

    def forget(self) -> None:
        """Let go of all that waits and was never taken: for messages that can be read elsewhere."""
        self._waiting.clear()
        self._weight = 0
        self._senders.unpark_all()

    def statistics(self) -> Stats:
        """Return the inbox in numbers, as of now."""
        return Stats(
            size=self.size,
            waiting=len(self._waiting) + len(self._again),
            in_hand=len(self._hand),
            offered=self._offered,
            refused=self._refused,
            taken=self._taken,
            deaths=self._deaths,
            poisoned=self._poisoned,
        )

    def _let_in(self, message: M) -> bool:
        if self._closed:
            raise Closed(self.name)
        if self._weigh is None:
            if len(self._waiting) >= self.size:
                return False
        else:
            weight = self._weigh(message)
            if self._waiting and self._weight + weight > self.size:
                return False
            self._weight += weight
        self._waiting.append(message)
        self._offered += 1
        if self._takers:
            self._takers.unpark()
        return True

    def _first(self) -> M:
        message = self._waiting.popleft()
        if self._weigh is not None:
            self._weight -= self._weigh(message)
        self._taken += 1
        if self._senders:
            self._senders.unpark()
        return message

    async def _next(self) -> M:
        while not self._waiting:
            if self._closed:
                raise Closed(self.name)
            await self._takers.park()
        return self._first()

    def _place(self, message: M) -> int:
        # By identity: two equal messages are still two.
        for place, held in enumerate(self._hand):
            if held is message:
                return place
        raise ValueError(f"inbox '{self.name}': done() with a message that is not in hand")

    def _cut(self, message: M, error: Exception) -> bool:
        halves = message.halves()
        if halves is not None:
            self._again.extendleft(reversed(halves))
            self._alone = 0
            return True
        self._alone += 1
        if self._alone < DEATHS_ALONE:
            self._again.appendleft(message)
            return False
        self._alone = 0
        self._poisoned += 1
        self._poison.append(Poison(message=message, error=error))
        return True
