"""Actors that die of certain events, each time they see them."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.router import Router
from actors.validator import Validator
from engine.messages import Passed, Span


class FragileRouter(Router):
    """Dies of an event whose property ``kills`` is ``router``, when it comes to decide on it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadly = False
        self._off = self.outlets.off
        self.outlets = msgspec.structs.replace(self.outlets, off=self._decide)

    async def receive(self, passed: Passed, /) -> None:
        """Look at what is to be decided on."""
        self._deadly = any(event.body.get("properties", {}).get("kills") == "router" for event in passed.events)
        await super().receive(passed)

    def _decide(self) -> bool:
        if self._deadly:
            raise ZeroDivisionError("poison for routers")
        return self._off()


class FragileValidator(Validator):
    """Dies of an event whose property ``kills`` is ``validator``."""

    async def receive(self, span: Span, /) -> None:
        """Look before judging."""
        if any(b'"kills":"validator"' in logged.raw for logged in span.events):
            raise ZeroDivisionError("poison for validators")
        await super().receive(span)
