"""The validator, one per source: contract, then functions, in log order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import msgspec
import trio

from actors.follower import Follower, Reader
from actors.functions import Runner
from engine.messages import Event, Judged, Logged, Passed, Result, Span, State, Trouble
from engine.observe.latency import Histogram
from engine.plan import SourcePlan
from engine.plan.breaches import Samples
from engine.plan.windows import View
from engine.runtime.channel import Inbox
from engine.runtime.mark import Mark
from engine.runtime.room import Room
from engine.store.base import Log
from engine.violated import Violated


class Outlets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a validator's words go.

    Attributes:
        archiver: fates of the source's stages; waits when full.
        routers: one inbox per sync of the source, as of now; a full one lags.
        places: of the archiver; reserved for what goes no further.
        passed: how far this validator has come; moved before the routers are offered anything.
        latency: from receipt to here, of each batch's first event.
    """

    archiver: Inbox[Any]
    places: Room
    routers: Sequence[Inbox[Passed]]
    passed: Mark
    latency: Histogram = msgspec.field(default_factory=Histogram)


class _Fates(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of a span that did not pass, and what those broke that did."""

    troubles: list[Trouble]
    dropped: int = 0
    violated: list[Violated] = []


Good = Sequence[tuple[Logged, dict[str, Any]]]
"""Events that kept their contract."""
Made = tuple[Logged, Result | None, tuple[Event, ...]]
"""One of them, what is stored of it if anything, and what goes on."""


class Validator(Reader[Span]):
    """Reads its source's log and offers the routers what passed.

    An event that breaks the contract or a function is one event with a fate; it is no death.

    Args:
        source: what decides.
        log: of all sources.
        follower: how to go through it.
        outlets: where to.
        runner: runs the source's functions and has its windows; outlives this actor.
    """

    def __init__(
        self, source: SourcePlan, log: Log, follower: Follower[Span], outlets: Outlets, runner: Runner
    ) -> None:
        super().__init__(follower)
        self.source = source
        self.log = log
        self.runner = runner
        self.outlets = outlets
        self.clock = runner.clock
        self.windows = runner.windows
        self._samples = Samples()
        self._stored_upto = log.last
        """Positions up to here may have results from before this life; they are never computed twice."""

    async def started(self) -> None:
        """Let functions load before the first event comes."""
        await self.runner.warm()

    async def receive(self, span: Span, /) -> None:
        """Give every event of *span* its source-stage fate, and offer what passed."""
        rest: Span | None = span
        while rest is not None:
            rest = await self._judged(rest)

    async def _judged(self, span: Span) -> Span | None:
        """Judge the events of *span* up to the first that a function could not yet take; return what is left."""
        now = self.clock.wall()
        troubles: list[Trouble] = []
        violated: list[Violated] = []
        good: list[tuple[Logged, dict[str, Any]]] = []
        for logged in span.events:
            examined = self.source.examine(logged, now, violated.append)
            if isinstance(examined, Trouble):
                troubles.append(examined)
            else:
                good.append((logged, examined))
        made, view = await self._made(good)
        span, rest = _cut(span, good[len(made)][0].position if len(made) < len(good) else None)
        troubles += [self.source.failed(logged, r, now) for logged, r, _ in made if r and r.outcome == "failed"]
        fates = _Fates(
            troubles=[one for one in troubles if one.position <= span.upto],
            dropped=sum(r is not None and r.outcome == "dropped" for _, r, _ in made),
            violated=[one for one in violated if one.position <= span.upto],
        )
        await self._carry(span, [event for _, _, events in made for event in events], fates, view)
        return rest

    async def poisoned(self, message: Span, error: Exception, /) -> None:
        """Archive the events of *message*, which killed two validators, and go on after them."""
        now = self.clock.wall()
        troubles = [self.source.died(logged, error, now) for logged in message.events]
        # Who reads the log again must not take it for one that passed.
        await self._keep([self.source.unjudged(one, error) for one in message.events])
        await self._carry(message, [], _Fates(troubles=troubles), self.windows.view())

    async def _carry(self, span: Span, events: list[Event], fates: _Fates, view: View) -> None:
        """Report the fates, then offer *events* onward; in this order, so that no sync is ever ahead of its source."""
        blocked = sum(trouble.state is State.BLOCKED for trouble in fates.troubles)
        failed = len(fates.troubles) - blocked
        now = self.clock.wall()
        if span.events:
            self.outlets.latency.add(now - span.events[0].envelope.received_at)
        # A flood of one violation is counted; what is kept of it are samples, of blocked events too.
        kept = [one for one in fates.violated if self._samples.keeps(one, now)]
        counted_only = {one.position for one in fates.violated} - {one.position for one in kept}
        troubles = [one for one in fates.troubles if one.state is not State.BLOCKED or one.position not in counted_only]
        judged = Judged(
            source=span.source,
            after=span.after,
            upto=span.upto,
            passed=len(events),
            derived=sum(event.n > 0 for event in events),
            blocked=blocked,
            dropped=fates.dropped,
            failed=failed,
            troubles=tuple(troubles),
            violated=tuple(kept),
            counts=self._samples.counts(fates.violated),
            windows=view.states(),
        )
        await self._report(judged)
        self.windows.settle(view)
        passed = Passed(source=span.source, after=span.after, upto=span.upto, events=tuple(events))
        self.follower.place.move(span.upto)
        self.outlets.passed.move(span.upto)
        for inbox in self.outlets.routers:
            if not inbox.closed:  # its router is being changed: the next one reads it from the log
                inbox.offer(passed)

    async def _report(self, judged: Judged) -> None:
        """Tell the archiver, which has a place for every row: while the disk is full, what fails waits in the log."""
        if not judged.troubles:
            await self.outlets.archiver.put(judged)
            return
        places = await self.outlets.places.reserve_some(len(judged.troubles))
        with ExitStack() as undo:
            undo.callback(self.outlets.places.give, places)
            await self.outlets.archiver.put(msgspec.structs.replace(judged, places=places))
            undo.pop_all()

    async def _made(self, good: Good) -> tuple[list[Made], View]:
        """Return what became of each event up to the first that a function could not yet take, and what was counted.

        A derived event exists once its result is durable; what else a function did is durable with the cursor. What
        windows have counted is so, too, and is counted again from there; where they fired there is a stored result.
        """
        view = self.windows.view()
        stored = await self._stored(good)  # what killed validators has one in any source, and routers may have read it
        if not (self.source.keeps_results or stored):
            return [(logged, None, self.source.events(logged, body)) for logged, body in good], view
        results = stored | await self._transformed(good, stored)
        made: list[Made] = []
        fresh: list[Result] = []
        for logged, body in good:
            result = results.get(logged.position)
            if result is None and self.source.has_functions:
                break
            events = self.source.restored(logged, result) if result else self.source.events(logged, body)
            derived = [fired for event in events if event.body for fired in view.count(event)]
            if derived and logged.position not in stored:
                result = self.source.fired(logged, events, derived)
                events = self.source.restored(logged, result)
            if result and logged.position not in stored:
                fresh.append(result)
            made.append((logged, result, events))
        if fresh:
            await self._keep(fresh)
        return made, view

    async def _stored(self, good: Good) -> dict[int, Result]:
        """Return results from before this life."""
        if not good or good[0][0].position > self._stored_upto:
            return {}
        return await self.log.results([logged.position for logged, _ in good if logged.position <= self._stored_upto])

    async def _transformed(self, good: Good, stored: dict[int, Result]) -> dict[int, Result]:
        """Return what the functions make of the events that have no result."""
        if not self.source.has_functions:
            return {}
        fresh = [(logged, body) for logged, body in good if logged.position not in stored and body]
        # What was erased before its functions ran has nothing that they could be shown.
        dropped = {
            logged.position: Result(position=logged.position, outcome="dropped") for logged, body in good if not body
        }
        run = await self.runner.run(fresh) if fresh else []
        return dropped | {result.position: result for result in run}

    async def _keep(self, made: list[Result]) -> None:
        """Hand results to the writer; wait for them only if something was derived."""
        durable = trio.Event()
        errors: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            durable.set()

        derived = any(len(result.events) > 1 for result in made)
        self.log.keep(made, done, soon=derived)
        if derived:
            await durable.wait()
            if errors:
                raise errors[0]


def _cut(span: Span, before: int | None) -> tuple[Span, Span | None]:
    """Return what of *span* lies before a position, and the rest; all of it and None without one."""
    if before is None:
        return span, None
    first = tuple(one for one in span.events if one.position < before)
    rest = tuple(one for one in span.events if one.position >= before)
    edge = before - 1
    return msgspec.structs.replace(span, upto=edge, events=first), msgspec.structs.replace(
        span, after=edge, events=rest
    )


def validator_reader(source: SourcePlan, log: Log) -> Any:
    """Return what a validator's `Follower` reads with: rows of the log, as they are."""

    async def read(after: int, upto: int, limit: int) -> Span:
        events = await log.read(source.name, after, upto, limit)
        reached = events[-1].position if len(events) == limit else upto
        return Span(source=source.name, after=after, upto=reached, events=tuple(events))

    return read
