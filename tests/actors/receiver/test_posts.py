from __future__ import annotations

import base64
import gzip
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from engine.plan import Doorway
from engine.plugin import Secret
from engine.store.base import Store
from engine.store.memory import MemoryStore
from engine.store.opening import open_reader, open_store
from engine.store.room import Room
from plugins.sources.webhook import Webhook, WebhookSettings
from tests.support.doors import door, offered, track
from tests.support.standing import Standing

BASIC = {"Authorization": f"Basic {base64.b64encode(b'shop-key:').decode()}"}


def memory(room: int = 1 << 40) -> MemoryStore:
    return MemoryStore(Room(0, 0, lambda: room))


@pytest.fixture
async def disk(tmp_path: Path) -> Any:
    store = await open_store("sqlite", tmp_path)
    yield store
    await store.aclose()


@pytest.fixture
async def http() -> Any:
    async with httpx.AsyncClient() as client:
        yield client


CALLS: dict[str, dict[str, Any]] = {
    "track": {"event": "x"},
    "identify": {"traits": {"a": 1}},
    "page": {"name": "Home"},
    "screen": {"name": "Home"},
    "group": {"groupId": "g1"},
    "alias": {"previousId": "u0"},
}


@pytest.mark.parametrize("short", [False, True], ids=["long", "short"])
@pytest.mark.parametrize("call", CALLS)
async def test_a_single_event_is_accepted_at_its_route(http: httpx.AsyncClient, call: str, *, short: bool) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        path = f"{running.url}/v1/{call[0] if short else call}"
        reply = await http.post(path, json={"userId": "u1", **CALLS[call]}, headers=BASIC)

    assert (reply.status_code, reply.json()) == (200, {"success": True, "accepted": 1})
    assert reply.headers["content-type"] == "application/json"
    (event,) = offered(shop)[0].events
    assert msgspec.json.decode(event.raw)["type"] == call


@pytest.mark.parametrize("route", ["batch", "b", "import"])
async def test_a_batch_is_accepted_and_a_bad_event_is_refused_alone(http: httpx.AsyncClient, route: str) -> None:
    shop = door()
    body = {
        "batch": [track(1), {"messageId": "bad", "type": "track"}, track(2)],
        "sentAt": "2026-11-23T10:00:00Z",
        "context": {"app": "a"},
    }
    async with Standing(memory(), shop) as running:
        reply = await http.post(f"{running.url}/v1/{route}", json=body, headers=BASIC)

    assert reply.status_code == 200
    assert reply.json() == {
        "success": True,
        "accepted": 2,
        "refused": [
            {
                "index": 1,
                "messageId": "bad",
                "code": "event_not_defined",
                "message": "a track call needs 'event', the event's name",
            }
        ],
    }
    envelope = offered(shop)[0].events[0].envelope
    assert (envelope.sent_at, envelope.context, envelope.ip) == ("2026-11-23T10:00:00Z", {"app": "a"}, None)


@pytest.mark.parametrize(
    ("headers", "body", "query"),
    [
        (BASIC, {}, ""),
        ({"Authorization": "Bearer shop-key"}, {}, ""),
        ({}, {"writeKey": "shop-key"}, ""),
        ({}, {"batch": [track(1, writeKey="shop-key")]}, ""),
        ({}, {}, "?writeKey=shop-key"),
        ({"X-Write-Key": "shop-key"}, {}, ""),
    ],
    ids=["basic", "bearer", "body", "first item", "query", "header"],
)
async def test_the_key_is_found_wherever_sdks_put_it(
    http: httpx.AsyncClient, headers: dict[str, str], body: dict[str, Any], query: str
) -> None:
    async with Standing(memory()) as running:
        reply = await http.post(f"{running.url}/v1/batch{query}", json={"batch": [track(1)], **body}, headers=headers)

    assert (reply.status_code, reply.json()["accepted"]) == (200, 1)


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "body"),
    [
        (
            "/v1/batch", b'{"batch":[]}', {}, 401,
            {
                "code": "invalid_write_key",
                "message": (
                    "show a write key: as Basic user, Bearer, X-Write-Key, ?writeKey=, or writeKey in the body"
                ),
            },
        ),
        (
            "/v1/batch", b'{"batch":[]}', {"X-Write-Key": "no"}, 401,
            {"code": "invalid_write_key", "message": "no source has this write key"},
        ),
        ("/v1/batch", b'{"batch":[]}', BASIC, 400, {"code": "empty_batch", "message": "the batch holds no event"}),
        (
            "/v1/batch", b"{", BASIC, 400,
            {"code": "invalid_request", "message": "the body does not parse as JSON: Input data was truncated"},
        ),
        (
            "/v1/batch", b"{}", BASIC, 400,
            {"code": "invalid_request", "message": 'the body has no "batch", which holds the events'},
        ),
        (
            "/v1/track", b'{"messageId":"m1","userId":"u1"}', BASIC, 400,
            {
                "code": "event_not_defined",
                "message": "a track call needs 'event', the event's name",
                "refused": [
                    {"index": 0, "messageId": "m1", "code": "event_not_defined",
                     "message": "a track call needs 'event', the event's name"},
                ],
            },
        ),
        (
            "/v2/track", b"{}", BASIC, 404,
            {"code": "not_found", "message": "there is nothing at /v2/track; events go to /v1/track or /v1/batch"},
        ),
    ],
    ids=["no key", "a wrong key", "empty", "not JSON", "no batch", "a bad event", "nowhere"],
)  # fmt: skip
@pytest.mark.parametrize("origin", [None, "https://shop.example"])
async def test_errors_have_code_and_message_and_can_be_read_by_a_page(
    http: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str], status: int, body: Any,
    origin: str | None,
) -> None:  # fmt: skip
    more = {"Origin": origin} if origin else {}
    async with Standing(memory()) as running:
        reply = await http.post(f"{running.url}{path}", content=content, headers={**headers, **more})

    assert (reply.status_code, reply.json()) == (status, body)
    assert reply.headers.get("access-control-allow-origin") == origin


