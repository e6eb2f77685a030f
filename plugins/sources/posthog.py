"""PostHog's ``POST /batch/``: what its server SDKs send, as the calls it stands for.

An event is a track call, but for those that PostHog writes with a dollar sign: ``$identify``, ``$pageview``,
``$screen``, ``$groupidentify`` and ``$create_alias``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec

from engine.plugin import Post, ProtocolError, Submission
from plugins.batches import elements

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)

_Properties = dict[str, Any]


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at in a body."""

    batch: msgspec.Raw
    api_key: Any = None
    token: Any = None
    sent_at: Any = None


class PostHog:
    """``POST /batch/``; the project's API key is the write key."""

    routes: ClassVar[tuple[tuple[str, str], ...]] = (("POST", "/batch"),)

    def decode(self, post: Post) -> Submission:
        """Return the events in *post*.

        Raises:
            ProtocolError: the body is no JSON object with a batch.
        """
        try:
            body = msgspec.json.decode(post.body, type=_Body)
        except _UNREADABLE as error:
            raise ProtocolError(f"the body is not a batch of PostHog's: {error}") from error
        shown = [key for key in (body.api_key, body.token) if isinstance(key, str) and key]
        return Submission(
            write_key=shown[0] if shown else None,
            items=tuple(_as_call(raw) for raw in elements(bytes(body.batch))),
            sent_at=body.sent_at if isinstance(body.sent_at, str) else None,
            reply=b'{"status":1}',
        )


def _as_call(raw: bytes) -> bytes:
    """Return one event as a call; what cannot be read stays as it is, and is refused for what it is."""
    try:
        event = msgspec.json.decode(raw)
    except _UNREADABLE:
        return raw
    if not isinstance(event, dict):
        return raw
    properties = event.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    name = event.get("event")
    call = _CALLS.get(name, _track)(name, properties) if isinstance(name, str) else _track(name, properties)
    return msgspec.json.encode(
        {
            "messageId": event.get("uuid"),
            "timestamp": event.get("timestamp"),
            "userId": event.get("distinct_id") or properties.get("distinct_id"),
            "context": {"library": {"name": properties.get("$lib"), "version": properties.get("$lib_version")}},
            **call,
        }
    )


def _track(name: Any, properties: _Properties) -> _Properties:
    return {"type": "track", "event": name, "properties": properties}


def _identify(_: Any, properties: _Properties) -> _Properties:
    traits = {**_object(properties, "$set_once"), **_object(properties, "$set")}
    return {"type": "identify", "traits": traits, "anonymousId": properties.get("$anon_distinct_id")}


def _page(_: Any, properties: _Properties) -> _Properties:
    return {"type": "page", "properties": properties}


def _screen(_: Any, properties: _Properties) -> _Properties:
    return {"type": "screen", "name": properties.get("$screen_name"), "properties": properties}


def _group(_: Any, properties: _Properties) -> _Properties:
    return {"type": "group", "groupId": properties.get("$group_key"), "traits": _object(properties, "$group_set")}


def _alias(_: Any, properties: _Properties) -> _Properties:
    return {"type": "alias", "userId": properties.get("alias"), "previousId": properties.get("distinct_id")}


def _object(properties: _Properties, name: str) -> _Properties:
    value = properties.get(name)
    return value if isinstance(value, dict) else {}


_CALLS: Final[dict[str, Callable[[Any, _Properties], _Properties]]] = {
    "$identify": _identify,
    "$set": _identify,
    "$pageview": _page,
    "$screen": _screen,
    "$groupidentify": _group,
    "$create_alias": _alias,
}
