"""A trio run that lives beside synchronous code: its time stands still but while somebody asks something of it."""

from __future__ import annotations

import queue
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import outcome
import trio
import trio.testing

T = TypeVar("T")
HANGS = 60.0
"""Seconds of real time without a word from trio after which a step is given up."""

Step = Callable[[trio.Nursery], Awaitable[Any]]


class Guest:
    """One trio run with a clock that jumps, made to run by hand: for a state machine, whose rules are synchronous.

    It is a guest of the loop in `call`, which is left the moment the step is done: nothing happens between two steps,
    so that a run is the same whenever the same steps are made.
    """

    def __init__(self) -> None:
        """Begin; nothing runs yet."""
        self._turns: queue.SimpleQueue[Callable[[], Any]] = queue.SimpleQueue()
        self._step: Step | None = None
        self._asked = trio.Event()
        self._made: outcome.Outcome[Any] | None = None
        self._ended: outcome.Outcome[Any] | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        trio.lowlevel.start_guest_run(
            self._live,
            run_sync_soon_threadsafe=self._turns.put,
            done_callback=self._over,
            clock=trio.testing.MockClock(autojump_threshold=0),
            strict_exception_groups=True,
        )

    def call(self, step: Callable[[trio.Nursery], Awaitable[T]]) -> T:
        """Run *step* in the guest's main task, with the nursery of everything else; return what it returns.

        Raises:
            BaseException: what it raises, or what ended the guest meanwhile.
        """
        self._made = None
        self._step = step
        self._wake()
        while self._made is None and self._ended is None:
            self._turns.get(timeout=HANGS)()
        if self._made is None or (
            isinstance(self._made, outcome.Error) and isinstance(self._made.error, trio.Cancelled)
        ):
            self.end()
            assert self._ended is not None
            self._ended.unwrap()  # something beside the step has failed
            raise AssertionError("the guest has ended")
        made: T = self._made.unwrap()
        return made

    def end(self) -> None:
        """Cancel what runs, and wait for its end; safe to call more than once."""
        self._step = None
        if self._ended is None:
            self._wake()
        while self._ended is None:
            self._turns.get(timeout=HANGS)()

    def _wake(self) -> None:
        if self._token is None:  # it has not had its first turn, and will look by itself
            self._asked.set()
        else:
            self._token.run_sync_soon(self._asked.set)

    def _over(self, ended: outcome.Outcome[Any]) -> None:
        self._ended = ended

    async def _live(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            while True:
                await self._asked.wait()
                self._asked = trio.Event()
                if self._step is None:
                    break
                self._made = await outcome.acapture(self._step, nursery)
            nursery.cancel_scope.cancel()
