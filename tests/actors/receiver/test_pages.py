from __future__ import annotations

import httpx
import msgspec
import pytest

from actors.receiver.pages import Pages
from engine.plugin import Source
from engine.runtime.http_message import Request
from engine.store.memory import MemoryStore
from engine.store.room import Room
from plugins.sources.http import Http
from plugins.sources.posthog import PostHog
from plugins.sources.webhook import Webhook
from tests.support.standing import Standing

OWN = {("get", path) for path in ("/healthz", "/readyz", "/headrace.js", "/openapi.json")}


@pytest.mark.parametrize(
    ("path", "kind"), [("/headrace.js", "text/javascript; charset=utf-8"), ("/openapi.json", "application/json")]
)
async def test_a_page_is_served_to_every_origin_and_not_twice(path: str, kind: str) -> None:
    async with Standing(MemoryStore(Room(0, 0, lambda: 1 << 40))) as running, httpx.AsyncClient() as http:
        first = await http.get(f"{running.url}{path}")
        again = await http.get(f"{running.url}{path}", headers={"If-None-Match": first.headers["etag"]})
        head = await http.head(f"{running.url}{path}")

    assert (first.status_code, first.headers["content-type"]) == (200, kind)
    assert first.headers["access-control-allow-origin"] == "*"
    assert (again.status_code, again.content, head.status_code, head.content) == (304, b"", 200, b"")


def test_the_description_has_every_route_and_no_other() -> None:
    answer = Pages().answer(Request(method="GET", path="/openapi.json", query="", headers=()))
    assert answer is not None
    described = {(method, path) for path, item in msgspec.json.decode(answer.body)["paths"].items() for method in item}
    sources: list[Source] = [Http(), PostHog(), Webhook()]

    assert described - OWN == {(method.lower(), path) for source in sources for method, path in source.routes}
    assert described >= OWN
