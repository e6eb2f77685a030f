"""The WebSocket client, for trio: ``async with connect(url, write_key) as client: await client.track(…)``."""

from __future__ import annotations

from engine.client.session import Client, ClientError, connect
from engine.client.window import Refusal, Statistics

__all__ = ["Client", "ClientError", "Refusal", "Statistics", "connect"]
