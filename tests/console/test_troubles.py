"""Errors, violations and lineage in a real Chromium, against a whole engine and a destination that refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import Served, Watched
from tests.support import sdks
from tests.support.browser import chromium

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


class Crm(ThreadingHTTPServer):
    """A destination that answers 400 to orders of 400, until it is mended."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.mended = False


class Answering(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Crm

    def do_POST(self) -> None:
        """Answer one order."""
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        bad = order.get("total") == 400 and not self.server.mended
        said = json.dumps({"error": f"no such currency {EVIL}"} if bad else {}).encode()
        self.send_response(400 if bad else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def crm() -> Iterator[Crm]:
    with Crm() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, crm: Crm) -> Iterator[Served]:
    chromium()
    running = Served(tmp_path_factory.mktemp("engine"), crm=f"http://127.0.0.1:{crm.server_port}/orders")
    yield running
    running.child.kill()


@pytest.fixture(autouse=True)
def refusing(crm: Crm) -> None:
    crm.mended = False


def order(message_id: str, total: Any = 400, **more: Any) -> dict[str, Any]:
    return {"event": "Order Completed", "messageId": message_id, "properties": {"total": total}} | more


def counted(page: Page, served: Served, step: str) -> int:
    page.goto(served.url)
    return int(page.locator(f'[data-live="funnel:orders:{step}"]').inner_text().replace(",", ""))


def until(page: Page, served: Served, step: str, count: int) -> None:
    """Watch the overview until a sync has so many at a step."""
    page.goto(served.url)
    expect(page.locator(f'[data-live="funnel:orders:{step}"]')).to_have_text(str(count), timeout=20_000)


def refuse(page: Page, served: Served, *events: dict[str, Any]) -> None:
    """Let events in that the destination refuses; returns when they are archived."""
    before = counted(page, served, "archived")
    served.send(*events)
    until(page, served, "archived", before + len(events))


def test_an_entry_is_found_understood_and_retried_until_it_arrives(page: Page, served: Served, crm: Crm) -> None:
    refuse(page, served, order("one-1"))
    delivered = counted(page, served, "delivered")
    page.goto(f"{served.url}/errors?text=one-1")

    expect(page.get_by_role("group", name="Entries by reason").get_by_role("row")).to_have_count(2)
    page.get_by_role("group", name="Entries", exact=True).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("rejected_400 archived")
    expect(page.get_by_text("mend the mapping and replay it, or retry it as it is")).to_be_visible()
    expect(page.get_by_label("What you sent")).to_contain_text('"messageId": "one-1"')
    expect(page.get_by_label("Mapped payload")).to_contain_text('"total": 400')
    expect(page.get_by_label("Request", exact=True)).to_contain_text("POST http://127.0.0.1")
    expect(page.get_by_label("Response", exact=True)).to_contain_text("no such currency")
    expect(page.get_by_role("group", name="Attempts").get_by_role("row")).to_have_count(2)

    crm.mended = True
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status").first).to_have_text("it goes out again")
    until(page, served, "delivered", delivered + 1)
    page.goto(f"{served.url}/lineage?value=one-1")
    expect(page.get_by_role("heading", name="It arrived at crm (sync orders); it arrived at events")).to_be_visible()
    expect(page.locator(".attempts").first.get_by_role("listitem")).to_have_count(2)


def test_many_are_discarded_after_a_count(page: Page, served: Served) -> None:
    refuse(page, served, *(order(f"many-{n}") for n in range(3)))
    page.goto(f"{served.url}/errors?text=many-&reason=rejected_400")

    page.get_by_role("group", name="All that match").get_by_role("link", name="Discard").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Discard 3 entries?")
    page.get_by_role("button", name="Discard 3").click()

    told = page.locator(".moving").first
    expect(told).to_contain_text("3 of 3 entries that matched")
    expect(told.locator(".pill")).to_have_text("done")
    page.goto(f"{served.url}/errors?text=many-&state=discarded")
    expect(page.get_by_role("group", name="Entries", exact=True).get_by_role("row")).to_have_count(4)
    page.goto(f"{served.url}/changes")
    expect(page.get_by_text("done: 3 of 3 entries")).to_be_visible()


def test_chosen_ones_are_replayed_after_a_count(page: Page, served: Served, crm: Crm) -> None:
    refuse(page, served, *(order(f"few-{n}") for n in range(3)))
    delivered = counted(page, served, "delivered")
    page.goto(f"{served.url}/errors?text=few-")
    boxes = page.get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(2).check()
    crm.mended = True

    page.get_by_role("group", name="Chosen entries").get_by_role("button", name="Replay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Replay 2 deliveries?")
    page.get_by_role("button", name="Replay 2").click()

    expect(page.locator(".moving").first).to_contain_text("2 sent")
    until(page, served, "delivered", delivered + 2)


def test_a_broken_contract_is_counted_shown_and_leads_to_the_event_s_way(page: Page, served: Served) -> None:
    delivered = counted(page, served, "delivered")
    served.send({"event": "Order Completed", "properties": {}, "messageId": "broken-1"}, order("whole-1", 50))
    until(page, served, "delivered", delivered + 1)
    page.goto(f"{served.url}/violations?event=Order+Completed")

    counts = page.get_by_role("group", name="Counts by contract, event and rule")
    expect(counts.get_by_role("row").nth(1)).to_contain_text("required")
    page.get_by_role("group", name="Events that broke a contract").get_by_role("link").first.click()
    broken = page.get_by_role("group", name="Violations").get_by_role("row").nth(1)
    expect(broken).to_contain_text("/properties")
    expect(broken).to_contain_text("'total' is a required property")
    page.get_by_role("link", name="The whole way of this event").click()
    expect(page.get_by_role("heading", level=2)).to_contain_text("The contract of source shop stopped it")


def test_a_user_s_events_lead_to_where_each_is(page: Page, served: Served) -> None:
    delivered = counted(page, served, "delivered")
    served.send(order("mine-1", 50, userId="somebody"))
    until(page, served, "delivered", delivered + 1)
    page.goto(f"{served.url}/lineage")

    page.get_by_label("By").select_option("userId")
    page.get_by_label("Value").fill("somebody")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="mine-1").click()

    expect(page.get_by_role("heading", name="It arrived at crm (sync orders)")).to_be_visible()


