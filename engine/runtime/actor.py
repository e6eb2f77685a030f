"""An actor: one task, one inbox, sole owner of its state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from engine.runtime.channel import Closed, Divisible, Inbox

M = TypeVar("M", bound=Divisible)


class Actor(Generic[M]):
    """Takes one message after the other and carries it onward; decides nothing that can be decided purely.

    Subclasses write `receive`, and the hooks they need. An exception that leaves any of them is this actor's
    death: the supervisor starts a new one on the same inbox, and what was in hand is offered again.

    Args:
        inbox: where its messages wait; belongs to the tree.
    """

    def __init__(self, inbox: Inbox[M]) -> None:
        self.inbox = inbox

    async def run(self) -> None:
        """Live until the inbox is closed and empty.

        Poison that an earlier life left behind is settled before the first message; if that fails, it is
        there again in the next life.
        """
        await self.started()
        await self.settle_poison()
        while (message := await self._next()) is not None:
            await self.receive(message)
            self.inbox.done()
        await self.stopping()

    async def settle_poison(self) -> None:
        """Hand to `poisoned` what an earlier life left behind, the oldest first."""
        while (poison := self.inbox.poison) is not None:
            await self.poisoned(poison.message, poison.error)
            self.inbox.poison_settled()

    async def receive(self, message: M, /) -> None:
        """Handle *message*; more may be drained with ``self.inbox.take_nowait()``."""
        raise NotImplementedError

    async def started(self) -> None:
        """Prepare, at the beginning of each life; nothing has been taken yet."""

    async def stopping(self) -> None:
        """Finish, when the inbox is closed and empty; not called on a death or when cancelled."""

    async def poisoned(self, message: M, error: Exception, /) -> None:  # noqa: ARG002  it is for overriding
        """Put away *message*, which killed its receiver twice with *error*, where somebody will see it.

        Without an override this is a death, so that no message is lost for want of one.
        """
        raise error

    async def _next(self) -> M | None:
        try:
            return await self.inbox.take()
        except Closed:
            return None


async def slots(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Run ``work(0)`` to ``work(count - 1)`` side by side, until all have returned.

    This is how a sender has *count* requests in flight. The first to fail cancels the others, and the
    error leaves in an `ExceptionGroup`, which the supervisor opens.
    """
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(work, number)
