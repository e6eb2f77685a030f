from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.errors import ProtocolError
from engine.plugin import Post
from plugins.sources.posthog import PostHog


def post(body: Any) -> Post:
    return Post(method="POST", path="/batch/", body=body if isinstance(body, bytes) else msgspec.json.encode(body))


BASE = {"uuid": "m1", "timestamp": "2026-11-23T10:00:00Z", "distinct_id": "u1"}


@pytest.mark.parametrize(
    ("event", "call"),
    [
        (
            {"event": "bought", "properties": {"price": 5, "$lib": "posthog-python", "$lib_version": "7"}},
            {
                "type": "track", "event": "bought", "userId": "u1",
                "properties": {"price": 5, "$lib": "posthog-python", "$lib_version": "7"},
                "context": {"library": {"name": "posthog-python", "version": "7"}},
            },
        ),
        (
            {"event": "$identify", "properties": {"$set": {"a": 1}, "$set_once": {"a": 0, "b": 2}}},
            {"type": "identify", "userId": "u1", "traits": {"a": 1, "b": 2}, "anonymousId": None},
        ),
        ({"event": "$pageview", "properties": {"x": 1}}, {"type": "page", "userId": "u1", "properties": {"x": 1}}),
        (
            {"event": "$screen", "properties": {"$screen_name": "Home"}},
            {"type": "screen", "userId": "u1", "name": "Home", "properties": {"$screen_name": "Home"}},
        ),
        (
            {"event": "$groupidentify", "properties": {"$group_key": "g1", "$group_set": {"size": 3}}},
            {"type": "group", "userId": "u1", "groupId": "g1", "traits": {"size": 3}},
        ),
        (
            {"event": "$create_alias", "properties": {"distinct_id": "u0", "alias": "u2"}},
            {"type": "alias", "userId": "u2", "previousId": "u0"},
        ),
        ({"event": 5, "properties": "x"}, {"type": "track", "event": 5, "userId": "u1", "properties": {}}),
    ],
    ids=["track", "identify", "page", "screen", "group", "alias", "nonsense"],
)  # fmt: skip
def test_an_event_becomes_the_call_it_stands_for(event: dict[str, Any], call: dict[str, Any]) -> None:
    submission = PostHog().decode(post({"api_key": "k1", "batch": [BASE | event], "sent_at": "2026-11-23T10:00:01Z"}))

    made = msgspec.json.decode(submission.items[0])
    assert made == {
        "messageId": "m1",
        "timestamp": "2026-11-23T10:00:00Z",
        "context": {"library": {"name": None, "version": None}},
        **call,
    }
    assert (submission.write_key, submission.sent_at, submission.reply) == (
        "k1",
        "2026-11-23T10:00:01Z",
        b'{"status":1}',
    )


def test_what_is_no_event_is_left_to_be_refused() -> None:
    assert PostHog().decode(post({"batch": ["x", [1]]})).items == (b'"x"', b"[1]")


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b"\xff"])
def test_what_is_no_batch_is_told(body: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^the body is not a batch of PostHog's: "):
        PostHog().decode(post(body))
