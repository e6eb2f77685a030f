"""Deliveries and destinations, made in a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from engine.messages import Delivery
from engine.plugin import Destination

D = TypeVar("D", bound=Destination[Any])


def delivery(number: int = 1, payload: bytes | None = None, **changes: Any) -> Delivery:
    """Return the delivery of the event at position *number*; its key is that number in 32 digits."""
    fields: dict[str, Any] = {
        "key": f"{number:032x}",
        "position": number,
        "source": "shop",
        "sync": "orders",
        "event_type": "purchase",
        "type": "custom",
        "destination": "crm",
        "message_id": f"m{number}",
        "received_at": 1_700_000_000.0 + number,
        "payload": b'{"n":%d}' % number if payload is None else payload,
    }
    return Delivery(**(fields | changes))


def deliveries(count: int) -> list[Delivery]:
    """Return *count* of them, at positions from 1."""
    return [delivery(number) for number in range(1, count + 1)]


def settings_of(plugin: type[Destination[Any]], table: Mapping[str, Any]) -> Any:
    """Return *plugin*'s settings as *table* says them, as the loader would."""
    return msgspec.convert(table, plugin.Settings, dec_hook=lambda kind, value: kind(value))


def made(plugin: type[D], name: str = "crm", /, **table: Any) -> D:
    """Return a destination called *name* with the settings in *table*."""
    return plugin(settings_of(plugin, table), name)
