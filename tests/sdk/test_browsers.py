"""SDKs for browsers, in a real Chromium, from pages of another origin, against a whole engine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support import sdks
from tests.support.browser import Browser, Pages, chromium
from tests.support.engines import Engine
from tests.support.relay import Relay

SDKS = ("hightouch", "segment", "rudder")
SCENES = ("all", "bad", "large", "one", "wrong")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    chromium()
    running = Engine(tmp_path_factory.mktemp("engine"), *(f"{sdk}-{scene}" for sdk in SDKS for scene in SCENES))
    yield running
    running.end()


@pytest.fixture
async def pages(nursery: trio.Nursery) -> Pages:
    modules = sdks.modules() / "node_modules"
    served: Pages = await nursery.start(Pages(modules=modules, pages=sdks.HERE / "pages").serve)
    return served


@pytest.fixture
async def browser(tmp_path: Path) -> Any:
    async with Browser(tmp_path) as running:
        yield running


async def play(browser: Browser, pages: Pages, sdk: str, url: str, key: str, scene: str) -> None:
    await browser.show(f"{pages.origin}/pages/{sdk}.html")
    await browser.run(f"play({url!r}, {key!r}, {scene!r})")


def has(engine: Engine, source: str, count: int) -> bool:
    return len(engine.accepted(source)) >= count


@pytest.mark.parametrize("sdk", SDKS)
async def test_every_call_is_in_the_store_once_and_whole(
    browser: Browser, pages: Pages, engine: Engine, sdk: str
) -> None:
    source = f"{sdk}-all"
    async with Relay(engine.port) as relay:
        await play(browser, pages, sdk, relay.url, f"{source}-key", "all")
        await relay.until(partial(has, engine, source, 5))

    events = engine.accepted(source)
    by_type = {event["type"]: event for event in events}
    assert (len(events), browser.errors, browser.hosts) == (5, [], {"127.0.0.1"})
    assert len({event["messageId"] for event in events}) == 5
    assert by_type["identify"]["traits"] == {"plan": "pro"}
    assert (by_type["track"]["event"], by_type["track"]["properties"]["price"]) == ("Order Completed", 9.5)
    assert (by_type["page"]["name"], by_type["page"]["properties"]["path"]) == ("Home", "/x")
    assert (by_type["group"]["groupId"], by_type["group"].get("traits")) == ("g1", {"size": 3})
    assert (by_type["alias"]["userId"], by_type["alias"]["previousId"]) == ("u1", "u0")
    assert {event["userId"] for event in events} == {"u1"}
    assert {event["context"]["ip"] for event in events} == {"127.0.0.1"}
    assert all(event["anonymousId"] for event in events if event["type"] != "alias")


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("scene", ["bad", "large"])
async def test_what_cannot_be_taken_harms_no_other(
    browser: Browser, pages: Pages, engine: Engine, sdk: str, scene: str
) -> None:
    source = f"{sdk}-{scene}"
    async with Relay(engine.port) as relay:
        await play(browser, pages, sdk, relay.url, f"{source}-key", scene)
        await relay.until(partial(has, engine, source, 2))

    assert {event["event"] for event in engine.accepted(source)} == {"first", "last"}


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_answer_that_is_lost_costs_nothing_and_doubles_nothing(
    browser: Browser, pages: Pages, engine: Engine, sdk: str
) -> None:
    source = f"{sdk}-one"
    await browser.show(f"{pages.origin}/pages/{sdk}.html")
    async with Relay(engine.port) as relay:
        await browser.run(f"sdk({relay.url!r}, '{source}-key').then(made => {{ window.client = made; }})")
        relay.lose = 2  # Chromium itself sends once more on a connection that was lost
        await browser.run("void window.client.track('only', {})")
        await relay.until(lambda: relay.lose == 0)

    assert [event["event"] for event in engine.accepted(source)] == ["only"]


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_wrong_key_accepts_nothing(browser: Browser, pages: Pages, engine: Engine, sdk: str) -> None:
    async with Relay(engine.port) as relay:
        await browser.show(f"{pages.origin}/pages/{sdk}.html")
        await browser.run(f"void play({relay.url!r}, 'wrong', 'one').catch(() => 0)")
        await relay.until(lambda: relay.refused > 0)

    assert engine.accepted(f"{sdk}-wrong") == []