async def test_a_known_path_with_another_method_is_told_which(http: httpx.AsyncClient) -> None:
    async with Standing(memory()) as running:
        reply = await http.get(f"{running.url}/v1/track")

    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json() == {"code": "method_not_allowed", "message": "/v1/track takes POST"}


async def test_a_disabled_source_says_so(http: httpx.AsyncClient) -> None:
    async with Standing(memory(), door(enabled=False)) as running:
        reply = await http.post(f"{running.url}/v1/track", json=track(1), headers=BASIC)

    assert (reply.status_code, reply.json()["code"]) == (400, "source_disabled")


async def test_a_preflight_is_answered_with_what_it_asked_for(http: httpx.AsyncClient) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-retry-count",
    }
    async with Standing(memory()) as running:
        reply = await http.options(f"{running.url}/v1/t", headers=asked)

    assert reply.status_code == 204
    told = {name: value for name, value in reply.headers.items() if name.startswith("access") or name == "vary"}
    assert told == {
        "access-control-allow-origin": "https://shop.example",
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, POST, OPTIONS",
        "access-control-allow-headers": "authorization,x-retry-count",
        "access-control-expose-headers": "Retry-After",
        "access-control-max-age": "7200",
        "vary": "Origin",
    }


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_gzip_and_other_content_types_are_taken(http: httpx.AsyncClient, kind: str) -> None:
    shop = door()
    content = gzip.compress(msgspec.json.encode({"batch": [track(number) for number in range(700)]}))
    headers = {**BASIC, "Content-Encoding": "gzip", "Content-Type": kind}
    async with Standing(memory(), shop) as running:
        reply = await http.post(f"{running.url}/v1/batch", content=content, headers=headers)

    assert reply.json()["accepted"] == 700
    assert [len(span.events) for span in offered(shop)] == [256, 256, 188]


async def test_a_browsers_address_goes_with_its_events(http: httpx.AsyncClient) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        await http.post(f"{running.url}/v1/t", json=track(1), headers={**BASIC, "Origin": "https://shop.example"})

    assert offered(shop)[0].events[0].envelope.ip == "127.0.0.1"


async def test_the_reply_comes_when_the_events_are_on_disk(
    http: httpx.AsyncClient, disk: Store, tmp_path: Path
) -> None:
    reader = open_reader(tmp_path)
    async with Standing(disk) as running:
        for start in range(0, 1000, 300):
            body = {"batch": [track(start + number) for number in range(300)]}
            await http.post(f"{running.url}/v1/batch", json=body, headers=BASIC)

            assert reader.last() == start + 300
    reader.close()


async def test_a_duplicate_is_accepted_like_a_new_event(http: httpx.AsyncClient, disk: Store) -> None:
    async with Standing(disk) as running:
        replies: list[Any] = []

        async def post() -> None:
            replies.append((await http.post(f"{running.url}/v1/t", json=track(1), headers=BASIC)).json())

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(post)

    assert replies == [{"success": True, "accepted": 1}] * 5
    assert disk.last == 1


