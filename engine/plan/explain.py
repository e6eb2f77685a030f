"""One event's way through the plan, with a note at each step: contract, functions, filters, mapping, request.

The same code decides as in the running engine; here nothing is stored, nothing is sent, and no name is resolved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from engine.errors import HeadraceError, did_you_mean, one_of
from engine.lang.consent import CONSENT, INTEGRATIONS
from engine.lang.envelope import check, normalise
from engine.messages import Delivery, Envelope, Event, Logged, Request, Trouble
from engine.plan.breaches import blocked_reason, violation_texts
from engine.plan.compile import Plan
from engine.plan.destinations import without_secrets
from engine.plan.explained import Explained, Shown, Tried, Verdict, Walk
from engine.plan.sources import SourcePlan
from engine.plan.syncs import SyncPlan
from engine.plan.windows import Windows
from engine.plugin import Translator
from engine.results import Result

WITHHELD = frozenset({CONSENT, INTEGRATIONS})
"""Reasons by which an event itself keeps a destination out."""

_encode = msgspec.json.Encoder(order="deterministic").encode


def explain(
    plan: Plan,
    event: dict[str, Any],
    *,
    source: str | None,
    at: float,
    result: Result | None = None,
    before: Iterable[dict[str, Any]] | None = None,
) -> Explained:
    """Return what would become of *event* if a client sent it now.

    Args:
        plan: what decides; functions of the source are run, unless *result* is given.
        event: as a client sends it.
        source: which source it comes by; may be None if the plan has one only.
        at: epoch seconds, taken as the time of receipt and of the request.
        result: what the functions made of what `before_functions` returned.
        before: events that came before it; given these, if only (), windows count, and what they
            fire is delivered, too.

    Raises:
        HeadraceError: no such source, or several and none is named.
    """
    found = _source(plan, source)
    if before is None:
        return _Explanation(plan, found, at, result).of(event)
    windows = Windows(found.windows)
    for earlier in before:
        _Explanation(plan, found, at, windows=windows).of(earlier)
    return _Explanation(plan, found, at, result, windows).of(event)


def explain_logged(plan: Plan, logged: Logged, at: float, result: Result | None = None) -> Explained:
    """Return what *plan* makes of an event that is in the log; windows count nothing.

    Args:
        plan: has the event's source.
        logged: as it was accepted.
        at: epoch seconds, taken as the time of the request.
        result: what the functions made of it; without one they are run.
    """
    return _Explanation(plan, plan.sources[logged.source], at, result).of_logged(logged)


def before_functions(
    plan: Plan, event: dict[str, Any], *, source: str | None, at: float
) -> tuple[SourcePlan, Logged, dict[str, Any]] | None:
    """Return the source and the event as its functions would get it; None if none would be asked.

    Who must not wait for user code runs them elsewhere, and gives `explain` the result.

    Raises:
        HeadraceError: as `explain`.
    """
    found = _source(plan, source)
    if not (found.has_functions and found.enabled) or check(event):
        return None
    logged = _Explanation(plan, found, at).logged(event)
    examined = found.examine(logged, at)
    return None if isinstance(examined, Trouble) else (found, logged, examined)


def _source(plan: Plan, name: str | None) -> SourcePlan:
    if name is None:
        if len(plan.sources) != 1:
            raise HeadraceError(f"which source does the event come by? name one: {one_of(plan.sources)}")
        return next(iter(plan.sources.values()))
    if name not in plan.sources:
        raise HeadraceError(f"no source '{name}': {did_you_mean(name, plan.sources) or one_of(plan.sources)}")
    return plan.sources[name]


class _Explanation:
    """Walks one event through one source."""

    def __init__(
        self,
        plan: Plan,
        source: SourcePlan,
        at: float,
        result: Result | None = None,
        windows: Windows | None = None,
    ) -> None:
        self.plan = plan
        self.windows = windows
        self.result = result
        self.source = source
        self.at = at
        self.syncs = [sync for sync in plan.syncs.values() if sync.source == source.name]

    def of(self, event: dict[str, Any]) -> Explained:
        """Return the whole way of *event*, from the door on."""
        contract = self.source.contract.name if self.source.contract else None
        refusal = check(event)
        refused = f"{refusal.code}: {refusal.message}" if refusal else ""
        if not self.source.enabled:
            refused = f"source_disabled: source '{self.source.name}' is disabled"
        if refused:
            return self._ended(event, Verdict(name=contract), "blocked", refused.partition(":")[0], refused=refused)
        logged = self.logged(event)
        return self._examined(logged, normalise(event, logged.envelope), contract)

    def of_logged(self, logged: Logged) -> Explained:
        """Return the way of an event that was accepted."""
        contract = self.source.contract.name if self.source.contract else None
        try:
            body = normalise(msgspec.json.decode(logged.raw), logged.envelope)
        except Exception:  # noqa: BLE001 - `examine` meets the same and tells it
            body = {}
        return self._examined(logged, body, contract)

    def logged(self, event: dict[str, Any]) -> Logged:
        """Return *event* as the log would hold it; one without a messageId gets one made from its content."""
        raw = _encode(event)
        given = event.get("messageId")
        made = f"explain-{hashlib.blake2b(raw, digest_size=8).hexdigest()}"
        sent_at = event.get("sentAt")
        envelope = Envelope(
            message_id=str(given) if given else made,
            received_at=self.at,
            sent_at=sent_at if isinstance(sent_at, str) else None,
        )
        return Logged(position=1, source=self.source.name, raw=raw, envelope=envelope)

    def _examined(self, logged: Logged, normalised: dict[str, Any], contract: str | None) -> Explained:
        """Go on behind the door: contract, then functions, then syncs."""
        examined = self.source.examine(logged, self.at)
        verdict = self._verdict(normalised, contract)
        if isinstance(examined, Trouble):
            return self._ended(normalised, verdict, str(examined.state), examined.reason, error=examined.error)
        if not self.source.has_functions:
            events = self._counted(logged, self.source.events(logged, examined))
            return self._explained(examined, verdict, self._walks(events))
        (result,) = [self.result] if self.result else self.source.transform([(logged, examined)])
        if result.outcome == "failed":
            return self._ended(
                examined, verdict, "archived", "function_failed", function_error=result.error, functions=()
            )
        events = self._counted(logged, self.source.restored(logged, result))
        if not events:
            return self._ended(examined, verdict, "filtered", "function", functions=())
        bodies = tuple(event.body for event in events)
        return self._explained(examined, verdict, self._walks(events), functions=bodies)

    def _counted(self, logged: Logged, events: Sequence[Event]) -> Sequence[Event]:
        """Return *events*, and behind them what windows fire at them, if they count."""
        if self.windows is None:
            return events
        view = self.windows.view()
        fired = [body for event in events for body in view.count(event)]
        self.windows.settle(view)
        return self.source.restored(logged, self.source.fired(logged, events, fired)) if fired else events

    def _verdict(self, event: dict[str, Any], name: str | None) -> Verdict:
        contract = self.source.contract
        if contract is None:
            return Verdict(name=name)
        try:
            checked = contract.check(event)
        except Exception:  # noqa: BLE001 - `examine` has met the same and tells it
            return Verdict(name=name, allowed=False, reason="contract_failed")
        return Verdict(
            name=name,
            allowed=checked.allowed,
            reason="" if checked.allowed else blocked_reason(checked),
            violations=tuple(violation_texts(checked)),
            omitted=tuple(checked.omitted),
        )

    def _ended(
        self, event: dict[str, Any], contract: Verdict, fate: str, reason: str, *, error: str = "", **parts: Any
    ) -> Explained:
        """Return an explanation in which every sync has the same fate, decided before it."""
        walks = [Walk(sync=sync.name, fate=fate, reason=reason, error=error) for sync in self.syncs]
        return self._explained(event, contract, walks, **parts)

    def _explained(self, event: dict[str, Any], contract: Verdict, walks: Sequence[Walk], **parts: Any) -> Explained:
        return Explained(event=event, source=self.source.name, contract=contract, syncs=tuple(walks), **parts)

    def _walks(self, events: Sequence[Event]) -> list[Walk]:
        return [walk for sync in self.syncs for event in events for walk in self._routed(sync, event)]

    def _routed(self, sync: SyncPlan, event: Event) -> list[Walk]:
        """Return one walk per delivery and failure, or the one that says why there is none."""
        route = sync.route(event, self.at)
        withheld = route.reason in WITHHELD
        tried = self._tried(sync, event) if sync.enabled and not withheld else ()
        walk = Walk(sync=sync.name, fate="filtered", reason=route.reason, message_id=event.message_id, tried=tried)
        if withheld and sync.demands:
            walk = replace(walk, notes=(sync.demands.why(route.reason),))
        if route.reason:
            return [walk]
        archived = [
            replace(
                walk,
                event_type=trouble.event_type,
                fate="archived",
                reason=trouble.reason,
                error=trouble.error,
                trace=trouble.trace,
            )
            for trouble in route.troubles
        ]
        mappings = {kind.name: kind.mapping for kind in sync.event_types}
        delivered = []
        for delivery in route.deliveries:
            body = delivery.body()
            notes = tuple(mappings[delivery.event_type].left_out(body))
            delivered.append(self._delivered(delivery, replace(walk, payload=body, notes=notes)))
        return delivered + archived

    def _tried(self, sync: SyncPlan, event: Event) -> tuple[Tried, ...]:
        """Return the event types that were asked: all of them, or up to the one that took it."""
        asked: list[Tried] = []
        for kind in sync.event_types:
            takes = kind.takes(event.body)
            filter_ = kind.filter
            asked.append(
                Tried(
                    event_type=kind.name,
                    filter=filter_.text if filter_ else "",
                    takes=takes,
                    clauses=tuple(filter_.explain(event.body)) if filter_ else (),
                )
            )
            if takes and sync.match == "first":
                break
        return tuple(asked)

    def _delivered(self, delivery: Delivery, walk: Walk) -> Walk:
        walk = replace(walk, event_type=delivery.event_type, fate="deliver", reason="")
        destination = self.plan.destinations[delivery.destination]
        try:
            preview = without_secrets(destination, self.plan.loaded)
            if isinstance(preview, Translator):
                return replace(walk, request=shown(preview.request([delivery], self.at)))
        except Exception as error:  # noqa: BLE001 - foreign code, as in a sender
            text = f"no request could be made: {error}"
            return replace(walk, fate="archived", reason="request_failed", error=text)
        note = f"'{destination.type}' does not speak HTTP: it writes the payload itself"
        return replace(walk, notes=(*walk.notes, note))


def shown(request: Request) -> Shown:
    """Return *request* as a person and a JSON document can read it."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        body = msgspec.json.decode(request.body) if request.body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = request.body.decode("utf-8", "replace")
    return Shown(method=request.method, url=request.url, headers=headers, body=body)
