"""What one request means for the books: for each delivery delivered, to be tried again, or archived. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import msgspec

from engine.lang.retry import RetryPolicy, Tried, Verdict, exhausted
from engine.messages import (
    NEVER,
    Attempt,
    Delivery,
    Due,
    Settle,
    Settled,
    Settlement,
    Stage,
    State,
    Trouble,
    trouble_id,
)
from engine.plugin import Item
from engine.store.outcome import Outcome

PROBE_EVERY = 30.0
"""Seconds after which a delivery that met 401 or 403 is tried again."""
NEEDS_ATTENTION = "needs_attention"
"""The reason of a delivery that met 401 or 403 and waits for a probe."""
ORDER_TIMEOUT = "order_timeout"
"""The reason of a delivery that held up the others of its key for too long, and of those archived with it."""
PROBES = 3
"""Attempts after which one that always meets 401 or 403 is archived, when there was nothing else to probe with."""

Work = Delivery | Due


def work_delivery(work: Work) -> Delivery:
    """Return the delivery of either kind of work."""
    return work.delivery if isinstance(work, Due) else work


def counted_from(work: Work, at: float) -> float:
    """Return since when downtime is not yet in the delivery's own account, if it is attempted *at*."""
    return work.last_at if isinstance(work, Due) else work.first_at or at


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the destination beside its reply.

    Attributes:
        down: seconds since the delivery's last attempt in which it was not to be had.
        told: seconds that the reply asked us to wait, or 0.0; such an attempt does not count.
        last_success: epoch seconds at which the request began whose deliveries were the last that arrived there.
        others: whether something else waits for it, or was answered badly, too.
        patience: seconds for which the delivery may hold up others of its key.
    """

    down: float = 0.0
    told: float = 0.0
    last_success: float = 0.0
    others: bool = False
    patience: float = math.inf


UNASKED = Waits()
"""Of a delivery that arrived: nobody asks what it would have waited for."""


class Tally:
    """Collects the fates of the deliveries of one request into one `Settled`.

    Args:
        policy: of the destination.
        now: epoch seconds.
        roll: returns a number in [0, 1), for the jitter.
    """

    def __init__(self, policy: RetryPolicy, now: float, roll: Callable[[], float]) -> None:
        self.policy = policy
        self.now = now
        self.roll = roll
        self.arrived: list[tuple[Delivery, bool]] = []
        """Each delivery that arrived, and whether it did so at its first attempt."""
        self.own_fault = False
        """Whether a delivery was archived for a 401 or 403 of its own, which says nothing of the destination."""
        self._kept: tuple[bytes, bytes] | None = None
        """What is kept of the request and its reply, once for all its deliveries: each has 10 KB of both."""
        self._closed: list[tuple[str, int, str]] = []
        self._delivered: Counter[str] = Counter()
        self._again: Counter[str] = Counter()
        self._troubles: list[Trouble] = []
        self._settles: list[Settle] = []

    def add(self, work: Work, item: Item, outcome: Outcome, waits: Waits) -> Trouble | None:
        """Decide on one delivery, by the verdict of *item*; return its ledger row, None if it arrived."""
        delivery = work_delivery(work)
        if item.verdict is Verdict.DELIVERED:
            self._arrived(work)
            return None
        counts = not (waits.told and item.verdict is Verdict.RETRY)
        tried = Tried(
            attempts=delivery.attempts + counts,
            first_at=delivery.first_at or self.now,
            excused=delivery.excused + waits.down,
            received_at=delivery.waits_since,
        )
        trouble = self._trouble(work, item, outcome, tried)
        reason, due_in = self._decide(work, item, tried, waits)
        if due_in is None:
            trouble = msgspec.structs.replace(trouble, state=State.ARCHIVED, reason=reason)
        else:
            trouble = msgspec.structs.replace(trouble, reason=reason, due_at=self.now + due_in)
        self._put(work, trouble)
        return trouble

    def too_old(self, work: Work) -> None:
        """Archive a delivery that has waited longer than anything may."""
        error = f"it waited for more than {self.policy.max_age / 3600:g} h\nreplay it, if it is still worth sending"
        self._archived(work, "too_old", error)

    def withheld(self, work: Work, reason: str, why: str) -> None:
        """Archive a delivery that its destination may not have, by what the event itself says."""
        self._archived(work, reason, f"{why}\nit was not sent, and a replay asks again")

    def expired(self, work: Work) -> None:
        """Archive a delivery that has to make room for new events."""
        error = "it waited longest when the store was full\nreplay it, if it is still worth sending"
        self._archived(work, "expired", error)

    def forsaken(self, work: Work) -> None:
        """Archive a delivery that waited behind one of its key for longer than the sync wants."""
        error = "an older delivery of its key did not arrive in time\nreplay them, if they are still worth sending"
        self._archived(work, ORDER_TIMEOUT, error)

    def sync_removed(self, work: Work) -> None:
        """Archive a delivery whose sync is gone."""
        error = "its sync was removed before it was sent\nbring the sync back and retry it, if it is worth sending"
        self._archived(work, "sync_removed", error)

    def sender_died(self, work: Work, down: float) -> Trouble:
        """Try a delivery again that a dead sender had in hand: it may have arrived, and has the same key.

        Args:
            work: what it had.
            down: as in `Waits`.
        """
        delivery = work_delivery(work)
        attempts = delivery.attempts + 1
        trouble = self._bare(work, reason="sender_died", error="the sender died while it had this in hand")
        due_at = self.now + self.policy.delay(attempts, self.roll())
        excused = delivery.excused + down
        trouble = msgspec.structs.replace(trouble, attempts=attempts, due_at=due_at, excused=excused)
        self._put(work, trouble)
        return trouble

    def settled(self, attempt: Attempt | None) -> Settled:
        """Return the word to the archiver; it gives back one place for each delivery."""
        return Settled(
            attempt=attempt,
            closed=tuple(self._closed),
            delivered=dict(self._delivered),
            again=dict(self._again),
            troubles=tuple(self._troubles),
            settles=tuple(self._settles),
            places=len(self._closed) + len(self._settles),
        )

    def _decide(self, work: Work, item: Item, tried: Tried, waits: Waits) -> tuple[str, float | None]:
        """Return the reason, and seconds until the next attempt or None to archive."""
        if item.verdict in {Verdict.ARCHIVE, Verdict.SPLIT}:
            return item.reason or "rejected", None
        if item.verdict is Verdict.PAUSE:
            alone = tried.attempts >= PROBES and not waits.others
            # Others arrived since it was refused: then it is refused for what it is, not for who we are.
            its_own = isinstance(work, Due) and work.refused and waits.last_success > work.last_at
            self.own_fault = self.own_fault or its_own
            return (item.reason, None) if alone or its_own else (NEEDS_ATTENTION, PROBE_EVERY)
        if reason := exhausted(tried, self.policy, self.now):
            return reason, None
        left = waits.patience - (self.now - tried.first_at - tried.excused)
        if left <= 0 and not waits.told:
            return ORDER_TIMEOUT, None
        wait = self.policy.delay(max(tried.attempts, 1), self.roll())
        return item.reason or "failed", max(waits.told, min(wait, max(left, 0.0)))  # the last try is at its end

    def _arrived(self, work: Work) -> None:
        delivery = work_delivery(work)
        self.arrived.append((delivery, not delivery.attempts))
        if isinstance(work, Due):
            self._settles.append(Settle(id=_id(work), token=work.token, how=Settlement.DONE))
            self._again[delivery.sync] += 1
        else:
            self._delivered[delivery.sync] += 1
            self._closed.append((delivery.sync, delivery.position, delivery.key))

    def _archived(self, work: Work, reason: str, error: str) -> None:
        """Archive a delivery without an attempt."""
        trouble = self._bare(work, reason=reason, error=error)
        self._put(work, msgspec.structs.replace(trouble, state=State.ARCHIVED))

    def _put(self, work: Work, trouble: Trouble) -> None:
        if isinstance(work, Due):
            how = Settlement.RETRY if trouble.state is State.RETRYING else Settlement.ARCHIVE
            self._settles.append(Settle(id=trouble.id, token=work.token, how=how, trouble=trouble))
        else:
            self._troubles.append(trouble)
            self._closed.append((work.sync, work.position, work.key))

    def _trouble(self, work: Work, item: Item, outcome: Outcome, tried: Tried) -> Trouble:
        trouble = self._bare(work, reason=item.reason, error=item.message or outcome.error)
        self._kept = self._kept or (outcome.sent(), outcome.answered())
        return msgspec.structs.replace(
            trouble,
            attempts=tried.attempts,
            first_at=tried.first_at,
            excused=tried.excused,
            status=outcome.reply.status,
            trace=outcome.trace,
            request=self._kept[0],
            response=self._kept[1],
        )

    def _bare(self, work: Work, *, reason: str, error: str) -> Trouble:
        return trouble_of(work_delivery(work), self.now, reason=reason, error=error)


def trouble_of(delivery: Delivery, now: float, *, reason: str, error: str) -> Trouble:
    """Return the ledger row of a delivery that is tried again, before anything else is known of it."""
    return Trouble(
        id=trouble_id(delivery.position, delivery.key),
        state=State.RETRYING,
        stage=Stage.SEND,
        reason=reason,
        source=delivery.source,
        sync=delivery.sync,
        destination=delivery.destination,
        event_type=delivery.event_type,
        type=delivery.type,
        position=delivery.position,
        key=delivery.key,
        message_id=delivery.message_id,
        received_at=delivery.received_at,
        attempts=delivery.attempts,
        first_at=delivery.first_at or now,
        last_at=now,
        excused=delivery.excused,
        error=error,
        payload=delivery.payload,
        when_missing=delivery.when_missing,
        permits=delivery.permits,
        replay=delivery.replay,
        again_at=delivery.again_at,
        turn=delivery.turn,
    )


def parked(delivery: Delivery, now: float) -> Trouble:
    """Return the ledger row of a delivery that was not tried, and waits for others of its key."""
    error = "it waits for an older delivery of its key, and too many wait with it to be kept in memory"
    trouble = trouble_of(delivery, now, reason="parked", error=error)
    return msgspec.structs.replace(trouble, due_at=NEVER)


def _id(work: Work) -> str:
    delivery = work_delivery(work)
    return trouble_id(delivery.position, delivery.key)
