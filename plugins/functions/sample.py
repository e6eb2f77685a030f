"""Built in: lets a share of the events through, always the same ones."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from engine.plugin import Settings
from plugins.fields import get, references


class SampleSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many, and by what."""

    share: Annotated[float, msgspec.Meta(gt=0, le=1)]
    """Of all values of `by`, for example 0.1."""
    by: str = "messageId"
    """A reference: all events of one value pass, or none; with ``userId`` whole users do."""


class Sample:
    """Keeps events by a hash of one field; one that has none is judged by its messageId."""

    Settings = SampleSettings

    def __init__(self, settings: SampleSettings, name: str) -> None:
        self.name = name
        self._most = settings.share * 2**64
        [self._by] = references("by", [settings.by])

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return those that pass."""
        return [event for event in events if self._number(event) < self._most]

    def _number(self, event: dict[str, Any]) -> int:
        value = get(event, self._by)
        text = value if isinstance(value, str) else str(event.get("messageId"))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
