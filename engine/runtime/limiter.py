"""A token bucket: how fast one destination is spoken to."""

from __future__ import annotations

import math

import msgspec
import trio

from engine.runtime.channel import Closed
from engine.runtime.clock import Clock
from engine.runtime.nap import Naps

WARY = 1.0
"""Seconds between two requests after a pause that was asked for, until one is answered as usual.

A place that is still overrun says so within that time, and hears nothing of the others; without an answer they come all
the same.
"""


class LimiterStats(msgspec.Struct, frozen=True, kw_only=True):
    """A limiter in numbers; the counts run since it was made.

    Attributes:
        taken: tokens.
        waited: calls of `Limiter.take` that had to wait.
        waiting: calls that wait now.
        paused_seconds: time it was told to wait, in seconds, so far.
    """

    taken: float
    waited: int
    waiting: int
    paused_seconds: float


class Limiter:
    """Lets *rate* tokens per second through, and after a rest up to *burst* at once.

    Belongs to the tree and outlives the sender that uses it: a restart must not forget the rate. It keeps
    one moment, at which the bucket will be full, instead of a count of tokens, so that a sleep until a
    computed moment is never short by a rounding error (GCRA, ITU-T I.371).

    Args:
        rate: tokens per second, above 0; None for no limit but pauses.
        burst: tokens the bucket holds, above 0.
        clock: whose monotonic time counts.
    """

    def __init__(self, rate: float | None, burst: float, clock: Clock) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"a rate must be above 0 per second, not {rate:g}")
        if burst <= 0:
            raise ValueError(f"a burst must be above 0, not {burst:g}")
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._full_at = -math.inf
        self._paused_from = 0.0
        self._paused_until = -math.inf
        self._paused_before = 0.0
        self._wary = False
        self._next_at = -math.inf
        self._line = trio.StrictFIFOLock()
        self._naps = Naps(clock)
        self._taken = 0.0
        self._waited = 0
        self._dismissed = False

    async def take(self, tokens: float = 1) -> None:
        """Wait for *tokens* and take them; first come, first served; a cancelled call takes none.

        Not a checkpoint when nobody is ahead and the tokens are there: a request follows, which is one.
        More than *burst* go through on a full bucket, and those after them wait for the debt.

        Raises:
            Closed: it is paused, or comes out of a pause, and `dismiss` was called.
        """
        if not self._line.locked() and self._try(tokens):
            return
        self._waited += 1
        async with self._line:
            while not self._try(tokens):
                now = self._clock.monotonic()
                if self._dismissed and now < self._held_until:
                    raise Closed("limiter")
                await self._naps.until(self._ready_at(tokens, now))

    def give_back(self, tokens: float = 1) -> None:
        """Return *tokens* that were taken for nothing; the next in line may have them at once."""
        self._taken -= tokens
        self._next_at = -math.inf
        if self._rate is not None:
            self._full_at -= tokens / self._rate
        if self._rate is not None or self._wary:
            self._naps.cut()

    def pause_until(self, moment: float, *, wary: bool = False) -> None:
        """Let nothing through before *moment* (monotonic seconds); an earlier one than before is ignored.

        This is how Retry-After paces the whole destination.

        Args:
            moment: the end of the pause.
            wary: then let one through every `WARY` seconds, until `trust` is called.
        """
        self._wary = self._wary or wary
        now = self._clock.monotonic()
        if moment <= max(now, self._paused_until):
            return
        if self._paused_until <= now:
            self._bank(now)
            self._paused_from = now
        self._paused_until = moment

    def trust(self) -> None:
        """Be wary no more: a request was answered as usual. In a pause it says nothing, it was made before."""
        if self._wary and not self.paused:
            self._wary = False
            self._next_at = -math.inf
            self._naps.cut()

    def adjust(self, rate: float | None, burst: float) -> None:
        """Keep to another *rate* and *burst* from now on; who waits is measured by them, and a pause stays."""
        if self._rate is not None and rate is not None:  # a debt is paid in tokens, not in seconds
            now = self._clock.monotonic()
            self._full_at = now + max(0.0, self._full_at - now) * self._rate / rate
        self._rate = rate
        self._burst = burst
        self._naps.cut()

    def resume(self) -> None:
        """End a pause now, and be wary no more."""
        now = self._clock.monotonic()
        self._bank(now)
        self._paused_until = self._next_at = -math.inf
        self._wary = False
        self._naps.cut()

    def dismiss(self) -> None:
        """Send away, until `recall`, who waits for the end of a pause; a rate goes on."""
        self._dismissed = True
        self._naps.cut()

    def recall(self) -> None:
        """Let pauses be waited for again."""
        self._dismissed = False

    @property
    def paused(self) -> bool:
        """Whether it was told to wait until a moment that is still to come."""
        return self._clock.monotonic() < self._paused_until

    @property
    def wait_time(self) -> float:
        """Seconds until one token could be taken if nobody is ahead; 0.0 if it could be now."""
        now = self._clock.monotonic()
        return max(0.0, self._ready_at(1, now) - now)

    def statistics(self) -> LimiterStats:
        """Return the limiter in numbers, as of now."""
        line = self._line.statistics()
        return LimiterStats(
            taken=self._taken,
            waited=self._waited,
            waiting=line.tasks_waiting + line.locked,
            paused_seconds=self._paused_before + self._paused_for(self._clock.monotonic()),
        )

    def _try(self, tokens: float) -> bool:
        # The usual case by far, an unlimited destination that asked for no pause, costs no look at the clock.
        if self._rate is not None or self._paused_until > -math.inf:
            now = self._clock.monotonic()
            if now < self._ready_at(tokens, now):
                return False
            if self._rate is not None:
                self._full_at = max(self._full_at, now) + tokens / self._rate
            if self._wary:
                self._next_at = now + WARY
        self._taken += tokens
        return True

    @property
    def _held_until(self) -> float:
        return max(self._paused_until, self._next_at)

    def _ready_at(self, tokens: float, now: float) -> float:
        if self._rate is None:
            return self._held_until
        spare = (self._burst - min(tokens, self._burst)) / self._rate
        return max(self._held_until, max(self._full_at, now) - spare)

    def _bank(self, now: float) -> None:
        self._paused_before += self._paused_for(now)
        self._paused_from = now

    def _paused_for(self, now: float) -> float:
        return max(0.0, min(now, self._paused_until) - self._paused_from)
