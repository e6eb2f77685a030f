"""What the language costs: each compiled thing beside the same written by hand, turn by turn in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec

from bench.floors import by_hand
from engine.lang.contract import ContractSpec, EventSpec, compile_contract
from engine.lang.envelope import normalise
from engine.lang.filters import compile_filter
from engine.lang.mapping import compile_mapping
from engine.lang.path import getter, parse
from engine.messages import Envelope

RAW = b"""{"type": "track", "event": "Order Completed", "userId": "u1", "anonymousId": "a1",
"timestamp": "2026-11-23T02:46:08.102Z", "sentAt": "2026-11-23T02:46:10.000Z", "properties": {"order_id": "o-1001",
"total": %s, "currency": "EUR", "coupon": "WINTER", "email": " Ada@Example.com ", "city": "Koeln", "country": "DE",
"tax": 1.2, "products": [{"sku": "s1", "price": 5}, {"sku": "s2", "price": 2.5}]}, "context": {"page": {"path": "/x"}},
"messageId": "m-1001"}"""

PLAIN = {
    "customer": "userId",
    "anonymous": "anonymousId",
    "kind": "type",
    "id": "messageId",
    "at": "timestamp",
    "path": "context.page.path",
    **{name: f"properties.{name}" for name in ("order_id", "currency", "coupon", "city", "country", "tax")},
}
RICH = PLAIN | {
    "total": "{{ row['properties'].total | cast: 'number' }}",
    "email": "{{ row.properties.email | strip | downcase }}",
    "title": "{{ row.event }} in {{ row.properties.currency }}",
}
FILTER = (
    'type = "track" and event = "Order Completed" and properties.total >= 100'
    ' and properties.currency in ("EUR", "USD") and exists(properties.coupon)'
)
SCHEMA = {
    "type": "object",
    "properties": {
        "properties": {
            "type": "object",
            "properties": {
                "total": {"type": "number"},
                "currency": {"enum": ["EUR", "USD", "GBP"]},
                "order_id": {"type": "string"},
                "coupon": {"type": "string"},
                "city": {"type": "string"},
                "country": {},
                "tax": {},
                "email": {},
                "products": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"sku": {"type": "string"}, "price": {}},
                        "required": ["sku"],
                    },
                },
            },
            "required": ["total", "currency", "order_id"],
        }
    },
    "required": ["properties"],
}

Case = tuple[Callable[[Any], Any], Callable[[Any], Any], Any]
"""Ours, the floor, and what both are called with."""

TARGETS = {"mapping, 15 fields": 1.5}
"""The most that a ratio may be."""
TARGETS_US = {"mapping, 12 plain fields": 1.5, "filter, 5 clauses": 2.0}
"""The most µs, on a machine like the one of the budgets."""
MOST_UNEVEN = 1.5
"""A floor whose turns differ by more than this says nothing: somebody else used the machine."""


def measure(*, smoke: bool) -> dict[str, float | str]:
    """Return µs of each, its ratio to the floor, and a verdict where there is a target.

    A turn times ours and the floor one after the other. A ratio is the median over the turns, a cost the least: what it
    is while nobody else uses the machine.
    """
    turns, calls = (3, 500) if smoke else (41, 4_000)
    found: dict[str, float | str] = {}
    for name, (ours, floor, argument) in cases().items():
        pairs = [(_microseconds(ours, argument, calls), _microseconds(floor, argument, calls)) for _ in range(turns)]
        cost, hand = (min(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        quarters = statistics.quantiles([floor_cost for _, floor_cost in pairs], n=4)
        found[f"{name}, us"] = round(cost, 3)
        found[f"{name}, by hand, us"] = round(hand, 3)
        found[f"{name}, ratio"] = round(ratio, 2)
        verdict = _verdict(name, cost, ratio)
        if verdict:
            void = quarters[2] / quarters[0] > MOST_UNEVEN
            found[f"{name}, verdict"] = f"void: the floor was uneven ({verdict})" if void else verdict
    return found


def cases() -> dict[str, Case]:
    """Return every case, having checked that ours and the floor say the same."""
    text_event, event = (msgspec.json.decode(RAW % total) for total in (b'"120.50"', b"120.5"))
    bare = {"type": "track", "event": "Order Completed", "properties": {"currency": "EUR", "email": None}}
    get, test = getter(parse("properties.total")), compile_filter(FILTER).test
    plain, rich = compile_mapping(PLAIN, variables={}).apply, compile_mapping(RICH, variables={}).apply
    contract = compile_contract(
        ContractSpec(name="shop", events=(EventSpec(type="track", name="Order Completed", schema=SCHEMA),))
    )
    envelope = Envelope(message_id="m-1001", received_at=1795401970.177)
    found: dict[str, Case] = {
        "reference": (get, by_hand.reference, event),
        "filter, 5 clauses": (test, by_hand.passes, event),
        "filter that fails at once": (test, by_hand.passes, bare),
        "mapping, 12 plain fields": (plain, by_hand.twelve, event),
        "mapping, 15 fields": (rich, by_hand.fifteen, text_event),
        "mapping, most fields missing": (plain, by_hand.twelve, bare),
        "contract": (lambda event: not contract.check(event).violations, by_hand.is_valid, event),
        "normalise": (
            lambda event: normalise(event, envelope),
            lambda event: by_hand.normalised(event, "m-1001", envelope.received_at),
            event,
        ),
    }
    for name, (ours, floor, argument) in found.items():
        assert ours(argument) == floor(argument), f"{name}: ours {ours(argument)}, by hand {floor(argument)}"
    return found


def _microseconds(call: Callable[[Any], Any], argument: Any, calls: int) -> float:
    turns = range(calls)
    start = time.perf_counter()
    for _ in turns:
        call(argument)
    return (time.perf_counter() - start) / calls * 1e6


def _verdict(name: str, cost: float, ratio: float) -> str:
    if name in TARGETS:
        return f"{'met' if ratio <= TARGETS[name] else 'missed'}: at most {TARGETS[name]} times the floor"
    if name in TARGETS_US:
        return f"{'met' if cost <= TARGETS_US[name] else 'missed'}: at most {TARGETS_US[name]} us"
    return ""
