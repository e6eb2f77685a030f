"""The HTTP surface of Segment, RudderStack and Hightouch: what their SDKs post, taken as it is.

Content types are not looked at: browsers send JSON as ``text/plain`` and one SDK as a form. The routes, the order in
which a write key is looked for, and the batch's own members follow what nine SDKs were seen to send.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import unquote

import msgspec

from engine.plugin import Post, ProtocolError, Submission
from engine.wire import shown_key, with_member
from plugins.batches import elements

CALLS: Final = {
    "track": "track",
    "identify": "identify",
    "page": "page",
    "screen": "screen",
    "group": "group",
    "alias": "alias",
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
"""The last part of a path to the call type it stands for; the short ones are analytics.js's."""

BATCHES: Final = ("batch", "b", "import")
"""The last parts of the paths that take many events."""

JITSU: Final = ("/api/s", "/api/s/s2s")
JITSU_CALLS: Final = tuple(call for call in CALLS if call == CALLS[call])
"""Where Jitsu's browser and server SDKs send, and what comes last in the path."""

METRICS: Final = "/v1/m"
SETTINGS: Final = "/v1/projects/{key}/settings"
SOURCE_CONFIG: Final = "/sourceConfig"
"""What Segment's, Hightouch's and RudderStack's SDKs fetch before they start."""

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)


class _Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is looked at in a body, batch or event; the rest is skipped."""

    batch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    write_key: Any = None
    sent_at: Any = None
    context: Any = None
    integrations: Any = None


class _Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is looked at in a body of one event."""

    type: Any = None
    write_key: Any = None


class Http:
    """Everything that SDKs of Segment's kind ask of a server.

    ``POST /v1/track`` and its kin, ``POST /v1/batch``; RudderStack's beacon; Jitsu's ``/api/s``; what browser SDKs
    fetch before they send anything; and Segment's own metrics, which are taken and forgotten.
    """

    routes: ClassVar[tuple[tuple[str, str], ...]] = (
        *(("POST", f"/v1/{last}") for last in (*CALLS, *BATCHES)),
        *(("POST", f"{base}/{call}") for base in JITSU for call in JITSU_CALLS),
        ("POST", "/beacon/v1/batch"),
        ("POST", METRICS),
        ("GET", SETTINGS),
        ("GET", SOURCE_CONFIG),
    )

    def decode(self, post: Post) -> Submission:
        """Return the events in *post*; a single one takes its type from the path if it has none.

        Raises:
            ProtocolError: the body is not a JSON object, or a batch without a list.
        """
        path = post.path.rstrip("/")
        if post.method == "GET":
            return _greeting(post, path)
        if path == METRICS:
            return Submission(write_key=None, items=(), reply=b'{"success":true}')
        last = path.rpartition("/")[2]
        return _batch(post) if last in BATCHES else _single(post, CALLS[last])


def _greeting(post: Post, path: str) -> Submission:
    """Return what an SDK is told before it starts: to send here, and to nobody else."""
    if path == SOURCE_CONFIG:
        key = _key(post, None, b"")
        return Submission(write_key=key, items=(), reply=msgspec.json.encode(_source_config(key or "")))
    key = unquote(path.split("/")[3])
    return Submission(write_key=key, items=(), reply=msgspec.json.encode(_settings(post, key)))


def _settings(post: Post, key: str) -> dict[str, Any]:
    """Return the settings of Segment's and Hightouch's SDKs: ``apiHost`` is where all events go from then on."""
    here = {"apiKey": key, "apiHost": f"{post.header('host') or ''}/v1", "protocol": post.scheme, "retryQueue": True}
    # Segment's browser SDK would load any other name from its CDN; Hightouch's for phones looks for its own.
    names = ("Segment.io",) if _is_browser(post) else ("Segment.io", "Hightouch.io")
    return {
        "integrations": dict.fromkeys(names, here),
        "plan": {},
        "edgeFunction": {},
        "metrics": {"sampleRate": 0},
    }


def _source_config(key: str) -> dict[str, Any]:
    """Return the least that RudderStack's browser SDK starts with; it has no destinations of its own."""
    off = {"enabled": False}
    return {
        "source": {
            "id": "headrace",
            "name": "headrace",
            "writeKey": key,
            "enabled": True,
            "workspaceId": "headrace",
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "destinations": [],
            "connections": [],
            "dataplanes": {},
        },
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }


def _single(post: Post, call: str) -> Submission:
    event = _decoded(post.body, _Event)
    item = post.body if event.type is not None else with_member(post.body, "type", call)
    return Submission(write_key=_key(post, event.write_key, b""), items=(item,), browser=_is_browser(post))


def _batch(post: Post) -> Submission:
    body = _decoded(post.body, _Body)
    if body.batch is msgspec.UNSET:
        raise ProtocolError('the body has no "batch", which holds the events')
    items = elements(bytes(body.batch))
    return Submission(
        write_key=_key(post, body.write_key, items[0] if items else b""),
        items=items,
        sent_at=body.sent_at if isinstance(body.sent_at, str) else None,
        context=body.context if isinstance(body.context, dict) else None,
        integrations=body.integrations if isinstance(body.integrations, dict) else None,
        browser=_is_browser(post),
    )


def _decoded(body: bytes, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"the body is not what it should be: {error}") from error
    except _UNREADABLE as error:
        raise ProtocolError(f"the body does not parse as JSON: {error}") from error


def _key(post: Post, own: object, first: bytes) -> str | None:
    """Return the write key: header, body, first item, query, ``X-Write-Key``, in this order; or None."""
    return (
        shown_key(post.header("authorization"))
        or _text(own)
        or _text(_first_key(first))
        or _text(post.query.get("writeKey"))
        or _text(post.header("x-write-key"))
    )


def _first_key(first: bytes) -> object:
    try:
        return msgspec.json.decode(first, type=_Event).write_key if first else None
    except _UNREADABLE:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _is_browser(post: Post) -> bool:
    """Return whether a browser sent it: it says where its page is from; its own address is then the user's."""
    return post.header("origin") is not None or (post.header("user-agent") or "").startswith("Mozilla/")