async def test_without_room_it_says_when_to_come_again(http: httpx.AsyncClient) -> None:
    async with Standing(memory(0)) as running:
        reply = await http.post(f"{running.url}/v1/t", json=track(1), headers=BASIC)
        health = await http.get(f"{running.url}/healthz")

    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "store_full", "5")
    assert (health.status_code, health.json()["code"]) == (503, "store_full")


async def test_a_store_that_failed_is_told(http: httpx.AsyncClient, disk: Store) -> None:
    async with Standing(disk) as running:
        disk._writer._connection.close()  # type: ignore[attr-defined]
        reply = await http.post(f"{running.url}/v1/t", json=track(1), headers=BASIC)

    assert (reply.status_code, reply.json()["code"]) == (503, "store_failed")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_it_is_healthy_while_it_accepts(http: httpx.AsyncClient, path: str) -> None:
    async with Standing(memory()) as running:
        reply = await http.get(f"{running.url}{path}")

    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})


async def test_a_stream_elsewhere_is_not_found(http: httpx.AsyncClient) -> None:
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    async with Standing(memory()) as running:
        reply = await http.get(f"{running.url}/v2/stream", headers=upgrade)

    assert reply.status_code == 404
    assert reply.json() == {"code": "not_found", "message": "there is no stream at /v2/stream, but at /v1/stream"}


PAGE = {"Origin": "https://shop.example"}


async def test_a_page_that_is_not_listed_is_refused_and_its_browser_told_nothing(http: httpx.AsyncClient) -> None:
    shop = door(doorway=Doorway(origins=("https://shop.example",)))
    async with Standing(memory(), shop) as running:
        asked = await http.options(f"{running.url}/v1/t", headers={"Origin": "https://evil.test"})
        sent = await http.post(f"{running.url}/v1/t", json=track(1), headers={**BASIC, "Origin": "https://evil.test"})
        good = await http.post(f"{running.url}/v1/t", json=track(1), headers={**BASIC, **PAGE})
        server = await http.post(f"{running.url}/v1/t", json=track(2), headers=BASIC)

    told = "pages of https://evil.test may not send here; origins in config.toml names those that may"
    assert [reply.json() for reply in (asked, sent)] == [{"code": "origin_not_allowed", "message": told}] * 2
    assert [reply.status_code for reply in (asked, sent, good, server)] == [403, 403, 200, 200]
    assert "access-control-allow-origin" not in {*asked.headers, *sent.headers}


async def test_a_page_of_one_source_cannot_send_to_another(http: httpx.AsyncClient) -> None:
    shop, blog = door(doorway=Doorway(origins=("https://shop.example",))), door("blog")
    async with Standing(memory(), shop, blog) as running:
        asked = await http.options(f"{running.url}/v1/t", headers={"Origin": "https://blog.example"})
        sent = await http.post(
            f"{running.url}/v1/t", json=track(1), headers={**BASIC, "Origin": "https://blog.example"}
        )

    assert (asked.status_code, sent.status_code) == (204, 403)


@pytest.mark.parametrize(
    ("content", "headers", "message"),
    [
        (b"x" * 2000, {}, "the body is larger than 1000 bytes"),
        (
            gzip.compress(b"x" * 9000, mtime=0),
            {"Content-Encoding": "gzip"},
            "the body is larger than 5000 bytes after gzip",
        ),
        (b"{}", {"Content-Encoding": "br"}, "Content-Encoding must be gzip or identity, not br"),
    ],
)
async def test_what_is_too_large_or_coded_otherwise_is_400_which_no_sdk_repeats(
    http: httpx.AsyncClient, content: bytes, headers: dict[str, str], message: str
) -> None:
    async with Standing(memory(), frame=1000, inflated=5000) as running:
        reply = await http.post(f"{running.url}/v1/batch", content=content, headers={**BASIC, **PAGE, **headers})

    assert (reply.status_code, reply.json()["message"]) == (400, message)
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"


async def test_a_browser_is_hung_up_on_when_there_is_no_room_since_its_sdk_takes_an_answer_for_success(
    http: httpx.AsyncClient,
) -> None:
    async with Standing(memory(0)) as running:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(f"{running.url}/v1/t", json=track(1), headers={**BASIC, **PAGE})


async def test_a_key_beyond_its_quota_waits_and_others_do_not(http: httpx.AsyncClient) -> None:
    shop = door("shop", "one", "two", doorway=Doorway(quota=10.0))
    async with Standing(memory(), shop) as running:

        async def sent(key: str, first: int, **headers: str) -> httpx.Response:
            batch = [track(first + number) for number in range(40)]
            return await http.post(
                f"{running.url}/v1/batch", json={"batch": batch}, headers={"X-Write-Key": key, **headers}
            )

        replies = [await sent("one", 0), await sent("one", 100), await sent("two", 200), await sent("one", 300, **PAGE)]

    assert [reply.status_code for reply in replies] == [200, 429, 200, 200]
    again = replies[1].headers["retry-after"]
    assert replies[1].json() == {
        "code": "quota_exceeded",
        "message": f"the write key has used up its quota; come again in {again} s",
    }
    assert again in {"3", "4"}
    assert shop.counts.accepted == 120


