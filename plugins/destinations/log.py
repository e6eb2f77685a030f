"""Every delivery as a line on the engine's own output: to look at, and for those who collect containers' logs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

from engine.plugin import Delivery, Destination, EventType, Item, Limits, Settings, Verdict
from plugins.ndjson import delivery_line
from plugins.turns import Turns


class LogSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the lines go."""

    stream: Literal["stderr", "stdout"] = "stderr"
    """Which of the engine's two outputs."""


class Log(Destination[LogSettings]):
    """Writes key, sync, event type, messageId and payload as a line of JSON; nothing makes it durable."""

    Settings = LogSettings
    event_types: ClassVar[Mapping[str, EventType]] = {
        "custom": EventType(label="Custom", help="Any JSON object; one line for each."),
    }
    limits = Limits(batch=256, ordered_batch=True)

    def __init__(self, settings: LogSettings, name: str) -> None:
        """Take *settings*; the stream is looked up by each batch."""
        super().__init__(settings, name)
        self._turns = Turns()

    async def send(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        """Write a line for each of *batch*; one that cannot be written fails them all, to be tried again."""
        text = b"".join([delivery_line(delivery) for delivery in batch]).decode()
        # A pipe that nobody reads must stop neither the engine (hence a thread) nor its end (hence abandoned).
        await self._turns.take(partial(self._write, text), abandon=True)
        return [Item(verdict=Verdict.DELIVERED)] * len(batch)

    async def aclose(self) -> None:
        """Do nothing: the stream is the engine's."""

    def _write(self, text: str) -> None:
        """Write *text* and push it out."""
        stream = getattr(sys, self.settings.stream)
        stream.write(text)
        stream.flush()
