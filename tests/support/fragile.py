"""Actors that die of certain events, each time they see them."""

from __future__ import annotations

from actors.router import Router
from actors.validator import Validator
from engine.messages import Passed, Span


class FragileRouter(Router):
    """Dies of an event whose property ``kills`` is ``router``."""

    async def receive(self, passed: Passed, /) -> None:
        """Look before routing, and not while the sync is paused."""
        await self.outlets.gate.wait()
        if any(event.body.get("properties", {}).get("kills") == "router" for event in passed.events):
            raise ZeroDivisionError("poison for routers")
        await super().receive(passed)


class FragileValidator(Validator):
    """Dies of an event whose property ``kills`` is ``validator``."""

    async def receive(self, span: Span, /) -> None:
        """Look before judging."""
        if any(b'"kills":"validator"' in logged.raw for logged in span.events):
            raise ZeroDivisionError("poison for validators")
        await super().receive(span)
