"""Built in: lets through, or keeps out, events by name and fields by reference."""

from __future__ import annotations

from typing import Any

from engine.plugin import Settings
from plugins.fields import MISSING, drop, get, put, references


class ListsSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may pass; what is not said passes."""

    allow_events: tuple[str, ...] = ()
    """Names of track events, or call types; no other event passes."""
    block_events: tuple[str, ...] = ()
    """These do not."""
    allow_fields: tuple[str, ...] = ()
    """References; of each object that one begins with, for example ``properties``, no other field passes."""
    block_fields: tuple[str, ...] = ()
    """These are taken out."""


class Lists:
    """Allows and blocks; blocking comes last."""

    Settings = ListsSettings

    def __init__(self, settings: ListsSettings, name: str) -> None:
        self.name = name
        self._settings = settings
        self._allowed = references("allow_fields", settings.allow_fields)
        self._blocked = references("block_fields", settings.block_fields)

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the events that pass, with the fields that do."""
        return [self._pared(event) for event in events if self._passes(event)]

    def _passes(self, event: dict[str, Any]) -> bool:
        names = {event.get("event"), event.get("type")}
        allowed = not self._settings.allow_events or not names.isdisjoint(self._settings.allow_events)
        return allowed and names.isdisjoint(self._settings.block_events)

    def _pared(self, event: dict[str, Any]) -> dict[str, Any]:
        if self._allowed:
            found = [(path, get(event, path)) for path in self._allowed]
            for path in self._allowed:
                if len(path) > 1 and isinstance(event.get(path[0]), dict):
                    event[path[0]] = {}
            for path, value in found:
                if value is not MISSING:
                    put(event, path, value)
        for path in self._blocked:
            drop(event, path)
        return event
