"""The console in a real Chromium, against a whole engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import TOKEN, Served, Watched
from tests.support import sdks

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"
PATHS = ("/", "/sources", "/sources/shop", "/syncs", "/syncs/orders", "/changes", "/nowhere")


def order(total: Any = 50, **more: Any) -> dict[str, Any]:
    return {"event": "Order Completed", "properties": {"total": total}} | more


def test_figures_move_while_one_looks(page: Page, served: Served) -> None:
    page.goto(served.url)
    accepted = page.locator('[data-live="tile:last"]')
    before = int(accepted.inner_text().replace(",", ""))

    served.send(order(), order(), {"event": "Other"})

    expect(accepted).to_have_text(str(before + 3))
    expect(page.locator('[data-line="read"]')).to_have_attribute("d", re.compile("L"))


def test_events_appear_as_they_come_with_what_becomes_of_them(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/sources/shop")

    served.send(order(messageId="live-1"), {"event": "Order Completed", "properties": {}, "messageId": "live-2"})

    taken = page.locator('.event[data-id="live-1"]')
    expect(taken.locator(".took .chip")).to_have_text(["orders order", "everything custom"])
    blocked = page.locator('.event[data-id="live-2"]')
    expect(blocked.locator('[data-of="verdict"]')).to_have_text("blocked")
    blocked.locator("summary").click()
    expect(blocked.locator('[data-of="why"]')).to_contain_text("contract_violation")


def test_a_pause_holds_events_back_and_then_shows_them(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/sources/shop")
    pause = page.get_by_role("button", name="Pause")
    pause.click()
    served.send(order(messageId="held-1"))

    expect(page.locator("[data-count]")).to_contain_text("1 held")
    assert page.locator('[data-id="held-1"]').count() == 0
    page.get_by_role("button", name="Go on").click()
    expect(page.locator('[data-id="held-1"]')).to_be_visible()


def test_search_and_filter_choose(page: Page, served: Served) -> None:
    served.send(order(messageId="needle-1"), order(5, messageId="hay-1"))
    page.goto(f"{served.url}/sources/shop")

    page.get_by_role("searchbox").fill("needle")
    expect(page.locator('[data-id="needle-1"]')).to_be_visible()
    expect(page.locator('[data-id="hay-1"]')).to_be_hidden()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("textbox", name="Filter").fill("properties.total < 10")
    page.get_by_role("button", name="Show").click()
    expect(page.locator('[data-id="hay-1"]')).to_be_visible()
    assert page.locator('[data-id="needle-1"]').count() == 0


def test_hostile_names_and_payloads_are_inert_live_and_loaded(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/sources/shop")
    served.send({"event": EVIL, "userId": EVIL, "messageId": "evil-1", "properties": {EVIL: EVIL}})

    live = page.locator('[data-id="evil-1"]')
    expect(live.locator('[data-of="name"]')).to_have_text(EVIL)
    live.locator("summary").click()
    page.reload()
    expect(page.locator('[data-id="evil-1"] [data-of="name"]')).to_have_text(EVIL)
    assert page.locator("main img, main script").count() == 0


def test_a_sync_is_paused_and_resumed_and_both_are_noted(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/syncs/everything")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_have_text("sync 'everything' is paused: its events wait in the store")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("goes on")
    page.get_by_role("link", name="Changes").click()
    assert page.locator("tbody code").all_inner_texts()[:2] == [
        "POST /syncs/everything/resume",
        "POST /syncs/everything/pause",
    ]


def test_an_event_that_is_tried_shows_the_exact_request(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/syncs/orders")
    page.get_by_label("Event, as a client sends it").fill(
        '{"type": "track", "event": "Order Completed", "userId": "u9", "properties": {"total": 12}}'
    )

    page.get_by_role("button", name="Explain").click()

    request = page.get_by_label("The request")
    expect(request).to_contain_text("POST http://127.0.0.1:1/orders")
    expect(request).to_contain_text('"customer": "u9"')


def test_the_keyboard_is_enough(page: Page, served: Served) -> None:
    page.goto(served.url)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto(f"{served.url}/sources/shop")
    served.send(order(messageId="keys-1"))
    page.locator('[data-id="keys-1"] summary').focus()
    page.keyboard.press("Enter")
    expect(page.locator('[data-id="keys-1"] .inside')).to_be_visible()


def test_one_logs_in_looks_and_logs_out(page: Page, guarded: Served) -> None:
    page.goto(f"{guarded.url}/syncs")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Syncs")
    assert page.url == f"{guarded.url}/syncs"
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()


def test_without_scripts_everything_is_read_and_every_form_works(chrome: Browser, served: Served) -> None:
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    served.send(order(messageId="plain-1"))
    page.goto(f"{served.url}/sources/shop")
    expect(page.locator('[data-id="plain-1"]')).to_be_visible()
    page.goto(f"{served.url}/syncs/everything")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    context.close()


@pytest.fixture(scope="module")
def axe() -> str:
    return sdks.axe()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious(
    chrome: Browser, served: Served, guarded: Served, axe: str, watched: Watched, scheme: Any, width: int
) -> None:
    served.send(order(), {"event": "Order Completed", "properties": {}}, {"event": "Other", "userId": None})
    context = chrome.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = watched.watch(context.new_page())
    found = []
    for url in [*(served.url + path for path in PATHS), f"{guarded.url}/login"]:
        page.goto(url)
        page.evaluate("document.querySelectorAll('details').forEach((each, n) => { each.open = n < 3; })")
        page.evaluate(axe)
        broken = page.evaluate("axe.run().then(({ violations }) => violations)")
        found += [f"{url} {one['id']}: {one['nodes'][0]['html']}" for one in broken]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{url} is wider than the screen"
    context.close()
    assert found == []
    assert watched.hosts == {"127.0.0.1"}
