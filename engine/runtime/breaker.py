"""A breaker: whether one destination is spoken to at all."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec

from engine.runtime.channel import Closed
from engine.runtime.clock import Clock
from engine.runtime.nap import Naps

State = Literal["closed", "open", "half_open", "attention", "paused"]
"""``closed`` lets all through, ``open`` and ``attention`` one probe now and then, ``half_open`` waits for what
that probe brings, ``paused`` nothing."""

SLICES = 12
"""Parts of the period in which answers are counted; the oldest is forgotten as a whole."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens, and how it closes again.

    Attributes:
        consecutive: failures in a row that open it.
        ratio: the part of answers within *period* that may fail; more open it.
        minimum: answers within *period* below which *ratio* says nothing.
        period: seconds.
        probe_every: seconds from opening to the first probe, and from one probe to the next.
    """

    consecutive: int = 20
    ratio: float = 0.5
    minimum: int = 50
    period: float = 60.0
    probe_every: float = 30.0


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Leave to make one request.

    Attributes:
        probe: whether it is the one request by which a breaker finds out; the caller should choose something
            other than what failed last.
    """

    probe: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker went from one state to another.

    Attributes:
        before: the state it left.
        after: the state it is in.
        reason: why, in words; "" when it closed.
    """

    before: State
    after: State
    reason: str


GO = Admission(probe=False)
PROBE = Admission(probe=True)


def _ignore(_change: Change) -> None:
    """Tell nobody."""


class Breaker:
    """Stops requests to a destination that fails, and finds out when it is well again.

    Belongs to the tree and outlives the sender that uses it. Whoever was admitted says `success`, `failure`
    or `needs_attention` once; a probe of which nothing is heard (its sender died) is followed by another.

    Args:
        clock: whose monotonic time counts.
        thresholds: when it opens.
        on_change: called after each change of `state`; must not raise.
    """

    def __init__(
        self,
        clock: Clock,
        thresholds: Thresholds = Thresholds(),  # noqa: B008  frozen
        on_change: Callable[[Change], None] = _ignore,
    ) -> None:
        self._thresholds = thresholds
        self._clock = clock
        self._on_change = on_change
        self._naps = Naps(clock)
        self._answers = _Answers(thresholds.period)
        self._in_a_row = 0
        self._sick: State = "closed"  # what it is when no probe is out and nobody paused it
        self._probing = False
        self._dismissed = False
        self._probe_at = math.inf
        self._reason = ""
        self._pauses: list[str] = []
        self._settled: State = "closed"  # the state that `since` speaks of
        self._since = clock.monotonic()

    @property
    def state(self) -> State:
        """What it lets through now."""
        if self._pauses:
            return "paused"
        return "half_open" if self._probing else self._sick

    @property
    def since(self) -> float:
        """Monotonic seconds at which it entered its state; a probe's coming and going does not count."""
        return self._since

    @property
    def reason(self) -> str:
        """Why it is not closed, in words; "" if it is."""
        return self._pauses[-1] if self._pauses else self._reason

    @property
    def next_probe(self) -> float | None:
        """Monotonic seconds from which a probe is admitted; None if it is closed or paused."""
        return self._probe_at if not self._pauses and self._sick != "closed" else None

    @property
    def refused(self) -> bool:
        """Whether it is spoken to only by probes because it refuses us."""
        return not self._pauses and self._sick == "attention"

    async def admit(self) -> Admission:
        """Wait until a request may be made; not a checkpoint when it is closed.

        A cancelled call used up no probe.

        Raises:
            Closed: it does not let through now, and `dismiss` was called.
        """
        while True:
            admission = self.admit_nowait()
            if admission is not None:
                return admission
            if self._dismissed:
                raise Closed("breaker")
            await self._naps.until(math.inf if self._pauses else self._probe_at)

    def admit_nowait(self) -> Admission | None:
        """Return leave to make a request now, or None."""
        if self._pauses:
            return None
        if self._sick == "closed":
            return GO
        now = self._clock.monotonic()
        if now < self._probe_at:
            return None
        before = self.state
        self._probing = True
        self._probe_at = now + self._thresholds.probe_every
        self._tell(before)
        return PROBE

    def holds(self, admission: Admission) -> bool:
        """Return whether a leave still holds that was given a while ago: others may have failed, or somebody paused."""
        return not self._pauses and (admission.probe or self._sick == "closed")

    def success(self, admission: Admission | None = None) -> None:
        """Count a request that was answered well; a probe's success closes the breaker.

        Args:
            admission: what `admit` returned; None stands for whatever is out, the probe if there is one.
                An answer to a request from before the breaker opened neither closes nor opens it.
        """
        if self._sick == "closed":
            self._in_a_row = 0
            self._answers.count(self._clock.monotonic(), failed=False)
        elif self._is_probe(admission):
            self._become("closed", "", math.inf)

    def failure(self, admission: Admission | None = None) -> None:
        """Count a request that failed in a way that speaks against the destination; see `success`."""
        now = self._clock.monotonic()
        if self._sick != "closed":
            if self._is_probe(admission):
                self._become(self._sick, self._reason, now + self._thresholds.probe_every)
            return
        self._in_a_row += 1
        self._answers.count(now, failed=True)
        reason = self._verdict(now)
        if reason:
            self._become("open", reason, now + self._thresholds.probe_every)

    def needs_attention(self, reason: str) -> None:
        """Stop because the destination refuses us (401, 403); probes go on and close it when one succeeds."""
        self._become("attention", reason, self._clock.monotonic() + self._thresholds.probe_every)

    def pause(self, reason: str) -> None:
        """Let nothing through, no probe either, until `resume`: somebody said so. Each reason holds by itself."""
        before = self.state
        if reason not in self._pauses:
            self._pauses.append(reason)
        self._tell(before)

    def resume(self, reason: str | None = None) -> None:
        """End the `pause` for *reason*, or all; what the breaker knew before still holds."""
        before = self.state
        self._pauses = [each for each in self._pauses if reason is not None and each != reason]
        self._tell(before)

    def paused_for(self, reason: str) -> bool:
        """Return whether it is paused for *reason*, and maybe for others."""
        return reason in self._pauses

    def probe_now(self) -> None:
        """Admit the next probe at once: somebody mended the destination and does not want to wait."""
        if self._sick != "closed":
            self._probe_at = self._clock.monotonic()
            self._naps.cut()

    def adjust(self, thresholds: Thresholds) -> None:
        """Judge by other *thresholds* from the next answer on; its state, and what it has counted, stay."""
        self._thresholds = thresholds

    def recall(self) -> None:
        """Let the next sender wait in `admit` again."""
        self._dismissed = False

    def dismiss(self) -> None:
        """Let nobody wait in `admit` any more: the engine ends, and what waits is in the store."""
        self._dismissed = True
        self._naps.cut()

    def _is_probe(self, admission: Admission | None) -> bool:
        return self._probing if admission is None else admission.probe

    def _verdict(self, now: float) -> str:
        limits = self._thresholds
        if self._in_a_row >= limits.consecutive:
            return f"{self._in_a_row} failures in a row"
        failed, answered = self._answers.totals(now)
        if answered >= limits.minimum and failed > limits.ratio * answered:
            return f"{failed} of {answered} requests failed within {limits.period:g} s"
        return ""

    def _become(self, sick: State, reason: str, probe_at: float) -> None:
        before = self.state
        self._sick, self._reason, self._probe_at, self._probing = sick, reason, probe_at, False
        self._in_a_row = 0
        self._answers.forget()
        self._tell(before)

    def _tell(self, before: State) -> None:
        self._naps.cut()
        after = self.state
        if after == before:
            return
        if after not in {"half_open", self._settled}:
            self._settled, self._since = after, self._clock.monotonic()
        self._on_change(Change(before=before, after=after, reason=self.reason))


class _Answers:
    """How many requests failed of those answered within a period, to the nearest slice."""

    def __init__(self, period: float) -> None:
        self._slice = period / SLICES
        self._slices: deque[list[int]] = deque()  # [number of the slice, failed, answered]

    def count(self, now: float, *, failed: bool) -> None:
        number = int(now // self._slice)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0])
            self._expire(number)
        last = self._slices[-1]
        last[1] += failed
        last[2] += 1

    def totals(self, now: float) -> tuple[int, int]:
        self._expire(int(now // self._slice))
        return sum(each[1] for each in self._slices), sum(each[2] for each in self._slices)

    def forget(self) -> None:
        self._slices.clear()

    def _expire(self, number: int) -> None:
        while self._slices and self._slices[0][0] <= number - SLICES:
            self._slices.popleft()
