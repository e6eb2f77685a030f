from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Any

import msgspec
import pytest

from engine.errors import ProtocolError, SignatureError
from engine.plugin import Post, Secret
from engine.signing import Signer
from plugins.sources.webhook import Webhook, WebhookSettings

NOW = 1767225600.0
BODY = b'{"type":"invoice.paid","id":"evt_1","data":{"object":{"customer":"cus_1"}}}'


def post(body: bytes = BODY, *headers: tuple[str, str], **query: str) -> Post:
    return Post(method="POST", path="/v1/webhook", query=query, headers=headers, body=body)


def shaped(request: Post, **settings: Any) -> dict[str, Any]:
    webhook = Webhook()
    submission = webhook.shape(request, webhook.decode(request), WebhookSettings(**settings), NOW)
    event: dict[str, Any] = msgspec.json.decode(submission.items[0])
    return event


def test_any_json_becomes_a_track_event_with_body_and_headers() -> None:
    request = post(BODY, ("user-agent", "billing/1"), ("authorization", "Basic c2VjcmV0"), ("cookie", "a=b"))

    assert shaped(request, event="type", id="id", user="data.object.customer") == {
        "type": "track",
        "event": "invoice.paid",
        "userId": "cus_1",
        "messageId": "evt_1",
        "properties": {"body": msgspec.json.decode(BODY), "headers": {"user-agent": "billing/1"}},
    }


@pytest.mark.parametrize("body", [b"[1,2]", b'"hello"', b"5", b"null", b"{}"])
def test_what_the_body_does_not_say_has_a_default(body: bytes) -> None:
    assert shaped(post(body), event="type", id="id", user="user", name="Ping") == {
        "type": "track",
        "event": "Ping",
        "anonymousId": "Ping",
        "properties": {"body": msgspec.json.decode(body), "headers": {}},
    }


def test_the_id_in_the_header_serves_and_a_long_one_is_hashed() -> None:
    assert shaped(post(b"{}", ("webhook-id", "msg_1")))["messageId"] == "msg_1"
    assert shaped(post(b"{}", ("webhook-id", "x" * 101)))["messageId"] == hashlib.sha256(b"x" * 101).hexdigest()


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ([("authorization", "Basic a2V5Og==")], {}, "key"),
        ([("authorization", "Bearer key")], {}, "key"),
        ([("x-write-key", "key")], {}, "key"),
        ([("authorization", "Bearer their-own")], {"writeKey": "key"}, "key"),
        ([], {}, None),
    ],
)
def test_the_key_is_in_the_query_first_since_only_the_url_is_ours(headers, query, key) -> None:
    assert Webhook().decode(post(b"{}", *headers, **query)).write_key == key


def test_a_body_that_is_not_json_is_told() -> None:
    with pytest.raises(ProtocolError, match=r"^the body does not parse as JSON: "):
        shaped(post(b"a=1&b=2"))


@pytest.mark.parametrize("kind", ["sha256", "sha1"])
@pytest.mark.parametrize("form", ["hex", "prefixed", "base64"])
def test_a_signed_body_is_taken(kind: str, form: str) -> None:
    digest = hmac.digest(b"hush", BODY, kind)
    claim = {"hex": digest.hex(), "prefixed": f"{kind}={digest.hex()}", "base64": base64.b64encode(digest).decode()}[
        form
    ]

    assert shaped(post(BODY, ("x-hub", claim)), signature=kind, signature_header="X-Hub", secret=Secret("hush"))


@pytest.mark.parametrize("claim", ["", "sha256=", "é", hmac.digest(b"other", BODY, "sha256").hex()])
def test_a_body_that_is_not_signed_is_refused(claim: str) -> None:
    with pytest.raises(SignatureError, match=re.escape("the request is not signed in x-signature")):
        shaped(post(BODY, ("x-signature", claim)), signature="sha256", secret=Secret("hush"))


@pytest.mark.parametrize("age", [0, 299, -299])
def test_a_standard_webhook_is_taken(age: int) -> None:
    headers = Signer(Secret("whsec_aHVzaA==")).headers("msg_1", NOW - age, BODY)

    assert shaped(post(BODY, *headers), signature="standard", secret=Secret("whsec_aHVzaA=="))["messageId"] == "msg_1"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda headers: headers | {"webhook-signature": "v1,AAAA"},
        lambda headers: headers | {"webhook-timestamp": str(int(NOW) - 301)},
        lambda headers: headers | {"webhook-timestamp": "9" * 5000},
        lambda headers: headers | {"webhook-timestamp": "-5"},
        lambda headers: headers | {"webhook-id": "msg_2"},
        lambda _: {},
    ],
    ids=["signature", "old", "large", "negative", "id", "nothing"],
)
def test_a_standard_webhook_that_was_changed_is_refused(spoil) -> None:
    headers = dict(Signer(Secret("hush")).headers("msg_1", NOW, BODY))

    with pytest.raises(SignatureError, match=r"^the request has no Standard Webhooks signature of the last 5 min$"):
        shaped(post(BODY, *spoil(headers).items()), signature="standard", secret=Secret("hush"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"event": "a..b"}, "event: "),
        ({"signature": "sha256"}, "signature and secret belong together: give both, or neither"),
        ({"secret": Secret("x")}, "signature and secret belong together: give both, or neither"),
        ({"signature": "standard", "secret": Secret("whsec_!")}, "secret: what follows whsec_ is not base64"),
    ],
)
def test_settings_that_cannot_work_are_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        WebhookSettings(**settings)
