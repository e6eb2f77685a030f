"""headrace.js in a real Chromium, from a page of another origin, against a whole engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support import sdks
from tests.support.browser import Browser, Pages, chromium
from tests.support.engines import Engine
from tests.support.relay import Relay

SCENES = ("all", "refused", "cut", "reload", "bounded", "wrong", "close")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    chromium()
    running = Engine(tmp_path_factory.mktemp("engine"), *SCENES)
    yield running
    running.end()


@pytest.fixture
async def page(nursery: trio.Nursery, tmp_path: Path, engine: Engine) -> Any:
    pages: Pages = await nursery.start(Pages(pages=sdks.HERE / "pages").serve)
    async with Browser(tmp_path) as browser:
        await browser.show(f"{pages.origin}/pages/headrace.html?script={engine.url}/headrace.js")
        yield browser


async def client(page: Browser, url: str, scene: str, options: str = "{}") -> None:
    await page.run(f"sdk({url!r}, '{scene}-key', {options}).then(made => {{ window.client = made; }})")


def names(engine: Engine, source: str) -> list[str]:
    return [event["event"] for event in engine.accepted(source)]


async def test_every_call_is_in_the_store_once_and_whole(page: Browser, engine: Engine) -> None:
    await client(page, engine.url, "all")
    await page.run("scenes.all(client); client.screen('Start', { tab: 1 }); client.flush()")

    by_type = {event["type"]: event for event in engine.accepted("all")}
    assert len(engine.accepted("all")) == len(by_type) == 6
    assert (page.errors, page.hosts) == ([], {"127.0.0.1"})
    assert by_type["identify"]["traits"] == {"plan": "pro"}
    assert (by_type["track"]["event"], by_type["track"]["properties"]) == ("Order Completed", {"price": 9.5})
    assert by_type["group"]["groupId"] == "g1"
    assert by_type["alias"]["previousId"] == "u0"
    assert {event["userId"] for event in by_type.values()} - {"u1"} == set()
    assert len({event["anonymousId"] for event in by_type.values()}) == 1
    assert {event["context"]["library"]["name"] for event in by_type.values()} == {"headrace.js"}
    assert {event["context"]["ip"] for event in by_type.values()} == {"127.0.0.1"}


async def test_what_is_refused_is_told_and_harms_no_other(page: Browser, engine: Engine) -> None:
    await client(page, engine.url, "refused")
    await page.run("scenes.bad(client); scenes.large(client); client.flush()")

    assert names(engine, "refused") == ["first", "last", "first", "last"]
    assert sorted(await page.run("refused")) == ["too_deep", "too_large"]


async def test_a_connection_that_breaks_again_and_again_costs_nothing_and_doubles_nothing(
    page: Browser, engine: Engine
) -> None:
    async with Relay(engine.port) as relay:
        await client(page, relay.url, "cut")
        for first in range(0, 500, 100):
            await page.run(f"for (let n = {first}; n < {first + 100}; n += 1) client.track(`e${{n}}`)")
            relay.cut()
        await page.run("client.flush()")

    assert sorted(names(engine, "cut")) == sorted(f"e{number}" for number in range(500))


async def test_what_could_not_be_sent_is_sent_after_a_reload(page: Browser, engine: Engine) -> None:
    async with Relay(engine.port) as relay:
        relay.closed = True
        await client(page, relay.url, "reload")
        await page.run("client.identify('u1'); client.track('before')")
        here = await page.run("location.href")
        await page.show("about:blank")
        await page.show(here)
        relay.closed = False
        await client(page, relay.url, "reload")
        await page.run("client.track('after'); client.flush()")

    events = engine.accepted("reload")
    assert {event.get("event") for event in events} == {None, "before", "after"}
    assert len(events) == len({event["messageId"] for event in events}) == 3
    assert {event["userId"] for event in events} == {"u1"}


async def test_the_buffer_is_bounded_and_the_newest_stay(page: Browser, engine: Engine) -> None:
    async with Relay(engine.port) as relay:
        relay.closed = True
        await client(page, relay.url, "bounded", "{ buffer: 10 }")
        dropped = await page.run("for (let n = 0; n < 25; n += 1) client.track(`e${n}`); client.dropped")
        relay.closed = False
        await page.run("client.flush()")

    assert dropped == 15
    assert names(engine, "bounded") == [f"e{number}" for number in range(15, 25)]


async def test_a_wrong_key_ends_it_and_says_so(page: Browser, engine: Engine) -> None:
    await client(page, engine.url, "unknown")
    told = await page.run("client.track('lost'); client.flush().catch(error => error.message)")

    assert told == "headrace: the receiver does not take this write key from this page: no source has this write key"
    assert await page.run("ended.length") == 1


async def test_close_delivers_what_is_left_and_says_how_much_is_not(page: Browser, engine: Engine) -> None:
    await client(page, engine.url, "close")

    assert await page.run("client.track('last'); client.close()") == 0
    assert names(engine, "close") == ["last"]
    assert await page.run("client.track('late'); client.dropped") == 1
