"""A supervisor in the OTP manner: it starts, restarts and stops its children, and knows when to give up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import trio

from engine.runtime.child import Backoff, Child, ChildEvent, ChildState, Policy, TooManyRestarts
from engine.runtime.keeper import Keeper

__all__ = ["Backoff", "Child", "ChildEvent", "ChildState", "Supervisor", "TooManyRestarts"]


def _ignore(_event: ChildEvent) -> None:
    """Tell nobody."""


class Supervisor:
    """Keeps its children running.

    Children are listed sink first: they are started left to right and stopped right to left, neighbours of
    one rank together, so that stopping drains. A child that dies is started again, at once while its inbox
    narrows a poisonous message down, else after a growing wait. One that dies more than *intensity* times
    within *period* is given up: it stays ``down`` and the others go on, unless it is essential, which ends
    the supervisor (in order) with `TooManyRestarts`. Restarts multiply down the levels: 3 at each of two
    levels are 16 lives.

    A supervisor is a child of another by ``Child(start=inner.run, stop=inner.stop, drain=math.inf)``.

    Args:
        children: sink first; their names are unique.
        strategy: what a death takes along: ``one_for_one`` nothing, ``rest_for_one`` the children listed
            after it, which are stopped before and started after it.
        intensity: counted deaths of one child within *period* that are tolerated.
        period: seconds.
        backoff: the waits between restarts.
        on_event: called with all that happens to a child; a death comes with its traceback. Must not raise.
    """

    def __init__(
        self,
        children: Iterable[Child] = (),
        *,
        strategy: Literal["one_for_one", "rest_for_one"] = "one_for_one",
        intensity: int = 3,
        period: float = 30.0,
        backoff: Backoff = Backoff(),  # noqa: B008  frozen
        on_event: Callable[[ChildEvent], None] = _ignore,
    ) -> None:
        self._policy = Policy(intensity=intensity, period=period, backoff=backoff)
        self._on_event = on_event
        self._rest = strategy == "rest_for_one"
        self._keepers: list[Keeper] = []
        self._nursery: trio.Nursery | None = None
        self._stop_asked = trio.Event()
        self._fatal: TooManyRestarts | None = None
        self._restarting = trio.Lock()
        for child in children:
            self._enlist(child, None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all children until `stop` was called and the last of them has ended; may be called again then.

        Cancelling it cancels them, all at once and undrained. ``task_status`` is told when all were started.

        Raises:
            TooManyRestarts: an essential child was given up; the others were stopped in order.
        """
        self._fatal = None
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for keeper in self._keepers:
                    keeper.forgive()
                for keeper in list(self._keepers):
                    await self._launch(keeper)
                task_status.started()
                await self._stop_asked.wait()
                for rank in reversed(self._ranks()):
                    async with trio.open_nursery() as stopping:
                        for keeper in rank:
                            stopping.start_soon(keeper.stop)
        finally:
            self._nursery = None
            self._stop_asked = trio.Event()
        if self._fatal is not None:
            raise self._fatal

    def stop(self) -> None:
        """Ask for an orderly stop, one child after the other from the right; before `run`, for none to start."""
        self._stop_asked.set()

    def stop_now(self) -> None:
        """Cancel all children at once."""
        self._stop_asked.set()
        for keeper in self._keepers:
            keeper.cancel()

    async def add(self, child: Child, *, before: str | None = None) -> None:
        """Add *child*, and start it if the supervisor runs and is not stopping.

        Args:
            child: its name is new.
            before: the child it is listed before; None puts it last, as a source.

        Raises:
            ValueError: the name is taken.
            KeyError: there is no child *before*.
        """
        await self._launch(self._enlist(child, before))

    async def remove(self, name: str) -> None:
        """Stop the child *name*, drained like in `stop`, and forget it. Not to be called by that child itself.

        Raises:
            KeyError: there is no such child.
        """
        keeper = self._find(name)
        if self._rest:
            async with self._restarting:
                await keeper.stop()
        else:
            await keeper.stop()
        self._keepers.remove(keeper)

    def states(self) -> dict[str, ChildState]:
        """Return each child's state by name, in the order listed."""
        return {keeper.child.name: keeper.state() for keeper in self._keepers}

    def _ranks(self) -> list[list[Keeper]]:
        """Return the keepers in order, neighbours of one rank together."""
        ranks: list[list[Keeper]] = []
        for keeper in self._keepers:
            rank = keeper.child.rank
            if rank and ranks and ranks[-1][0].child.rank == rank:
                ranks[-1].append(keeper)
            else:
                ranks.append([keeper])
        return ranks

    def _enlist(self, child: Child, before: str | None) -> Keeper:
        if any(keeper.child.name == child.name for keeper in self._keepers):
            raise ValueError(f"two children are called '{child.name}'")
        place = len(self._keepers) if before is None else self._keepers.index(self._find(before))
        keeper = Keeper(child, self._policy, self._on_event)
        self._keepers.insert(place, keeper)
        return keeper

    def _find(self, name: str) -> Keeper:
        for keeper in self._keepers:
            if keeper.child.name == name:
                return keeper
        raise KeyError(name)

    async def _launch(self, keeper: Keeper) -> None:
        if self._nursery is None or self._stop_asked.is_set():
            return
        keeper.begin()
        # start() and not start_soon(): trio runs new tasks in any order, and children are started left to right.
        await self._nursery.start(self._keep, keeper)

    async def _keep(self, keeper: Keeper, *, task_status: trio.TaskStatus[None]) -> None:
        life = keeper.lives
        delay = await keeper.live(task_status)
        if delay is None:
            if keeper.failed and keeper.child.essential:
                self._fatal = TooManyRestarts(keeper.child.name, self._policy, keeper.state().error)
                self._stop_asked.set()
        elif not self._rest:
            await self._restart([keeper], delay)
        else:
            async with self._restarting:
                # Meanwhile a sibling to the left may have taken this one along, or somebody removed it.
                if keeper.wanted and keeper.lives == life:
                    await self._restart([keeper, *await self._stop_after(keeper)], delay)

    async def _stop_after(self, keeper: Keeper) -> list[Keeper]:
        rest = [other for other in self._keepers[self._keepers.index(keeper) + 1 :] if other.wanted]
        for other in reversed(rest):
            await other.stop()
        return rest

    async def _restart(self, keepers: list[Keeper], delay: float) -> None:
        if await keepers[0].pause(delay):
            for keeper in keepers:
                await self._launch(keeper)
