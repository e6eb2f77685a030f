"""What runs a source's functions for its validator: here, or in processes of their own that nothing else waits for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from engine.messages import Logged, Result
from engine.plan import SourcePlan
from engine.plan.functions import Answer, Call, Functions, Walked, heard, payload
from engine.plan.windows import Windows
from engine.results import WindowState
from engine.runtime.clock import Clock
from engine.runtime.hand import Hand
from engine.runtime.hosted import Died, TimedOut, Unusable, fault_of

BATCHES = 3
"""Batches in a row whose call did not answer, after which the function needs attention."""
PROBE = 30.0
"""Seconds between probes while it does."""
PROBES = 3
"""Probes with the same event, when nothing else waits, after which that event is to blame."""

Good = Sequence[tuple[Logged, dict[str, Any]]]

log = structlog.get_logger()


class Runner:
    """Runs the functions of one source, one batch at a time; belongs to the tree and outlives the validator.

    A function that does not answer is given up after a while: its source's events wait in the log, and a probe with
    another event every 30 seconds tells when it answers again.

    Attributes:
        attention: why a function needs attention, or "".
        windows: what is counted of the source's events, as of its cursor.
    """

    def __init__(self, source: SourcePlan, clock: Clock, states: Iterable[WindowState] = ()) -> None:
        self.attention = ""
        self._source = source.name
        self._functions = source.functions
        self.clock = clock
        self.windows = Windows(source.windows, states)
        self._bad = 0
        self._probes = 0
        steps = source.functions.steps if source.functions else ()
        self._hands = [Hand(step.hello) if step.hello else None for step in steps]

    async def run(self, batch: Good) -> list[Result]:
        """Return one result per event, in order, up to the first that must be tried again; at least one."""
        assert self._functions
        probes = 0
        while True:
            if self.attention:
                await self.clock.sleep(PROBE)
                probes += 1
                if await self._answers(batch):
                    self._recovered()
                elif probes < max(PROBES, len(batch)):
                    continue  # else each has had its turn: they may be what is wrong, and are judged
            walked = await self._walked(self._functions, batch)
            self._judge(walked)
            if walked.results or not batch:
                return walked.results

    async def once(self, batch: Good) -> list[Result]:
        """Return one result per event, in order, up to the first that could not be judged; try nothing again."""
        assert self._functions
        return (await self._walked(self._functions, batch)).results

    async def warm(self) -> None:
        """Start processes before the first event needs them; one that does not start is met there."""
        for hand in self._hands:
            if hand:
                with contextlib.suppress(Died, TimedOut, Unusable):
                    await hand.ready()

    async def prove(self) -> None:
        """Start processes, and raise what keeps one from loading its function.

        Raises:
            Died, TimedOut, Unusable: as `Hand.ready`.
        """
        for hand in self._hands:
            if hand:
                await hand.ready()

    def kill(self) -> None:
        """End all processes."""
        for hand in self._hands:
            if hand:
                hand.kill()

    async def _walked(self, functions: Functions, batch: Good) -> Walked:
        walk = functions.walk((logged.position, body) for logged, body in batch)
        try:
            call = next(walk)
            while True:
                call = walk.send(await self._answer(functions, call))
        except StopIteration as end:
            made: Walked = end.value
            return made

    async def _answer(self, functions: Functions, call: Call) -> Answer:
        hand = self._hands[call.step]
        if hand is None:
            answer = functions.inline(call)
            if answer.printed:
                log.debug("function.printed", source=self._source, text=answer.printed)
            return answer
        began = self.clock.monotonic()
        try:
            said = await hand.call(payload(call), call.seconds)
        except (TimedOut, Died, Unusable) as error:
            return heard(None, fault_of(error), str(error), self.clock.monotonic() - began)
        if said.printed:
            log.debug("function.printed", source=self._source, text=said.printed)
        return heard(said, "", "", self.clock.monotonic() - began)

    async def _answers(self, batch: Good) -> bool:
        """Return whether the functions answer to one event; another one each time."""
        assert self._functions
        one = batch[self._probes % len(batch)]
        self._probes += 1
        walked = await self._walked(self._functions, [one])
        return not walked.fault

    def _judge(self, walked: Walked) -> None:
        """Count batches whose call did not answer; a function that cannot be loaded is not waited for."""
        self._bad = self._bad + 1 if walked.fault else 0
        if self._bad >= BATCHES or (walked.fault and not walked.results):
            self.attention = walked.fault
            log.error(
                "function.attention",
                source=self._source,
                error=walked.fault,
                consequence="the source's events wait in the log; a probe every 30 s",
            )

    def _recovered(self) -> None:
        log.warning("function.recovered", source=self._source)
        self.attention = ""
        self._bad = BATCHES - 1
