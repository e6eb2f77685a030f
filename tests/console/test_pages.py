from __future__ import annotations

import re
from functools import partial
from html.parser import HTMLParser

import msgspec
import pytest
import trio

from actors.console.menu import PAGES
from actors.receiver.frames import Frame
from tests.support.consoles import PAGE, Browser
from tests.support.grown import ORDERS, grow

EVIL = "</code><script>alert(1)</script><img src=x onerror=alert(2)>\"'`"
FORMS = """
[syncs."a/b é"]
source = "shop"
destination = "crm"
[[syncs."a/b é".event_types]]
filter = 'event = "<b>bold</b>"'
mapping = { n = { value = "<i>" } }
"""


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
async def browser(nursery):
    engine = await grow(nursery, ORDERS)
    yield Browser(engine)
    engine.tree.stop_now()


async def hostile(browser: Browser) -> None:
    await browser.engine.send(1, **{EVIL: EVIL})
    event = {"type": "track", "event": EVIL, "userId": EVIL, "messageId": "m", "properties": {"n": EVIL}}
    done = trio.Event()
    tree = browser.engine.tree
    tree.intake.submit(
        tree.doors["shop"], [Frame(items=(msgspec.json.encode(event),))], partial(lambda each, _error: each.set(), done)
    )
    await done.wait()


SHOWN = ["/", "/sources", "/sources/shop", "/syncs", "/syncs/orders", "/changes"]


@pytest.mark.parametrize("path", SHOWN)
async def test_a_page_runs_and_loads_nothing_but_the_console_s_own(browser, path):
    await hostile(browser)
    page = Seen(await browser.see(path))

    assert [attrs for attrs in page.all("script") if not (attrs.get("src") or "").startswith("/static/")] == []
    assert page.all("style") == page.all("img") == page.all("iframe") == []
    assert [attrs for _, attrs in page.tags if "style" in attrs or any(name.startswith("on") for name in attrs)] == []
    places = [attrs.get("src") or attrs.get("href") or attrs.get("action") or "/" for _, attrs in page.tags]
    assert [place for place in places if not place.startswith(("/", "#")) or place.startswith("//")] == []


@pytest.mark.parametrize("path", SHOWN)
async def test_a_page_has_a_title_one_heading_and_a_language(browser, path):
    page = Seen(await browser.see(path))

    assert (len(page.all("h1")), len(page.all("main")), page.all("html")[0]["lang"]) == (1, 1, "en")


@pytest.mark.parametrize("path", [page.path for page in PAGES if page.name])
async def test_the_menu_says_where_one_is(browser, path):
    text = await browser.see(path)

    assert re.findall(r'<a href="([^"]+)" aria-current="page">', text) == [path]


async def test_what_comes_from_events_is_text(browser):
    await hostile(browser)

    text = await browser.see("/sources/shop")

    assert "&lt;script&gt;alert(1)" in text
    assert "<script>alert" not in text
    assert "<img" not in text


async def test_what_comes_from_an_address_is_text(browser):
    text = await browser.see("/sources/shop?search=%3Cscript%3Ealert(1)%3C/script%3E&filter=%22%3E%3Cscript%3E")

    assert "<script>alert" not in text
    assert '"><script>' not in text


async def test_names_of_any_letters_have_pages(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + FORMS)
    browser = Browser(engine)

    syncs = await browser.see("/syncs")
    one = await browser.see("/syncs/a%2Fb%20%C3%A9")
    paused = await browser.send("/do/syncs/a%2Fb%20%C3%A9/pause", form=await browser.form("/syncs"))

    assert 'href="/syncs/a%2Fb%20%C3%A9"' in syncs
    assert "&lt;b&gt;bold&lt;/b&gt;" in one
    assert (paused.status, engine.tree.gates["a/b é"].shut) == (303, True)
    engine.tree.stop_now()


async def test_what_a_form_did_is_told_on_the_next_page_once(browser):
    await browser.send("/do/syncs/orders/pause", form=await browser.form("/syncs"), back="/syncs")

    first, second = await browser.see("/syncs"), await browser.see("/syncs")

    told = "sync &#39;orders&#39; is paused: its events wait in the store"
    assert (first.count(told), second.count(told)) == (1, 0)
    assert "/do/syncs/orders/resume" in second


async def test_an_event_that_is_tried_shows_the_way_and_the_payload(browser):
    form = await browser.form("/syncs/orders")
    answer = await browser.send(
        "/syncs/orders", form=form, event='{"type": "track", "event": "Seen", "userId": "u", "properties": {"n": 42}}'
    )

    text = answer.body.decode()
    assert answer.status == 200
    assert re.search(r"<pre[^>]*><code>{\s*&#34;n&#34;: 42\s*}</code>", text)
    assert browser.engine.desk().calls == []


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("{", "not JSON: Input data was truncated"),
        ("[]", "an event is one JSON object, in braces"),
        ('{"type": "nonsense"}', "Refused at the door: type_unknown"),
    ],
)
async def test_what_cannot_be_tried_is_told_and_kept(browser, event, told):
    answer = await browser.send("/syncs/orders", form=await browser.form("/syncs/orders"), event=event)

    text = answer.body.decode()
    assert told in text
    assert event.replace('"', "&#34;") in text


async def test_a_filter_that_is_wrong_is_told_with_its_place(browser):
    text = await browser.see("/sources/shop?filter=type%20=")

    assert 'role="alert"' in text
    assert 'aria-invalid="true"' in text


async def test_what_is_filtered_and_searched_is_chosen(browser):
    await browser.engine.send(3)

    found = await browser.see("/sources/shop?filter=properties.n%20%3E%201&search=m3")

    assert re.findall(r'<details class="event" data-id="(m\d)"', found) == ["m3"]


@pytest.mark.parametrize("path", ["/nowhere", "/syncs/nope", "/sources/nope"])
async def test_a_page_that_is_not_there_says_so(browser, path):
    answer = await browser.ask("GET", path, PAGE)

    assert answer.status == 404
    assert b"Nothing here" in answer.body


async def test_an_event_at_the_wrong_port_is_told_the_right_one(browser):
    answer = await browser.ask("POST", "/v1/track", (("authorization", "Basic bXkta2V5Og=="),), b"{}")

    assert answer.status == 404
    assert msgspec.json.decode(answer.body)["message"] == (
        "this is the console; events go to the port that [receiver] listen names, 8321 by default"
    )


async def test_light_and_dark_are_chosen_without_a_script(browser):
    await browser.see("/")
    session = browser.cookie
    await browser.send("/theme", theme="dark", back="/")
    browser.cookie = f"{session}; {browser.cookie}"

    assert '<html lang="en" data-theme="dark">' in await browser.see("/")
