"""The replayer: moves archived deliveries and events of the log back to pending, at a rate, beside everything else.

It writes ledger rows that are due at once; the retry scheduler hands them to senders like any other. With each step
it writes how far it has come, in one transaction: so a step is made once, whatever dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from engine.errors import StoreFull
from engine.messages import Result, State
from engine.plan import Plan, SourcePlan
from engine.plan.replaying import Beside, Good, Step, Sweep, check_wish
from engine.plan.then import Then
from engine.runtime.bell import Bell
from engine.runtime.clock import Clock
from engine.store.base import Change, Store
from engine.store.replays import Replay, Replays, Wish, fact_of, read_replays

if TYPE_CHECKING:
    from actors.functions import Runner

STEPS = 5
"""Steps a second that a rate is divided into."""
MOST = 100
"""Deliveries in one step: about 5 ms of the writer."""
COUNTED = 500
"""The same while it only counts."""
HELD = 0.25
"""Seconds between looks at a destination that has no room."""
FULL = 1.0
"""Seconds between tries while the disk is full."""
BUDGET = 1.5
"""Seconds that one call may count."""

log = structlog.get_logger()


class Around(msgspec.Struct, frozen=True, kw_only=True):
    """What the others are at, as of now.

    Attributes:
        free: returns the free places for due deliveries of each destination's sender.
        beside: what is known beside the store.
    """

    free: Callable[[], Mapping[str, int]]
    beside: Beside


class Replayer:
    """Runs replays one after the other; one whose destination has no room lets those behind it go.

    Belongs to the tree and outlives its own deaths.

    Args:
        store: read from and written to.
        plan: returns what is in force now.
        around: looked at before and behind a step.
        runner: makes what runs a source's functions.
        clock: wall and monotonic time.
    """

    def __init__(
        self,
        store: Store,
        plan: Callable[[], Plan],
        around: Around,
        runner: Callable[[SourcePlan], Runner],
        clock: Clock,
    ) -> None:
        self._store = store
        self._plan = plan
        self._around = around
        self._runner = runner
        self._clock = clock
        self._bell = Bell()
        self._changing = trio.Lock()
        self.still = trio.Lock()
        """Held from what a step reads to what it writes: who erases or reloads holds it, or a step would bring back
        what went meanwhile."""
        self._stopping = False
        self._replays: Replays | None = None
        self._runners: dict[str, tuple[SourcePlan, Runner]] = {}
        self._sweep: tuple[Plan, Sweep] | None = None
        self._wanted: dict[int, set[str]] = {}
        """By replay, the destinations of its last step."""

    async def run(self) -> None:
        """Replay what was asked for until told to stop; what was begun goes on where it stood."""
        while not self._stopping:
            running = (await self._known()).running
            ready = next((one for one in running if not self._why_held(one.number)), None)
            if ready is not None:
                await self._advance(ready)
            elif running:
                await self._pause(HELD)
            else:
                self._let_go()
                self._wanted.clear()
                await self._bell.wait()
        self._let_go()

    def stop(self) -> None:
        """Begin no further step; the rest goes on at the next start."""
        self._stopping = True
        self._bell.ring()

    async def begin(self, wish: Wish) -> Replay:
        """Begin a replay, durably, and return it.

        Raises:
            Refused: it means nothing, or the same is running.
            StoreFull: not even the reserve is left.
        """
        check_wish(wish, self._plan())
        async with self._changing:
            replays = (await self._known()).begun(wish, self._clock.wall())
            # Now, and not at its first step: it may stand behind others, and what comes meanwhile is not meant.
            replays = replays.moved(await self._made_sweep(self._plan()).bounded(replays.kept[-1]))
            await self._write(Change(), replays)
        self._bell.ring()
        log.info("replay.begun", number=replays.last)
        return replays.kept[-1]

    async def end(self, number: int) -> Replay | None:
        """Stop a replay where it stands; return it as it is then, or None if there is none of that number."""
        async with self._changing:
            before = await self._known()
            replays, found = before.ended(number, self._clock.wall())
            if replays is not before:
                await self._write(Change(), replays)
        self._bell.ring()  # those behind it need not wait as long as it would have
        return found

    async def known(self) -> Replays:
        """Return all replays, with why one of them does not go on, if it does not."""
        replays = await self._known()
        for one in replays.running:
            if why := self._why_held(one.number):
                replays = replays.moved(msgspec.structs.replace(one, held=why))
        return replays

    async def count(self, replay: Replay) -> Replay:
        """Return *replay* after some more counting; nothing is written. Ask again until its place is over.

        Raises:
            Refused: it means nothing.
        """
        check_wish(replay.wish, self._plan())
        replay = msgspec.structs.replace(replay, number=0)
        # What the store says will do to count: to ask the routers lets go of what waits for them.
        sweep = self._made_sweep(self._plan(), msgspec.structs.replace(self._around.beside, reached=None))
        until = self._clock.monotonic() + BUDGET
        while not replay.place.over and self._clock.monotonic() < until:
            replay = (await sweep.step(replay, COUNTED)).replay
        if not replay.place.over:
            return replay
        if not (await self._known()).running:
            self._let_go()
        return msgspec.structs.replace(replay, state="done")

    async def _advance(self, replay: Replay) -> None:
        """Make one step, and wait as long as its rate says."""
        rate = replay.wish.rate
        limit = max(1, min(MOST, int(rate / STEPS)))
        try:
            async with self.still:
                step = await self._sweep_of_today().step(replay, limit)
                written = await self._written(step)
        except StoreFull:
            await self._pause(FULL)
            return
        if written is None:
            return  # stopped meanwhile
        if written.state == "done":
            self._let_go()
            log.info("replay.done", number=written.number, became=msgspec.to_builtins(written.became))
        self._wanted[written.number] = {one.destination for one in step.change.again if one.state is State.RETRYING}
        await self._pause(step.sent / rate)

    def _sweep_of_today(self) -> Sweep:
        plan = self._plan()
        if self._sweep is None or self._sweep[0] is not plan:
            self._let_go()
            self._sweep = (plan, self._made_sweep(plan))
        return self._sweep[1]

    async def _written(self, step: Step) -> Replay | None:
        """Write a step with how far it came, and return its replay; None if that was stopped meanwhile.

        Raises:
            StoreFull: nothing was written.
        """
        after = step.replay
        if after.place.over:
            after = msgspec.structs.replace(after, state="done", ended_at=self._clock.wall())
        async with self._changing:
            replays = await self._known()
            if after.number not in {one.number for one in replays.running}:
                return None
            await self._write(step.change, replays.moved(after))
        return after

    def _why_held(self, number: int) -> str:
        """Return why a replay does not go on, or "": what waits shall wait in the archive, not where it is due."""
        free = self._around.free()
        full = sorted(name for name in self._wanted.get(number, ()) if free.get(name) == 0)
        return f"destination '{full[0]}' has no room for more" if full else ""

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until something was asked of us."""
        if seconds > 0 and not self._stopping:
            with trio.move_on_after(seconds):
                await self._bell.wait()

    async def _write(self, change: Change, replays: Replays) -> None:
        """Write a change with how far each replay came.

        Raises:
            StoreFull: nothing was written.
        """
        await self._store.commit(msgspec.structs.replace(change, facts=fact_of(replays)))
        self._replays = replays

    async def _known(self) -> Replays:
        if self._replays is None:
            self._replays = await read_replays(self._store)
        return self._replays

    def _made_sweep(self, plan: Plan, beside: Beside | None = None) -> Sweep:
        then = Then(self._store, plan, plan.registry, _aside)
        return Sweep(self._store, plan, then, self._run, self._clock.wall, beside or self._around.beside)

    async def _run(self, source: SourcePlan, batch: Good) -> list[Result]:
        """Run a source's functions in processes of our own: the validator's are busy with what comes in."""
        held = self._runners.get(source.name)
        if held is None or held[0] is not source:  # a reload may have brought another function
            if held is not None:
                held[1].kill()
            held = self._runners[source.name] = (source, self._runner(source))
        return await held[1].once(batch)

    def _let_go(self) -> None:
        """End the functions' processes, and forget what was compiled."""
        for _, runner in self._runners.values():
            runner.kill()
        self._runners.clear()
        self._sweep = None


async def _aside(call: Callable[[], Any]) -> Any:
    return await trio.to_thread.run_sync(call)
