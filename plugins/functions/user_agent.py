"""Built in: says what browser, system and device a ``userAgent`` is."""

from __future__ import annotations

from typing import Any

from ua_parser import Parser, Result
from ua_parser.caching import CachingResolver, S3Fifo
from ua_parser.loaders import load_lazy_builtins
from ua_parser.re2 import Resolver

from engine.plugin import Settings
from plugins.fields import MISSING, get, put, references

KNOWN = 2000
"""User agents that are remembered: one that is costs 5 µs, a new one 0.2 ms."""
LONGEST = 1000
"""Characters that are looked at; a browser's have some 150."""


class UserAgentSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where from, and where to."""

    field: str = "context.userAgent"
    """A reference to the text that a browser or app sent."""
    into: str = "context.client"
    """A reference to where ``browser``, ``os`` and ``device`` go; what an event has there stays."""


class UserAgent:
    """Parses user agents by the rules of the uap project, without looking at anybody's address."""

    Settings = UserAgentSettings

    def __init__(self, settings: UserAgentSettings, name: str) -> None:
        self.name = name
        [self._field] = references("field", [settings.field])
        [self._into] = references("into", [settings.into])
        # re2: a text that somebody else wrote is matched in linear time, and one automaton knows all rules.
        self._parser = Parser(CachingResolver(Resolver(load_lazy_builtins()), S3Fifo(KNOWN)))

    def transform(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return all of them."""
        for event in events:
            text = get(event, self._field)
            if isinstance(text, str) and text and get(event, self._into) is MISSING:
                put(event, self._into, _told(self._parser.parse(text[:LONGEST])))
        return events


def _told(result: Result) -> dict[str, Any]:
    """Return what is known of each; what is not, is left out."""
    told: dict[str, Any] = {}
    if result.user_agent:
        told["browser"] = _named(result.user_agent.family, result.user_agent.major, result.user_agent.minor)
    if result.os:
        told["os"] = _named(result.os.family, result.os.major, result.os.minor)
    if result.device:
        device = {"family": result.device.family, "brand": result.device.brand, "model": result.device.model}
        told["device"] = {key: value for key, value in device.items() if value}
    return told


def _named(family: str, *parts: str | None) -> dict[str, str]:
    version = ".".join(part for part in parts if part)
    return {"name": family, "version": version} if version else {"name": family}
