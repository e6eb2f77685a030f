"""Built in: hashes, masks or takes out fields, the way ad platforms want identifiers."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

import msgspec

from engine.plugin import Settings
from plugins.fields import MISSING, Keys, drop, get, put, references

_HASHED = re.compile(r"[0-9a-fA-F]{64}")
_NOT_DIGIT = re.compile(r"[^0-9]")


class RedactSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which fields, and what becomes of them."""

    fields: tuple[str, ...]
    """References, for example ``traits.email``."""
    how: Literal["hash", "mask", "remove"] = "hash"
    """SHA-256 in hex, ``***``, or nothing."""
    normalise: Literal["text", "phone", "e164", "none"] = "text"
    """Before hashing: trimmed and in lower case (also right for e-mail), digits only, ``+`` and digits, or as it is."""


class Redact:
    """Redacts fields; a value that is a SHA-256 already is left as it is, in lower case."""

    Settings = RedactSettings

    def __init__(self, settings: RedactSettings, name: str) -> None:
        self.name = name
        self._settings = settings
        self._paths = references("fields", settings.fields)

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Redact every event."""
        for event in events:
            for path in self._paths:
                self._redact(event, path)
        return events

    def _redact(self, event: dict[str, Any], path: Keys) -> None:
        if self._settings.how == "remove":
            drop(event, path)
            return
        value = get(event, path)
        if value is MISSING or value is None:
            return
        if self._settings.how == "mask":
            put(event, path, "***")
        else:
            put(event, path, [self._hashed(one) for one in value] if isinstance(value, list) else self._hashed(value))

    def _hashed(self, value: Any) -> str:
        text = value if isinstance(value, str) else msgspec.json.encode(value, order="deterministic").decode()
        if _HASHED.fullmatch(text.strip()):
            return text.strip().lower()
        match self._settings.normalise:
            case "text":
                text = text.strip().lower()
            case "phone":
                text = _NOT_DIGIT.sub("", text)
            case "e164":
                text = "+" + _NOT_DIGIT.sub("", text)
            case "none":
                pass
        return hashlib.sha256(text.encode()).hexdigest()
