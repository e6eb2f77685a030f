"""A sync, compiled: which event types take an event, and the deliveries that come of it.

`SyncPlan.route` is the engine's hottest call: once per event and sync. Everything that can be known before an event
comes is known.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.config import schema
from engine.errors import MappingFailed
from engine.lang import consent
from engine.lang import mapping as language
from engine.lang.filters import Filter
from engine.lang.keys import delivery_key
from engine.messages import Delivery, Event, Stage, State, Trouble, trouble_id
from engine.plan.order import Order
from engine.plugin import Field

_encode = msgspec.json.Encoder().encode


class NamedField(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A field of the destination that every payload is checked for.

    Attributes:
        type: string, number, integer, boolean, object, array, any.
        choices: the only values it may have; empty for any.
    """

    name: str
    type: str
    required: bool
    choices: tuple[Any, ...] = ()


class EventTypePlan:
    """One event type of a sync, compiled.

    Args:
        name: unique in its sync; part of the idempotency key.
        type: the destination's event type.
        filter: which events it takes; None takes all.
        mapping: from an event to a payload.
        fields: what the destination demands of the payload.
        context: what templates see as ``context``; the same for every event.

    Attributes:
        when_missing: what the destination shall do when the object is not there; "" for its own way.
    """

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - the config's own word
        *,
        filter: Filter | None,  # noqa: A002 - likewise
        mapping: language.Mapping,
        fields: Sequence[NamedField] = (),
        context: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.type = type
        self.filter = filter
        self.mapping = mapping
        self.fields = tuple(fields)
        self.context = context or {}
        self.when_missing = ""
        self.takes: Callable[[dict[str, Any]], bool] = filter.test if filter else _takes_all
        self._choices = tuple(field for field in self.fields if field.choices)

    def payload(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the payload for an event.

        Raises:
            MappingFailed: a cast, a template, or a field that the destination requires or types differently.
        """
        payload = self.mapping.apply(body, self.context)
        if self.fields:
            language.check_fields(payload, self.fields)
            for field in self._choices:
                if field.name in payload and payload[field.name] not in field.choices:
                    raise MappingFailed(f"{field.name}: {_not_a_choice(payload[field.name], field.choices)}")
        return payload


class Route(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a sync makes of one event.

    Attributes:
        deliveries: what is to be sent, one per event type that took the event.
        reason: why there is nothing: ``no_event_type``, ``disabled``, ``consent`` or ``integrations``; "" otherwise.
        troubles: event types that took it and failed, archived.
    """

    deliveries: tuple[Delivery, ...] = ()
    reason: str = ""
    troubles: tuple[Trouble, ...] = ()


_NO_EVENT_TYPE = Route(reason="no_event_type")
_DISABLED = Route(reason="disabled")
_ERASED = Route(reason="erased")
_WITHHELD = {reason: Route(reason=reason) for reason in (consent.CONSENT, consent.INTEGRATIONS)}


class SyncPlan:
    """One sync, compiled.

    Attributes:
        name: as in config.toml.
        source: the name of its source.
        destination: the name of its destination.
        event_types: in the order in which they are tried.
        match: ``first`` (the first whose filter passes takes the event) or ``all``.
        enabled: whether it takes events at all.
        start: where it begins when it is new: ``latest``, ``earliest``, or epoch seconds.
        was: the name it had, or "".
        demands: what its destination asks of an event's own leave; None for nothing.
        order: what its deliveries are ordered by; None for nothing.
    """

    def __init__(
        self,
        name: str,
        table: schema.Sync,
        event_types: Sequence[EventTypePlan],
        demands: consent.Demands | None = None,
        order: Order | None = None,
    ) -> None:
        self.name = name
        self.source = table.source
        self.destination = table.destination
        self.event_types = tuple(event_types)
        self.match = table.match
        self.enabled = table.enabled
        at = table.start.at
        self.start: str | float = str(table.start) if at is None else at
        self.was = table.was
        self.demands = demands
        self.order = order
        self._takes_all = table.match == "all"
        self._asked = self.event_types if table.enabled else ()
        self._nothing = _NO_EVENT_TYPE if table.enabled else _DISABLED

    def route(self, event: Event, now: float) -> Route:
        """Return what becomes of *event*; never raises because of it.

        Filters alone decide which event type takes it: one whose mapping fails archives the event with the stage
        ``mapping`` and reason ``mapping_failed``, and never lets it fall through to the next.

        Args:
            event: from this sync's source.
            now: epoch seconds.
        """
        if not event.body:
            return _ERASED
        if self.demands is not None and self.enabled:
            return self._permitted(event, now, self.demands)
        if self._takes_all:
            return self._all(event, now)
        body = event.body
        for kind in self._asked:
            try:
                if kind.takes(body):
                    return Route(deliveries=(self._delivery(event, kind, _encode(kind.payload(body))),))
            except Exception as error:  # noqa: BLE001 - one event must not stop its sync
                return Route(troubles=(self._trouble(event, kind, error, now),))
        return self._nothing

    def _permitted(self, event: Event, now: float, demands: consent.Demands) -> Route:
        """Do what `route` does for a destination that asks for the event's leave; deliveries carry it along."""
        said = consent.said(event.body)
        if reason := demands.withheld(said):
            return _WITHHELD[reason]
        made = self._all(event, now, first=not self._takes_all)
        permits = said.encoded()
        deliveries = tuple([msgspec.structs.replace(each, permits=permits) for each in made.deliveries])
        return msgspec.structs.replace(made, deliveries=deliveries) if deliveries else made

    def _all(self, event: Event, now: float, *, first: bool = False) -> Route:
        """Do what `route` does for a sync in which several event types may take one event, unless *first*."""
        body = event.body
        deliveries: list[Delivery] = []
        troubles: list[Trouble] = []
        for kind in self._asked:
            try:
                if kind.takes(body):
                    deliveries.append(self._delivery(event, kind, _encode(kind.payload(body))))
            except Exception as error:  # noqa: BLE001 - as above
                troubles.append(self._trouble(event, kind, error, now))
            if first and (deliveries or troubles):
                break
        if deliveries or troubles:
            return Route(deliveries=tuple(deliveries), troubles=tuple(troubles))
        return self._nothing

    def _delivery(self, event: Event, kind: EventTypePlan, payload: bytes) -> Delivery:
        return Delivery(
            key=delivery_key(self.source, event.message_id, self.name, kind.name),
            position=event.position,
            source=self.source,
            sync=self.name,
            event_type=kind.name,
            type=kind.type,
            destination=self.destination,
            message_id=event.message_id,
            received_at=event.received_at,
            payload=payload,
            when_missing=kind.when_missing,
            turn="" if self.order is None else self.order.turn(event.body),
        )

    def switched_off(self) -> SyncPlan:
        """Return this sync as it is while an operator has disabled it."""
        off = copy.copy(self)
        off.switch_off()
        return off

    def switch_off(self) -> None:
        """Take no events from now on."""
        self.enabled = False
        self._asked = ()
        self._nothing = _DISABLED

    def event_types_beside(self) -> frozenset[str]:
        """Return the names of its event types if several may take one event, else none."""
        return frozenset(kind.name for kind in self.event_types) if self._takes_all else frozenset()

    def former_key(self, delivery: Delivery) -> str:
        """Return the idempotency key that *delivery* had under the sync's former name; its own if it had none."""
        if not self.was:
            return delivery.key
        return delivery_key(self.source, delivery.message_id, self.was, delivery.event_type)

    def died(self, event: Event, error: Exception, now: float) -> Trouble:
        """Return the archive entry of an event that killed two routers with *error*."""
        trouble = self._trouble(event, self.event_types[0], error, now)
        text = f"two routers died of this event: {type(error).__name__}: {error}"
        return msgspec.structs.replace(trouble, reason="router_died", event_type="", type="", error=text)

    def _trouble(self, event: Event, kind: EventTypePlan, error: Exception, now: float) -> Trouble:
        """Return the archive entry of an event that *kind* took and could not map."""
        key = delivery_key(self.source, event.message_id, self.name, kind.name)
        foreseen = isinstance(error, MappingFailed)
        return Trouble(
            id=trouble_id(event.position, key),
            state=State.ARCHIVED,
            stage=Stage.MAPPING,
            reason="mapping_failed",
            source=self.source,
            sync=self.name,
            destination=self.destination,
            event_type=kind.name,
            type=kind.type,
            position=event.position,
            key=key,
            message_id=event.message_id,
            received_at=event.received_at,
            first_at=now,
            last_at=now,
            error=str(error) if foreseen else f"the mapping failed: {type(error).__name__}: {error}",
            trace="" if foreseen else "".join(traceback.format_exception(error)).strip(),
            event=_copied(event.body),
        )


def disabled(_event: Event, _now: float) -> Route:
    """Return what becomes of every event of a sync that an operator disabled, instead of `SyncPlan.route`."""
    return _DISABLED


def named_fields(fields: Mapping[str, Field]) -> tuple[NamedField, ...]:
    """Return the fields of a destination's event type that can make a payload wrong."""
    return tuple(
        NamedField(name=name, type=field.type, required=field.required, choices=tuple(field.choices))
        for name, field in fields.items()
        if field.required or field.type != "any" or field.choices
    )


def _copied(body: dict[str, Any]) -> bytes:
    """Return the event's JSON, or nothing where just that is what fails."""
    try:
        return _encode(body)
    except Exception:  # noqa: BLE001 - whatever it was, it is told by the error that brought us here
        return b""


def _takes_all(_event: dict[str, Any]) -> bool:
    return True


def _not_a_choice(value: Any, choices: Sequence[Any]) -> str:
    return f"expected one of {', '.join(map(repr, choices))}, got {value!r}"
