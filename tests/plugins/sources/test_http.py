from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from engine.errors import ProtocolError
from engine.plugin import Post
from plugins.sources.http import Http

EVENT = {"type": "track", "event": "Order Completed", "userId": "u1"}


def post(path: str, body: Any, headers: dict[str, str] | None = None, **query: str) -> Post:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Post(method="POST", path=path, query=query, headers=tuple((headers or {}).items()), body=data)


def basic(user: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


@pytest.mark.parametrize(
    ("last", "call"),
    [
        ("track", "track"), ("identify", "identify"), ("page", "page"), ("screen", "screen"), ("group", "group"),
        ("alias", "alias"), ("t", "track"), ("i", "identify"), ("p", "page"), ("s", "screen"), ("g", "group"),
        ("a", "alias"),
    ],
)  # fmt: skip
def test_a_single_event_takes_its_type_from_the_path(last: str, call: str) -> None:
    assert ("POST", f"/v1/{last}") in Http.routes

    submission = Http().decode(post(f"/v1/{last}", {"userId": "u1"}))

    assert [msgspec.json.decode(item) for item in submission.items] == [{"userId": "u1", "type": call}]


@pytest.mark.parametrize(
    ("body", "item"),
    [
        (b'{"type":"page"}', b'{"type":"page"}'),
        (b'{"type":null}', b'{"type":null,"type":"track"}'),
        (b" { } ", b' {"type":"track"}'),
        (b'{"a":1 }\n', b'{"a":1,"type":"track"}'),
    ],
)
def test_a_type_of_its_own_stays(body: bytes, item: bytes) -> None:
    assert Http().decode(post("/v1/track", body)).items == (item,)


@pytest.mark.parametrize("last", ["batch", "b", "import"])
def test_a_batch_is_split_and_its_own_members_go_with_every_item(last: str) -> None:
    assert ("POST", f"/v1/{last}") in Http.routes
    body = {"batch": [EVENT, 7], "sentAt": "2026-11-23T10:00:00Z", "context": {"ip": "1.2.3.4"}, "integrations": {}}

    submission = Http().decode(post(f"/v1/{last}", body))

    assert submission.items == (msgspec.json.encode(EVENT), b"7")
    assert (submission.sent_at, submission.context, submission.integrations) == (
        "2026-11-23T10:00:00Z", {"ip": "1.2.3.4"}, {},
    )  # fmt: skip


def test_members_of_a_wrong_type_are_left_out() -> None:
    submission = Http().decode(post("/v1/batch", {"batch": [], "sentAt": 5, "context": "x", "integrations": [1]}))

    assert (submission.items, submission.sent_at, submission.context, submission.integrations) == ((), None, None, None)


@pytest.mark.parametrize(
    ("headers", "body", "query", "key"),
    [
        (basic("K1:"), {"writeKey": "K3"}, {}, "K1"),
        (basic("K1"), {"writeKey": "K3"}, {}, "K1"),
        (basic("K1:secret"), {}, {}, "K1"),
        ({"authorization": "bearer K2"}, {"writeKey": "K3"}, {}, "K2"),
        ({"authorization": "Basic ???"}, {"writeKey": "K3"}, {}, "K3"),
        ({}, {"writeKey": "K3", "batch": [{"writeKey": "K4"}]}, {"writeKey": "K5"}, "K3"),
        ({"x-write-key": "K6"}, {"batch": [{"writeKey": "K4"}, {"writeKey": "K9"}]}, {"writeKey": "K5"}, "K4"),
        ({"x-write-key": "K6"}, {}, {"writeKey": "K5"}, "K5"),
        ({"x-write-key": "K6"}, {"writeKey": 5}, {}, "K6"),
        ({}, {}, {}, None),
    ],
    ids=["basic", "basic without a colon", "basic with a password", "bearer", "basic that is none", "body",
         "first item", "query", "own header", "nowhere"],
)  # fmt: skip
def test_the_write_key_is_looked_for_in_order(
    headers: dict[str, str], body: dict[str, Any], query: dict[str, str], key: str | None
) -> None:
    assert Http().decode(post("/v1/batch", {"batch": [EVENT], **body}, headers, **query)).write_key == key
    if "batch" not in body:
        assert Http().decode(post("/v1/track", body, headers, **query)).write_key == key


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("/v1/track", b"", "the body does not parse as JSON: Input data was truncated"),
        ("/v1/track", b"{", "the body does not parse as JSON: Input data was truncated"),
        ("/v1/track", b"[]", "the body is not what it should be: Expected `object`, got `array`"),
        ("/v1/batch", b"{}", 'the body has no "batch", which holds the events'),
        ("/v1/batch", b'{"batch":5}', "the body is not what it should be: Expected `array`, got `int` - at `$.batch`"),
    ],
)  # fmt: skip
def test_what_can_never_work_is_said(path: str, body: bytes, text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Http().decode(post(path, body))

    assert str(caught.value) == text


def test_a_body_that_is_too_deep_is_a_fault_of_the_client() -> None:
    with pytest.raises(ProtocolError, match="does not parse"):
        Http().decode(post("/v1/batch", b'{"batch":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))


@pytest.mark.parametrize(
    ("headers", "browser"),
    [({}, False), ({"origin": "https://shop.example"}, True), ({"user-agent": "Mozilla/5.0"}, True),
     ({"user-agent": "events-sdk-python/0.0.4"}, False)],
)  # fmt: skip
def test_a_browser_is_known_by_its_origin_or_name(headers: dict[str, str], *, browser: bool) -> None:
    assert Http().decode(post("/v1/track", {}, headers)).browser is browser


@pytest.mark.parametrize("path", ["/api/s/track", "/api/s/s2s/track", "/beacon/v1/batch"])
def test_other_sdks_paths_are_understood(path: str) -> None:
    body = {"batch": [EVENT]} if "beacon" in path else EVENT

    submission = Http().decode(post(path, body, {"x-write-key": "id:secret"}))

    assert ("POST", path) in Http.routes
    assert (submission.write_key, [msgspec.json.decode(item) for item in submission.items]) == ("id:secret", [EVENT])


def test_segments_metrics_are_taken_and_forgotten() -> None:
    submission = Http().decode(post("/v1/m", b"no matter what"))

    assert (submission.write_key, submission.items, submission.reply) == (None, (), b'{"success":true}')


def get(path: str, headers: dict[str, str], **query: str) -> Post:
    return Post(method="GET", path=path, query=query, headers=tuple(headers.items()), scheme="https")


@pytest.mark.parametrize(
    ("headers", "names"),
    [({}, ["Segment.io", "Hightouch.io"]), ({"origin": "https://shop.example"}, ["Segment.io"])],
    ids=["a phone", "a browser"],
)
def test_sdks_are_told_to_send_here(headers: dict[str, str], names: list[str]) -> None:
    submission = Http().decode(get("/v1/projects/my%20key/settings", {"host": "events.shop.example", **headers}))

    settings = msgspec.json.decode(submission.reply)
    here = {"apiKey": "my key", "apiHost": "events.shop.example/v1", "protocol": "https", "retryQueue": True}
    assert (submission.write_key, submission.items) == ("my key", ())
    assert settings["integrations"] == dict.fromkeys(names, here)


@pytest.mark.parametrize("headers", [basic("k1:"), {}])
def test_rudderstacks_sdk_is_told_that_its_source_is_enabled(headers: dict[str, str]) -> None:
    submission = Http().decode(get("/sourceConfig/", headers, writeKey="k1"))

    source = msgspec.json.decode(submission.reply)["source"]
    assert (submission.write_key, source["writeKey"], source["enabled"]) == ("k1", "k1", True)
