"""The sender, one per destination: rate limit, breaker, batch, one attempt, one outcome."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Sequence

import httpx
import msgspec
import structlog
import trio

from actors.ordering import Behind
from actors.picking import Picker, weigh
from actors.port import Held, Outlets, Port
from engine.lang import consent
from engine.lang.envelope import normalise
from engine.lang.retry import USUAL, RetryPolicy, Verdict
from engine.messages import Attempt, Delivery, Due, Reply, Request, Settled, State
from engine.plan import DestinationPlan
from engine.plugin import Direct, Item, Translator
from engine.runtime.actor import slots
from engine.runtime.beside import Beside
from engine.runtime.breaker import Admission
from engine.runtime.channel import Closed
from engine.runtime.clock import Clock
from engine.runtime.http_client import MAX_BODY, HttpClient, tls_context
from engine.store.outcome import KEPT, UNREADABLE, Outcome
from engine.store.tally import UNASKED, Tally, Waits, Work, counted_from, work_delivery

log = structlog.get_logger()

_url = functools.lru_cache(maxsize=256)(httpx.URL)
"""Parses the address of a request: 20 to 50 µs, and most destinations have one."""


class Sender:
    """Makes requests, a fixed number at once, and says how each delivery fared. Never tries one twice by itself.

    Args:
        roll: returns a number in [0, 1), for the jitter of the next attempt.
    """

    def __init__(
        self, plan: DestinationPlan, port: Port, outlets: Outlets, clock: Clock, roll: Callable[[], float]
    ) -> None:
        self.plan = plan
        self.port = port
        self.outlets = outlets
        self.clock = clock
        self.roll = roll
        self._chatty = log.is_enabled_for(logging.DEBUG)
        self._tls = tls_context() if isinstance(plan.destination, Translator) else None
        self._picker = Picker(plan, port.lanes, outlets.orderings)
        self._reserved: dict[int, int] = {}
        """Per hand: places of the archiver that are reserved and not used yet."""

    @property
    def policy(self) -> RetryPolicy:
        """How long and how often a delivery is tried."""
        return self.plan.policy

    async def run(self) -> None:
        """Settle what a dead sender had in hand, then send until the lanes are closed and empty."""
        await self._settle_leftovers()
        async with Beside() as nursery:
            nursery.start_soon(self._expire)
            await slots(self.plan.concurrency, self._slot)

    async def _slot(self, hand: int) -> None:
        """Pick, send, report, again and again: one request in flight."""
        client = self._client()
        try:
            while True:
                await self.port.lanes.ready()
                if self.plan.linger:
                    await self.port.lanes.gather(self.plan.limits.batch, self.plan.linger)
                admission = await self.port.breaker.admit()
                await self.port.limiter.take()  # before the pick: what is in hand can be neither held nor erased
                if not (picked := self._picked(hand, admission)):
                    self.port.limiter.give_back()
                else:
                    await self._send_all(client, Held(hand=hand, admission=admission), picked)
                    self.port.lanes.done(hand)
                    if isinstance(picked[0], Due):
                        self.outlets.bell.ring()
        except Closed:
            pass
        finally:
            self.outlets.places.give(self._reserved.pop(hand, 0))  # of what a death left unsettled
            if client is not None:
                await client.aclose()

    def _picked(self, hand: int, admission: Admission) -> list[Work]:
        """Return what goes into one request; none if another hand was quicker, or may not send any more."""
        if not self.port.breaker.holds(admission):
            return []
        if admission.probe:
            self.port.lanes.prefer_others()  # what failed last comes by the lane of what is due
        most = 1 if admission.probe else self.plan.limits.batch  # a probe harms, or blames, one and not a whole batch
        return self._picker.pick(hand, most)

    async def _send_all(self, client: HttpClient | None, held: Held, picked: list[Work]) -> None:
        """Send what was picked, in one request or, if the destination refuses the batch as a whole, in parts."""
        await self.outlets.places.reserve(len(picked))
        self._reserved[held.hand] = len(picked)
        part = await self._permitted(held, await self._young(held, picked))
        if not part:
            self.port.limiter.give_back()
        parts = await self._send(client, held, part, []) if part else []
        while parts:
            if part := parts.pop():
                await self.port.limiter.take()
                parts = await self._send(client, held, part, parts)

    async def _young(self, held: Held, picked: list[Work]) -> list[Work]:
        """Return *picked* without what has waited too long, which is archived."""
        now = self.clock.wall()
        oldest = now - self.policy.max_age
        old = [work for work in picked if work_delivery(work).waits_since < oldest]
        if old:
            tally = Tally(self.policy, now, self.roll)
            for work in old:
                tally.too_old(work)
            await self._tell(tally.settled(None))
            self._settled(held, old)
        return [work for work in picked if work_delivery(work).waits_since >= oldest] if old else picked

    async def _expire(self) -> None:
        """Archive what has to make room, whenever it is asked for; the slots may all wait for the destination."""
        hand, places = self.plan.concurrency, self.outlets.places
        while True:
            await self.port.expiry.wait()
            while picked := self.port.lanes.pick(hand, self.port.expiring, weigh) if self.port.expiring else []:
                self.port.expiring -= len(picked)
                await places.reserve(len(picked))
                tally = Tally(self.policy, self.clock.wall(), self.roll)
                for work in picked:
                    tally.expired(work)
                await self._tell(tally.settled(None))
                self.port.lanes.done(hand)
                self.outlets.bell.ring()

    async def _permitted(self, held: Held, picked: list[Work]) -> list[Work]:
        """Return *picked* without what its event keeps from this destination, as it asks today: that is archived."""
        demands = self.plan.demands
        if demands is None:
            return picked
        tally = Tally(self.policy, self.clock.wall(), self.roll)
        kept: dict[int, Work] = {}
        for work in picked:
            if reason := demands.withheld(await self._said(work_delivery(work))):
                tally.withheld(work, reason, demands.why(reason))
                kept[id(work)] = work
        if kept:
            await self._tell(tally.settled(None))
            self._settled(held, list(kept.values()))
        return [work for work in picked if id(work) not in kept]

    async def _said(self, delivery: Delivery) -> consent.Said:
        """Return what the event of a delivery says of who may have it."""
        if delivery.permits is not None:
            return consent.heard(delivery.permits)
        found = await self.outlets.log.read(delivery.source, delivery.position - 1, delivery.position, 1)
        if not found or not found[0].raw:  # erased meanwhile
            return consent.UNKNOWN
        return consent.said(normalise(msgspec.json.decode(found[0].raw), found[0].envelope))

    async def _send(
        self, client: HttpClient | None, held: Held, part: list[Work], later: list[list[Work]]
    ) -> list[list[Work]]:
        """Make one request for *part* and report it; return what is to be sent *later*, the last one first."""
        deliveries = [work_delivery(work) for work in part]
        at = self.clock.wall()
        if not isinstance(part[0], Due):
            self.port.sent.add(at - deliveries[0].received_at)
        outcome = await self._attempt(client, deliveries, at)
        if len(part) > 1 and (outcome.divisible or (outcome.refused and self._one_is_to_blame(part))):
            self._note(outcome, deliveries, at)
            half = len(part) // 2
            return [*later, part[half:], part[:half]]
        tally, behind = self._tally(part, deliveries, outcome, at)
        if behind is not None:
            later = behind.hold_back(later)
            part = behind.rest(part)
            self._put_back(held, behind)
        settled = tally.settled(self._note(outcome, deliveries, at))
        await self._tell(settled)
        self._settled(held, part)
        new = self._suspect(settled)
        if not tally.own_fault:
            self._inform(outcome, held.admission, new=new)
        return later

    def _put_back(self, held: Held, behind: Behind) -> None:
        """Let go of what waits again, behind others of its key."""
        if back := behind.put_back():
            self._settled(held, back)
            self.outlets.places.give(len(back))

    def _one_is_to_blame(self, part: list[Work]) -> bool:
        """Return whether others arrived since one of *part* was refused: then it is not our credentials."""
        last = self.port.last_success
        return any(isinstance(work, Due) and work.refused and last > work.last_at for work in part)

    async def _attempt(self, client: HttpClient | None, deliveries: list[Delivery], at: float) -> Outcome:
        """Return how one request went, whatever the plugin or the network did."""
        if client is None:
            return await self._direct(deliveries)
        destination = self.plan.destination
        assert isinstance(destination, Translator)
        try:
            request = destination.request(deliveries, at)
            url = _url(request.url)
        except Exception as error:  # noqa: BLE001 - foreign code; a payload it cannot take is one delivery's trouble
            return Outcome.broken(error)
        reply = await self._exchange(client, request, url)
        if not reply.status:
            return Outcome(reply=reply, request=request, rules=self.policy.rules)
        try:
            items = destination.verdicts(reply, deliveries)
        except Exception as error:  # noqa: BLE001 - foreign code, as above; the reply stands
            log.warning("destination.verdicts_failed", destination=self.plan.name, error=repr(error))
            items = ()
        return self._read(Outcome(reply=reply, request=request, items=_fitting(items, reply, deliveries)))

    async def _exchange(self, client: HttpClient, request: Request, url: httpx.URL) -> Reply:
        started = self.clock.monotonic()
        try:
            answer = await client.send(request.method, url, request.headers, request.body)
        except httpx.TransportError as error:
            return Reply(error=f"{type(error).__name__}: {error}", seconds=self.clock.monotonic() - started)
        seconds = self.clock.monotonic() - started
        return Reply(status=answer.status, headers=answer.headers, body=answer.body, seconds=seconds)

    async def _direct(self, deliveries: list[Delivery]) -> Outcome:
        """Let a destination that does not speak HTTP make its attempt."""
        destination = self.plan.destination
        assert isinstance(destination, Direct)
        started = self.clock.monotonic()
        items: Sequence[Item] | None = None
        text = f"Timeout: no answer within {self.plan.timeout:g} s"
        with trio.move_on_after(self.plan.timeout):
            try:
                items = await destination.send(deliveries)
                text = ""
            except Exception as error:  # noqa: BLE001 - the contract: any exception is a network failure
                text = f"{type(error).__name__}: {error}"
        reply = Reply(error=text, seconds=self.clock.monotonic() - started)
        return self._read(Outcome(reply=reply, items=_fitting(items, reply, deliveries)))

    def _read(self, outcome: Outcome) -> Outcome:
        """Return *outcome* as this destination's own rules read its statuses."""
        rules = self.policy.rules
        return outcome if rules == USUAL else outcome.ruled(rules)

    def _tally(
        self, part: list[Work], deliveries: list[Delivery], outcome: Outcome, at: float
    ) -> tuple[Tally, Behind | None]:
        """Return what became of each delivery, and which wait again instead, if a batch is applied in order."""
        behind = Behind(self.outlets.orderings) if self._picker.in_order else None
        now = self.clock.wall()
        tally = Tally(self.policy, now, self.roll)
        told = self._pace(outcome, now)
        for work, item in zip(part, outcome.verdicts(deliveries), strict=True):
            arrived = item.verdict is Verdict.DELIVERED
            if behind is not None and not arrived and behind.holds(work):
                continue
            waits = UNASKED if arrived else self._waits(work, told, at, now)
            trouble = tally.add(work, item, outcome, waits)
            if behind is not None:
                behind.learn(work, trouble)
        self._observe(tally, at, now)
        return tally, behind

    def _waits(self, work: Work, told: float, at: float, now: float) -> Waits:
        """Return what decides when a delivery that did not arrive is tried again."""
        delivery = work_delivery(work)
        lanes, orderings = self.port.lanes, self.outlets.orderings
        return Waits(
            down=self.port.downtime.within(counted_from(work, at), now),
            told=told,
            last_success=self.port.last_success,
            others=lanes.pickable + lanes.in_hand > 1 or self.port.suspects.others(delivery.key),
            patience=orderings.patience(delivery) if orderings else math.inf,
        )

    def _settled(self, held: Held, part: Sequence[Work]) -> None:
        """Let go of what the archiver was told of: it is not to be settled again if this sender dies."""
        self.port.lanes.done(held.hand, part)
        self._reserved[held.hand] -= len(part)

    async def _tell(self, settled: Settled) -> None:
        """Hand an outcome to the archiver; at once if there is room, since a cancelled wait would forget it."""
        if not self.outlets.archiver.offer(settled):
            with trio.CancelScope(shield=True):  # the archiver waits for no sender, so this ends
                await self.outlets.archiver.send(settled)
        if self.outlets.orderings and (forsaken := self.outlets.orderings.settled(settled)):
            tally = Tally(self.policy, self.clock.wall(), self.roll)
            for work in forsaken:
                tally.forsaken(work)
            await self._tell(msgspec.structs.replace(tally.settled(None), places=0))  # they never had any

    def _pace(self, outcome: Outcome, now: float) -> float:
        """Hold the whole destination back if it asked for that or a quota is used up; return the seconds it asked."""
        told = outcome.asked_wait(now)
        if (quiet := max(told, outcome.spent(now))) > 0:
            self.port.limiter.pause_until(self.clock.monotonic() + quiet, wary=told > 0)
            self.port.downtime.add(now, now + quiet)
        elif not outcome.reply.error:
            self.port.limiter.trust()
        return told

    def _observe(self, tally: Tally, at: float, now: float) -> None:
        if tally.arrived:
            self.port.arrived(at, (delivery.key for delivery, _ in tally.arrived))
        for delivery, first in tally.arrived:
            self.port.last_delivery[delivery.sync] = now
            # Else the sync goes elsewhere since it was tried first, or a person sent it again long after.
            if first and not delivery.again_at and delivery.sync in self.port.latency:
                self.port.latency[delivery.sync].add(now - delivery.received_at)

    def _note(self, outcome: Outcome, deliveries: list[Delivery], at: float) -> Attempt:
        """Return the attempt as it is stored, and log it."""
        reply = outcome.reply
        attempt = Attempt(
            destination=self.plan.name,
            at=at,
            seconds=reply.seconds,
            status=reply.status,
            positions=tuple([delivery.position for delivery in deliveries]),
            error=outcome.error,
        )
        if outcome.fine and not self._chatty:
            return attempt  # a line that nobody sees cost a tenth of the request
        tell = log.debug if outcome.fine else log.warning
        tell(
            "delivery.attempted",
            destination=self.plan.name,
            status=reply.status,
            deliveries=len(deliveries),
            positions=[deliveries[0].position, deliveries[-1].position],
            ms=round(reply.seconds * 1000, 3),
            error=outcome.error,
        )
        return attempt

    def _suspect(self, settled: Settled) -> bool:
        """Remember what was answered badly and is tried again; return whether any of it is new."""
        troubles = [*settled.troubles, *(one.trouble for one in settled.settles if one.trouble)]
        self.port.suspects.drop(one.key for one in troubles if one.state is not State.RETRYING)
        return self.port.suspects.note(one.key for one in troubles if one.state is State.RETRYING)

    def _inform(self, outcome: Outcome, admission: Admission, *, new: bool) -> None:
        """Tell the breaker what the outcome says of the destination itself.

        A 500 that one delivery meets again and again may be its own: what is not *new* does not open the breaker.
        """
        breaker = self.port.breaker
        verdict = outcome.worst
        if verdict is Verdict.PAUSE:
            breaker.needs_attention(f"the destination refuses us ({outcome.error}): check its credentials")
        elif verdict is Verdict.RETRY and not outcome.limited(self.clock.wall()):
            if new or outcome.absent or breaker.state != "closed":
                breaker.failure(admission)
        else:
            breaker.success(admission)

    async def _settle_leftovers(self) -> None:
        """Settle what a dead sender had in hand as tried: nobody knows whether it arrived."""
        left = self.port.lanes.leftovers()
        if not left:
            return
        now = self.clock.wall()
        tally = Tally(self.policy, now, self.roll)
        behind = Behind(self.outlets.orderings)
        for work in left:
            if not behind.holds(work):
                behind.learn(work, tally.sender_died(work, self.port.downtime.within(counted_from(work, now), now)))
        left = behind.rest(left)
        behind.put_back()
        await self.outlets.places.reserve(len(left))
        await self._tell(tally.settled(None))

    def _client(self) -> HttpClient | None:
        if not isinstance(self.plan.destination, Translator):
            return None
        plan, most = self.plan, MAX_BODY if self.plan.limits.batch > 1 else KEPT  # a batch's may tell of each item
        return HttpClient(allow_private=plan.allow_private, timeout=plan.timeout, tls=self._tls, max_body=most)


def _fitting(items: Sequence[Item] | None, reply: Reply, deliveries: Sequence[Delivery]) -> tuple[Item, ...] | None:
    """Return *items* if there is one for each delivery; else nothing counts as arrived that only the status says."""
    if items is None or len(items) == len(deliveries):
        return None if items is None else tuple(items)
    log.warning("destination.verdicts_miscounted", expected=len(deliveries), got=len(items))
    return (UNREADABLE,) * len(deliveries) if 200 <= (reply.status or 200) < 300 else None  # noqa: PLR2004
