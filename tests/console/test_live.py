from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from actors.console import live as feeds
from tests.support.consoles import PAGE, Browser
from tests.support.grown import ORDERS, grow

SECOND = 1.001
"""Until the next sample; a thread that makes a page lets the jumping clock jump."""


@pytest.fixture
async def browser(nursery):
    engine = await grow(nursery, ORDERS)
    await engine.tree.console.address()  # templates are read in a thread, meanwhile the clock jumps
    yield Browser(engine)
    engine.tree.stop_now()


class Client:
    """Takes what a feed sends: at once, or not at all."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.parts: list[bytes] = []

    async def send(self, part: bytes) -> None:
        self.parts.append(part)
        if not self.reads:
            await trio.sleep_forever()

    @property
    def said(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(part.partition(b"data: ")[2]) for part in self.parts if b"data: " in part]


async def watch(browser: Browser, nursery: trio.Nursery, client: Client, path: str = "/live/overview") -> None:
    response = await browser.ask("GET", path, PAGE)
    assert response.feed is not None
    nursery.start_soon(response.feed, client.send)


async def test_who_watches_is_told_each_second(autojump_clock, browser, nursery):
    client = Client()
    await watch(browser, nursery, client)
    await browser.engine.send(3)

    await trio.sleep(3 * SECOND)

    assert len(client.said) >= 2
    assert client.said[-1]["texts"]["tile:last"] == "3"


async def test_all_who_watch_get_the_same_bytes_made_once(autojump_clock, browser, nursery):
    one, other = Client(), Client()
    await watch(browser, nursery, one)
    await watch(browser, nursery, other)

    await trio.sleep(3 * SECOND)

    assert one.parts[-1] is other.parts[-1]


async def test_a_browser_that_does_not_read_costs_nothing_and_holds_nobody_up(autojump_clock, browser, nursery):
    stuck, well = Client(reads=False), Client()
    await watch(browser, nursery, stuck)
    await watch(browser, nursery, well)

    await trio.sleep(10 * SECOND)

    assert len(stuck.parts) == 1  # and it is waited for by its own feed, which keeps nothing for it
    assert len(well.said) >= 8


async def test_so_many_may_watch_and_no_more(autojump_clock, browser, nursery):
    for _ in range(feeds.WATCHERS):
        await watch(browser, nursery, Client())
    await trio.testing.wait_all_tasks_blocked()

    assert (await browser.ask("GET", "/live/overview")).status == 503


async def test_without_anybody_who_watches_no_status_is_made(autojump_clock, browser, monkeypatch):
    asked: list[float] = []

    async def status() -> None:
        asked.append(trio.current_time())

    monkeypatch.setattr(browser.engine.tree.operator, "status", status)

    await trio.sleep(30)

    assert asked == []


async def test_a_source_s_events_are_told_as_they_come(autojump_clock, browser, nursery):
    client = Client()
    await watch(browser, nursery, client, "/live/sources/shop?after=0")
    await browser.engine.send(2)

    await trio.sleep(SECOND)

    assert [one["n"] for said in client.said for one in said["shown"]] == [1, 2]


async def test_of_a_flood_the_newest_are_looked_at_and_the_rest_is_counted(autojump_clock, browser, nursery):
    await browser.engine.send(400)
    client = Client()
    await watch(browser, nursery, client, "/live/sources/shop?after=0")

    await trio.sleep(SECOND)

    (said,) = client.said
    assert (said["skipped"], [one["n"] for one in said["shown"]]) == (375, list(range(376, 401)))
    assert b"id: 400\n" in client.parts[-1]


async def test_a_feed_goes_on_where_a_broken_one_ended(autojump_clock, browser, nursery):
    await browser.engine.send(3)
    client = Client()
    response = await browser.ask("GET", "/live/sources/shop?after=0", (*PAGE, ("last-event-id", "2")))
    nursery.start_soon(response.feed, client.send)

    await trio.sleep(SECOND)

    assert [one["n"] for said in client.said for one in said["shown"]] == [3]


@pytest.mark.parametrize(("path", "status"), [("/live/sources/nope", 404), ("/live/sources/shop?filter=type%20=", 400)])
async def test_what_cannot_be_watched_is_told(autojump_clock, browser, path, status):
    assert (await browser.ask("GET", path)).status == status


async def test_a_death_of_the_console_touches_no_other_actor(autojump_clock, browser):
    tree = browser.engine.tree
    before = {name: state.restarts for name, state in tree.supervisor.states().items()}

    async def broken() -> None:
        del tree.operator.reading
        raise RuntimeError

    tree.operator.reading = broken
    await trio.sleep(10)
    await browser.engine.send(1)

    after = {name: state.restarts for name, state in tree.supervisor.states().items()}
    assert {name for name in after if after[name] != before[name]} == {"console"}
    assert tree.supervisor.states()["console"].condition == "running"
    assert (await browser.ask("GET", "/", PAGE)).status == 200
