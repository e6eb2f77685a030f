"""A destination over HTTP that says of each delivery what became of it, and expects a service to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from engine.plugin import Delivery, Destination, EventType, Item, Limits, Reply, Request, Settings, by_status
from engine.registry import Registry


class ItemisedSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an `Itemised` needs to know."""

    url: str
    """Where to."""


class Told(msgspec.Struct):
    """What the service answers: a status for each delivery."""

    items: list[int]


class Itemised(Destination[ItemisedSettings]):
    """Takes ten at once; trusts its service to answer JSON, as too many plugins do."""

    Settings = ItemisedSettings
    event_types: ClassVar[Mapping[str, EventType]] = {"custom": EventType(label="Custom")}
    limits = Limits(batch=10)

    def request(self, batch: Sequence[Delivery], at: float) -> Request:
        """Return a POST of the payloads."""
        keys = ("Headrace-Delivery-Keys", ",".join(delivery.key for delivery in batch))
        body = b"[" + b",".join(delivery.payload for delivery in batch) + b"]"
        return Request(url=self.settings.url, headers=(keys,), body=body)

    def verdicts(self, reply: Reply, batch: Sequence[Delivery]) -> Sequence[Item] | None:
        """Return what a 2xx says of each."""
        if reply.status != 200:
            return None
        return [by_status(status) for status in msgspec.json.decode(reply.body, type=Told).items]


REGISTRY = Registry(
    {
        "destinations": {
            "itemised": "tests.support.itemised:Itemised",
            "webhook": "plugins.destinations.webhook:Webhook",
        },
        "functions": {},
        "sources": {},
    },
    entry_points=False,
)
