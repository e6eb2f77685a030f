"""Verdicts on attempts, and when to try again: tables and arithmetic, no clock and no chance of its own."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

RETRIED = frozenset({408, 423, 425, 429})
"""4xx that time may heal; Segment's table (408, 423, 429), with 425, which RFC 8470 says to send again."""
NEVER = frozenset({501, 505})
"""5xx that time does not heal: not implemented (Segment, Vector: not tried again), version not supported."""
PAUSED = frozenset({401, 403})
"""Credentials: the destination's trouble, not the event's. Peers discard here, which is what users complain of."""
TOO_LARGE = 413
LONGEST_WAIT = 3600.0
"""Seconds that a Retry-After may ask for; a longer one is cut, since a probe an hour costs nothing."""


_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


class Verdict(StrEnum):
    """What to do after one attempt at one delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    ARCHIVE = "archive"
    PAUSE = "pause"
    """The destination refuses us: it waits for attention, and its events wait with it."""
    SPLIT = "split"
    """The request was too large: send halves."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Statuses that one destination means otherwise than most; a status stands in one of them at most.

    Attributes:
        retry: tried again.
        archive: given up at once; a batch is bisected first.
        pause: the destination waits for attention.
    """

    retry: frozenset[int] = frozenset()
    archive: frozenset[int] = frozenset()
    pause: frozenset[int] = frozenset()

    def of(self, status: int) -> tuple[Verdict, str] | None:
        """Return the verdict and reason for *status*, or None if it is nothing special."""
        if status in self.retry:
            return Verdict.RETRY, f"status_{status}"
        if status in self.archive:
            return Verdict.ARCHIVE, f"rejected_{status}"
        return (Verdict.PAUSE, f"rejected_{status}") if status in self.pause else None


USUAL = Rules()
"""No exceptions."""


def classify(status: int | None, error: str | None = None, rules: Rules = USUAL) -> tuple[Verdict, str]:
    """Return the verdict for a whole request, and its reason code.

    Args:
        status: of the reply; None if nothing came back.
        error: what came instead, as ``ClassName: text``; time-outs are told from other network failures by their name.
        rules: the destination's exceptions.
    """
    if status is None:
        return Verdict.RETRY, "timeout" if "Timeout" in (error or "").partition(":")[0] else "network"
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Verdict.DELIVERED, ""
    if special := rules.of(status):
        return special
    if status in PAUSED:
        return Verdict.PAUSE, f"rejected_{status}"
    if status == TOO_LARGE:
        return Verdict.SPLIT, "rejected_413"
    if status in RETRIED or (status >= 500 and status not in NEVER):  # noqa: PLR2004 - the class of server errors
        return Verdict.RETRY, f"status_{status}"
    return Verdict.ARCHIVE, f"rejected_{status}"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often a delivery is tried, with full jitter between attempts.

    Source: Segment tries for 4 hours, RudderStack for 3 hours and at least 3 attempts; the shape of the wait is "full
    jitter" (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

    Attributes:
        window: seconds from the first attempt, not counting what is excused.
        min_attempts: at least so many attempts, however long they take.
        base: seconds before the second attempt, at most.
        cap: seconds between any two attempts, at most.
        max_age: seconds since receipt after which it is archived whatever happened.
        timeout: seconds for one request.
        rules: statuses that mean something else here.
    """

    window: float = 4 * 3600.0
    min_attempts: int = 3
    base: float = 5.0
    cap: float = 300.0
    max_age: float = 72 * 3600.0
    timeout: float = 10.0
    rules: Rules = USUAL

    def delay(self, attempt: int, roll: float) -> float:
        """Return seconds to wait after *attempt* (from 1) failed; *roll* is a number in [0, 1)."""
        # 2.0 ** 64 is beyond any cap; a larger exponent would overflow after a thousand attempts.
        return roll * min(self.cap, self.base * 2.0 ** min(attempt - 1, 64))


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a delivery after an attempt.

    Attributes:
        attempts: the one just made included; an attempt answered with "wait" is not one.
        first_at: epoch seconds of the first attempt.
        excused: seconds since then in which the destination was open, paused or told us to wait.
        received_at: epoch seconds.
    """

    attempts: int
    first_at: float
    excused: float
    received_at: float


def exhausted(tried: Tried, policy: RetryPolicy, now: float) -> str:
    """Return why there shall be no other attempt (``too_old`` or ``retries_exhausted``), or ""."""
    if now - tried.received_at > policy.max_age:
        return "too_old"
    over = now - tried.first_at - tried.excused >= policy.window
    return "retries_exhausted" if over and tried.attempts >= policy.min_attempts else ""


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for (at most an hour), or None if it says nothing readable.

    Args:
        value: seconds, or an HTTP date (RFC 9110, 10.2.3); some say fractions of seconds, which it does not know.
        now: epoch seconds, for dates.
    """
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second for a year of twenty digits
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment.timestamp() - now, 0.0), LONGEST_WAIT)
