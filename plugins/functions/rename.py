"""Built in: gives events and fields other names."""

from __future__ import annotations

from typing import Any

from engine.plugin import Settings
from plugins.fields import MISSING, drop, put, references


class RenameSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Old names and new ones."""

    events: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it
    """Of track events: ``"Order Placed" = "Order Completed"``."""
    fields: dict[str, str] = {}  # noqa: RUF012 - as events
    """References: ``"properties.orderId" = "properties.order_id"``; a field that is missing is left alone."""


class Rename:
    """Renames events, then fields, in the order in which they are written."""

    Settings = RenameSettings

    def __init__(self, settings: RenameSettings, name: str) -> None:
        self.name = name
        self._events = settings.events
        before = references("fields", settings.fields)
        self._fields = list(zip(before, references("fields", settings.fields.values()), strict=True))

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rename in every event."""
        for event in events:
            if event.get("type") == "track" and event.get("event") in self._events:
                event["event"] = self._events[event["event"]]
            for before, after in self._fields:
                value = drop(event, before)
                if value is not MISSING:
                    put(event, after, value)
        return events
