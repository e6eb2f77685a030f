"""The six calls every analytics SDK has, as events."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from engine.runtime.clock import Clock
from engine.wire import with_member


class Calls:
    """What a client can say; each call waits while the buffer is full, and returns the event's messageId.

    Any further member of an event goes as a keyword, for example ``context={"page": {…}}`` or ``anonymousId="a1"``.
    """

    _clock: Clock

    async def send(self, event: Mapping[str, Any] | bytes | str, *, tag: int = 0) -> str:
        """Buffer one event as it is."""
        raise NotImplementedError

    async def track(self, user_id: str, event: str, properties: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Send a track event; return its messageId. More members go beside, for example ``context={…}``."""
        return await self._call("track", user_id, {"event": event, "properties": dict(properties or {}), **more})

    async def identify(self, user_id: str, traits: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Send an identify event; return its messageId."""
        return await self._call("identify", user_id, {"traits": dict(traits or {}), **more})

    async def page(self, user_id: str, name: str, properties: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Send a page event; return its messageId."""
        return await self._call("page", user_id, {"name": name, "properties": dict(properties or {}), **more})

    async def screen(self, user_id: str, name: str, properties: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Send a screen event; return its messageId."""
        return await self._call("screen", user_id, {"name": name, "properties": dict(properties or {}), **more})

    async def group(self, user_id: str, group_id: str, traits: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Send a group event; return its messageId."""
        return await self._call("group", user_id, {"groupId": group_id, "traits": dict(traits or {}), **more})

    async def alias(self, user_id: str, previous_id: str, **more: Any) -> str:
        """Send an alias event; return its messageId."""
        return await self._call("alias", user_id, {"previousId": previous_id, **more})

    async def _call(self, call: str, user_id: str, members: dict[str, Any]) -> str:
        return await self.send({"type": call, "userId": user_id, "timestamp": iso(self._clock.wall()), **members})


class _Id(msgspec.Struct, frozen=True, rename="camel"):
    message_id: Any = None


def prepared(event: Mapping[str, Any] | bytes | str) -> tuple[bytes, str]:
    """Return *event* as JSON with a messageId, and that.

    Raises:
        ValueError: not a JSON object.
    """
    if isinstance(event, Mapping):
        message_id = str(event.get("messageId") or uuid.uuid4())
        return msgspec.json.encode({**event, "messageId": message_id}), message_id
    raw = event.encode() if isinstance(event, str) else event
    try:
        own = msgspec.json.decode(raw, type=_Id).message_id
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"not a JSON object: {error}") from error
    if own:
        return raw, str(own)
    message_id = str(uuid.uuid4())
    return with_member(raw, "messageId", message_id), message_id


def iso(moment: float) -> str:
    """Return *moment*, epoch seconds, as ISO-8601 UTC with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