async def test_settings_are_served_to_those_who_know_a_key(http: httpx.AsyncClient) -> None:
    async with Standing(memory()) as running:
        good = await http.get(f"{running.url}/v1/projects/shop-key/settings", headers=PAGE)
        bad = await http.get(f"{running.url}/v1/projects/no/settings", headers=PAGE)
        rudder = await http.get(f"{running.url}/sourceConfig/?p=npm&writeKey=shop-key")
        metrics = await http.post(f"{running.url}/v1/m", content=b"{}", headers=PAGE)
        head = await http.head(f"{running.url}/v1/projects/shop-key/settings")

    assert good.json()["integrations"]["Segment.io"]["apiHost"] == f"{running.address}/v1"
    assert good.headers["access-control-allow-origin"] == "https://shop.example"
    assert (bad.status_code, bad.json()["code"]) == (401, "invalid_write_key")
    assert rudder.json()["source"]["writeKey"] == "shop-key"
    assert (metrics.status_code, metrics.json()) == (200, {"success": True})
    assert (head.status_code, head.content) == (200, b"")


async def test_posthogs_batch_is_answered_in_its_own_words(http: httpx.AsyncClient) -> None:
    shop = door()
    body = {"api_key": "shop-key", "batch": [{"event": "x", "distinct_id": "u1", "uuid": "m1"}]}
    async with Standing(memory(), shop) as running:
        reply = await http.post(f"{running.url}/batch/", json=body)

    assert (reply.status_code, reply.json(), shop.counts.accepted) == (200, {"status": 1}, 1)


def hooks(**settings: Any) -> Any:
    return door("hooks", doorway=Doorway(kind=Webhook, settings=WebhookSettings(**settings)))


async def test_a_webhook_becomes_a_track_event_once(http: httpx.AsyncClient) -> None:
    source = hooks(event="kind", id="id")
    async with Standing(memory(), source) as running:
        url = f"{running.url}/v1/webhook?writeKey=hooks-key"
        replies = [await http.post(url, json={"kind": "paid", "id": "e1"}) for _ in range(2)]

    assert [reply.json() for reply in replies] == [{"success": True, "accepted": 1}] * 2
    assert (source.counts.accepted, source.counts.duplicate) == (1, 1)
    event = msgspec.json.decode(offered(source)[0].events[0].raw)
    assert (event["event"], event["properties"]["body"]) == ("paid", {"kind": "paid", "id": "e1"})


async def test_a_webhook_that_is_not_signed_is_refused(http: httpx.AsyncClient) -> None:
    async with Standing(memory(), hooks(signature="sha256", secret=Secret("hush"))) as running:
        reply = await http.post(f"{running.url}/v1/webhook?writeKey=hooks-key", json={})

    assert reply.status_code == 401
    assert reply.json() == {"code": "invalid_signature", "message": "the request is not signed in x-signature"}


async def test_a_key_opens_only_the_way_that_its_source_has(http: httpx.AsyncClient) -> None:
    async with Standing(memory(), hooks(), door()) as running:
        sdk = await http.post(f"{running.url}/v1/track?writeKey=hooks-key", json=track(1))
        hook = await http.post(f"{running.url}/v1/webhook?writeKey=shop-key", json={})

    assert [reply.json() for reply in (sdk, hook)] == [
        {
            "code": "wrong_source_type",
            "message": "source 'hooks' takes events at /v1/webhook only; its type in config.toml says so",
        },
        {
            "code": "wrong_source_type",
            "message": "source 'shop' takes events of SDKs; its type in config.toml says so",
        },
    ]


async def test_behind_a_trusted_proxy_a_browser_has_its_own_address(http: httpx.AsyncClient) -> None:
    shop = door()
    headers = {**BASIC, **PAGE, "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    async with Standing(memory(), shop, proxies=["127.0.0.0/8"]) as running:
        await http.post(f"{running.url}/v1/t", json=track(1), headers=headers)
        settings = await http.get(f"{running.url}/v1/projects/shop-key/settings", headers=headers)

    assert offered(shop)[0].events[0].envelope.ip == "192.0.2.7"
    assert settings.json()["integrations"]["Segment.io"]["protocol"] == "https"