def test_the_debugger_leads_to_where_an_event_is_also_live(page: Page, served: Served) -> None:
    page.goto(f"{served.url}/sources/shop")
    served.send(order("a b/c?&", 50))

    line = page.locator('[data-id="a b/c?&"]')
    line.locator("summary").click()
    line.get_by_role("link", name="Where it is now").click()

    expect(page.get_by_label("Value")).to_have_value("a b/c?&")
    expect(page.get_by_role("heading", name="Received")).to_be_visible()


def hostile(page: Page, served: Served, name: str) -> list[str]:
    """Let hostile events in, with ids of their own, and return the addresses of every page that shows them."""
    evil = order(f"{EVIL}{name}", userId=EVIL)
    evil["properties"] |= {EVIL: EVIL}
    served.send({"event": "Order Completed", "properties": {EVIL: 1}, "messageId": f"{EVIL}{name}2", "userId": EVIL})
    refuse(page, served, evil)
    entry = json.loads(served.ask("/api/v1/errors?states=archived&limit=1"))
    broken = json.loads(served.ask("/api/v1/violations?limit=1"))
    query = "%3Cscript%3Ealert(1)%3C/script%3E"
    return [
        "/errors", f"/errors?text={query}&reason={query}&since={query}&sync={query}", f"/errors/{entry[0]['id']}",
        "/errors/all/discard", "/errors/all/replay", f"/errors/all/retry?text={query}", "/errors/progress",
        "/violations", f"/violations?event={query}&contract={query}", f"/violations/{broken[0]['id']}",
        "/lineage", f"/lineage?value={query}%3Cimg%20src=x%20onerror=alert(2)%3E", f"/lineage?by=userId&value={query}",
        f"/lineage?value={entry[0]['message_id']}",
    ]  # fmt: skip


def test_hostile_names_and_payloads_are_inert(page: Page, served: Served) -> None:
    for path in hostile(page, served, "inert"):
        page.goto(served.url + path)
        assert page.locator("main img, main script, main iframe").count() == 0, path


def test_without_scripts_entries_are_counted_and_discarded(chrome: Browser, page: Page, served: Served) -> None:
    refuse(page, served, order("plain-1"))
    context = chrome.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"{served.url}/errors?text=plain-1")
    plain.get_by_role("group", name="Entries", exact=True).get_by_role("link").click()

    plain.get_by_role("link", name="Discard").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("Discard 1 entry?")
    plain.get_by_role("button", name="Discard it").click()

    expect(plain.get_by_role("status").first).to_contain_text("discard in bulk")
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious(
    chrome: Browser, page: Page, served: Served, watched: Watched, scheme: Any, width: int
) -> None:
    axe = sdks.axe()
    paths = hostile(page, served, scheme)
    context = chrome.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    shown = watched.watch(context.new_page())
    found = []
    for path in paths:
        shown.goto(served.url + path)
        shown.evaluate(axe)
        broken = shown.evaluate("axe.run().then(({ violations }) => violations)")
        found += [f"{path} {one['id']}: {one['nodes'][0]['html']}" for one in broken]
        assert shown.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is wider than the screen"
    context.close()
    assert found == []
