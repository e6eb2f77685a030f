"""The validator, one per source: contract, then functions, in log order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from actors.follower import Follower, Reader
from engine.messages import Event, Judged, Logged, Passed, Result, Span, State, Trouble
from engine.plan import SourcePlan
from engine.plan.breaches import Samples
from engine.runtime.channel import Inbox
from engine.runtime.clock import Clock
from engine.runtime.mark import Mark
from engine.store.base import Log
from engine.violated import Violated


class Outlets(msgspec.Struct, frozen=True, kw_only=True):
    """Where a validator's words go.

    Attributes:
        archiver: fates of the source's stages; waits when full.
        routers: one inbox per sync of the source; a full one lags.
        passed: how far this validator has come; moved before the routers are offered anything.
    """

    archiver: Inbox[Any]
    routers: tuple[Inbox[Passed], ...]
    passed: Mark


class _Fates(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of a span that did not pass, and what those broke that did."""

    troubles: list[Trouble]
    dropped: int = 0
    violated: list[Violated] = []


class Validator(Reader[Span]):
    """Reads its source's log and offers the routers what passed.

    An event that breaks the contract or a function is one event with a fate; it is no death.
    """

    def __init__(self, source: SourcePlan, log: Log, follower: Follower[Span], outlets: Outlets, clock: Clock) -> None:
        super().__init__(follower)
        self.source = source
        self.log = log
        self.outlets = outlets
        self.clock = clock
        self._samples = Samples()
        self._stored_upto = log.last
        """Positions up to here may have results from before this life; they are never computed twice."""

    async def receive(self, span: Span, /) -> None:
        """Give every event of *span* its source-stage fate, and offer what passed."""
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
        if self.source.has_functions:
            results = await self._results(good)
            troubles += [self.source.failed(at, r, now) for at, r in _failed(good, results)]
            events = [
                event for (logged, _), r in zip(good, results, strict=True) for event in self.source.restored(logged, r)
            ]
            dropped = sum(result.outcome == "dropped" for result in results)
        else:
            events = [event for logged, body in good for event in self.source.events(logged, body)]
            dropped = 0
        await self._carry(span, events, _Fates(troubles=troubles, dropped=dropped, violated=violated))

    async def poisoned(self, message: Span, error: Exception, /) -> None:
        """Archive the events of *message*, which killed two validators, and go on after them."""
        now = self.clock.wall()
        troubles = [self.source.died(logged, error, now) for logged in message.events]
        await self._carry(message, [], _Fates(troubles=troubles))

    async def _carry(self, span: Span, events: list[Event], fates: _Fates) -> None:
        """Report the fates, then offer *events* onward; in this order, so that no sync is ever ahead of its source."""
        blocked = sum(trouble.state is State.BLOCKED for trouble in fates.troubles)
        failed = len(fates.troubles) - blocked
        now = self.clock.wall()
        # A flood of one violation is counted; what is kept of it are samples, of blocked events too.
        kept = [one for one in fates.violated if self._samples.keeps(one, now)]
        counted_only = {one.position for one in fates.violated} - {one.position for one in kept}
        derived = sum(event.n > 0 for event in events)
        await self.outlets.archiver.put(
            Judged(
                source=span.source,
                after=span.after,
                upto=span.upto,
                passed=len(events),
                derived=derived,
                blocked=blocked,
                dropped=fates.dropped,
                failed=failed,
                troubles=tuple(
                    one for one in fates.troubles if one.state is not State.BLOCKED or one.position not in counted_only
                ),
                violated=tuple(kept),
                counts=self._samples.counts(fates.violated),
            )
        )
        passed = Passed(source=span.source, after=span.after, upto=span.upto, events=tuple(events))
        self.follower.place.move(span.upto)
        self.outlets.passed.move(span.upto)
        for inbox in self.outlets.routers:
            inbox.offer(passed)

    async def _results(self, good: Sequence[tuple[Logged, dict[str, Any]]]) -> list[Result]:
        """Return what the functions made of *good*: as stored, or made now.

        A derived event exists once its result is durable; what else a function did is durable with the cursor.
        """
        stored: dict[int, Result] = {}
        old = [logged.position for logged, _ in good if logged.position <= self._stored_upto]
        if old:
            stored = await self.log.results(old)
        fresh = [(logged, body) for logged, body in good if logged.position not in stored]
        made = self.source.transform(fresh)
        if made:
            await self._keep(made)
        stored.update((result.position, result) for result in made)
        return [stored[logged.position] for logged, _ in good]

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


def _failed(good: Sequence[tuple[Logged, Any]], results: Sequence[Result]) -> list[tuple[Logged, Result]]:
    """Return the events whose function failed, each with its result."""
    return [(logged, r) for (logged, _), r in zip(good, results, strict=True) if r.outcome == "failed"]


def validator_reader(source: SourcePlan, log: Log) -> Any:
    """Return what a validator's `Follower` reads with: rows of the log, as they are."""

    async def read(after: int, upto: int, limit: int) -> Span:
        events = await log.read(source.name, after, upto, limit)
        reached = events[-1].position if len(events) == limit else upto
        return Span(source=source.name, after=after, upto=reached, events=tuple(events))

    return read
