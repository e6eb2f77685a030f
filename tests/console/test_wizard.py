"""The set-up wizard in a real Chromium: from nothing to a delivered event."""

from __future__ import annotations

import json
import re
import shlex
import stat
import tomllib
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import Watched
from tests.support import sdks
from tests.support.browser import chromium
from tests.support.child import Child

LISTEN = '# ours\n[receiver]\nlisten = "127.0.0.1:0"  # any\n[console]\nlisten = "127.0.0.1:0"\n'
EVIL = "<script>alert(1)</script>'\"\\ {{ x }}"
SECRET = "s3cret-of-the-hook"


class Hook:
    """A webhook of somebody's, on this machine."""

    def __init__(self) -> None:
        self.got: Queue[tuple[dict[str, str], Any]] = Queue()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.put((dict(self.headers.items()), json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        self._thread = Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


class Begun:
    """An engine that has nothing to do yet."""

    def __init__(self, folder: Path, text: str = LISTEN) -> None:
        self.config = folder / "config.toml"
        self.config.write_text(text)
        self.child = Child(["run", "--init"], folder)
        self.receiver = "http://" + self.child.until("events: ").split("//")[1].partition("/")[0]
        self.url = self.child.until("console: ").split()[1].rstrip("/")

    @property
    def made(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text())

    def send(self, key: str, *events: dict[str, Any]) -> None:
        body = json.dumps({"batch": [{"type": "track", "userId": "u1"} | event for event in events]}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.receiver}/v1/batch?writeKey={key}", body)) as answer:
            assert answer.status == 200


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Begun]:
    chromium()
    engine = Begun(tmp_path)
    yield engine
    engine.child.kill()


def to_settings(page: Page, url: str, source: str = "shop", destination: str = "crm") -> None:
    page.goto(f"{url}/setup")
    page.get_by_label("Name").fill(source)
    page.get_by_role("button", name="Next: destination").click()
    page.get_by_label("Name").fill(destination)
    page.get_by_role("button", name="Next").click()


def to_events(page: Page, url: str, hook: str) -> None:
    to_settings(page, url)
    page.get_by_label("url").fill(hook)
    page.get_by_role("button", name="Next: events").click()


def to_mapping(page: Page, url: str, hook: str, events: str = "") -> None:
    to_events(page, url, hook)
    page.get_by_label("Events, one on each line").fill(events)
    page.get_by_role("button", name="Next: mapping").click()


def to_preview(page: Page, url: str, hook: str, events: str = "") -> None:
    to_mapping(page, url, hook, events)
    page.get_by_role("button", name="Next: preview").click()


def write(page: Page) -> None:
    page.get_by_role("button", name="Write it, and let it take effect").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("is set up")


def test_from_nothing_to_a_delivered_event(begun: Begun, page: Page, hook: Hook) -> None:
    said = begun.child.until("nothing is set up yet")
    assert said == f"nothing is set up yet: open {begun.url}/setup\n"
    to_settings(page, begun.url)
    page.get_by_label("url").fill(hook.url)
    page.get_by_label("bearer").fill(SECRET)
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("status")).to_have_text("There is somebody at that address; nothing was sent.")
    assert SECRET not in page.content()
    page.get_by_role("button", name="Next: events").click()
    page.get_by_label("Events, one on each line").fill("Order Completed")
    page.get_by_role("button", name="Next: mapping").click()
    expect(page.get_by_label("Filter")).to_have_value('event = "Order Completed"')
    page.get_by_role("textbox", name="Field 4 of").fill("total")
    page.get_by_label("Value 4 of").fill("properties.total")
    page.get_by_role("button", name="Next: preview").click()
    expect(page.get_by_label("The request")).to_contain_text(f"POST {hook.url}")
    expect(page.get_by_label("The request")).to_contain_text('"total": 12.5')
    assert SECRET not in page.content()
    assert begun.config.read_text() == LISTEN
    write(page)

    expect(page.locator(".arrival")).to_have_text("Waiting for the first event")
    curl = shlex.split(page.get_by_label("A command that sends an event").inner_text())
    key = curl[2].rstrip(":")
    assert curl[3] == f"{begun.receiver}/v1/track"
    begun.send(key, {"event": "Order Completed", "properties": {"total": 3}})
    headers, body = hook.got.get(timeout=30)
    assert (body["total"], body["user"], headers["Authorization"]) == (3, "u1", f"Bearer {SECRET}")
    expect(page.locator(".arrival")).to_have_text("It arrived: 1 delivered")

    text = begun.config.read_text()
    assert text.startswith(LISTEN)
    assert begun.made["destinations"]["crm"]["bearer"] == "file:secrets/crm-bearer"
    secret = begun.config.parent / "secrets" / "crm-bearer"
    assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == (SECRET, 0o600)
    page.goto(f"{begun.url}/changes")
    expect(page.locator("tbody")).to_contain_text("sync 'shop-crm' is set up: shop → crm")
    assert SECRET not in text + begun.child.errors()


def test_a_second_sync_is_proposed_from_what_was_recorded(begun: Begun, page: Page, hook: Hook) -> None:
    to_preview(page, begun.url, hook.url)
    write(page)
    key = begun.made["sources"]["shop"]["write_keys"][0]
    begun.send(key, *[{"event": "Signed Up", "properties": {"plan": "pro", "seats": n}} for n in range(3)])
    for _ in range(3):
        hook.got.get(timeout=30)

    page.get_by_role("link", name="Set up another").click()
    page.get_by_role("button", name="Next: destination").click()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Signed Up 3").check()
    page.get_by_label("Name of the sync").fill("sign-ups")
    page.get_by_role("button", name="Next: mapping").click()
    values = [one.input_value() for one in page.get_by_label(re.compile("^Value")).all()]
    assert values == ["event", "userId", "timestamp", "properties.plan", "properties.seats", "", ""]
    page.get_by_role("button", name="Next: preview").click()
    expect(page.get_by_label("The request")).to_contain_text('"seats": 2')
    write(page)

    assert [one["filter"] for one in begun.made["syncs"]["sign-ups"]["event_types"]] == ['event = "Signed Up"']
    begun.send(key, {"event": "Signed Up", "properties": {"plan": "pro", "seats": 9}})
    assert {hook.got.get(timeout=30)[1].get("seats") for _ in range(2)} == {None, 9}  # every event, and sign-ups


def test_everything_that_is_wrong_is_shown_beside_its_field(begun: Begun, page: Page, hook: Hook) -> None:
    page.goto(f"{begun.url}/setup")
    page.get_by_label("Name").fill("my shop")
    page.get_by_role("button", name="Next: destination").click()
    expect(page.locator("#fault-name")).to_have_text("letters, digits, - and _, at most 100")

    to_settings(page, begun.url)
    page.get_by_label("url").fill("ftp://crm.example")
    page.get_by_text("more settings").click()
    page.get_by_label("batch", exact=True).fill("many")
    page.get_by_label("batch_bytes").fill("much")
    page.get_by_role("button", name="Next: events").click()
    expect(page.locator("#fault-set-batch")).to_contain_text("expected a whole number of at least 1")
    expect(page.locator("#fault-set-batch_bytes")).to_contain_text("MiB GiB TiB, as in")
    page.get_by_label("batch", exact=True).fill("1")
    page.get_by_label("batch_bytes").fill("1 MiB")
    page.get_by_role("button", name="Next: events").click()
    expect(page.locator("#fault-set-url")).to_contain_text("expected http:// or https://, got ftp:")
    expect(page.get_by_label("url")).to_have_value("ftp://crm.example")
    expect(page.get_by_label("url")).to_have_attribute("aria-invalid", "true")

    to_mapping(page, begun.url, hook.url, "A\nB")
    page.get_by_label("Filter").first.fill("event =")
    page.get_by_label("Value 1 of event type 2").fill("{{ event | nope }}")
    page.get_by_label("Value 2 of event type 2").fill("{ value = }")
    page.get_by_role("button", name="Next: preview").click()
    expect(page.locator('[id="fault-filter-0"]')).to_contain_text("event =")
    expect(page.locator('[id="fault-value-1-event"]')).to_contain_text("unknown filter 'nope'")
    expect(page.locator('[id="fault-value-1-user"]')).to_contain_text("not a table of TOML")
    expect(page.get_by_role("alert")).to_have_text("3 things to mend below.")
    assert begun.config.read_text() == LISTEN


def test_nobody_there_is_told_and_forbids_nothing(begun: Begun, page: Page) -> None:
    to_settings(page, begun.url)
    page.get_by_label("url").fill("http://127.0.0.1:1/in")
    page.get_by_role("button", name="Test the connection").click()
    expect(page.get_by_role("status")).to_have_text(
        "No connection: cannot connect to 127.0.0.1:1 (127.0.0.1: Connection refused)"
    )
    page.get_by_role("button", name="Next: events").click()
    expect(page.get_by_label("Name of the sync")).to_have_value("shop-crm")


def test_hostile_names_stay_text_to_the_end(begun: Begun, page: Page, hook: Hook) -> None:
    to_mapping(page, begun.url, hook.url, EVIL)
    page.get_by_role("textbox", name="Field 4 of").fill(EVIL)
    page.get_by_label("Value 4 of").fill('{ value = "<img src=x onerror=alert(2)>" }')
    page.get_by_role("button", name="Next: preview").click()
    expect(page.get_by_label("The request")).to_contain_text("<img src=x onerror=alert(2)>")
    assert page.locator("main img, main script").count() == 0
    write(page)

    (kind,) = begun.made["syncs"]["shop-crm"]["event_types"]
    assert kind["mapping"][EVIL] == {"value": "<img src=x onerror=alert(2)>"}
    curl = shlex.split(page.get_by_label("A command that sends an event").inner_text())
    begun.send(curl[2].rstrip(":"), json.loads(curl[5]))
    assert hook.got.get(timeout=30)[1]["event"] == EVIL


def test_what_may_not_be_written_is_given_to_be_copied(begun: Begun, page: Page, hook: Hook) -> None:
    begun.config.chmod(0o444)
    to_settings(page, begun.url)
    page.get_by_label("url").fill(hook.url)
    page.get_by_label("secret", exact=True).fill(SECRET)
    page.get_by_role("button", name="Next: events").click()
    page.get_by_role("button", name="Next: mapping").click()
    page.get_by_role("button", name="Next: preview").click()

    expect(page.get_by_text("Nothing can be written here: config.toml is not writable")).to_be_visible()
    assert page.get_by_role("button", name="Write it").count() == 0
    text = page.get_by_label("The text that is added").inner_text()
    assert tomllib.loads(text)["destinations"]["crm"]["secret"] == "file:secrets/crm-secret"
    expect(page.get_by_text("Write them yourself")).to_contain_text("secrets/crm-secret")
    assert begun.config.read_text() == LISTEN
    assert not (begun.config.parent / "secrets").exists()


def test_what_was_changed_meanwhile_is_not_overwritten(begun: Begun, page: Page, hook: Hook) -> None:
    to_preview(page, begun.url, hook.url)
    begun.config.write_text(LISTEN + "# somebody else's\n")
    page.get_by_role("button", name="Write it").click()

    expect(page.get_by_role("alert")).to_contain_text("config.toml is other than before; look at the preview again")
    assert begun.config.read_text() == LISTEN + "# somebody else's\n"
    write(page)
    assert begun.config.read_text().startswith(LISTEN + "# somebody else's\n")


def test_it_needs_no_script(chrome: Browser, begun: Begun, hook: Hook) -> None:
    context = chrome.new_context(java_script_enabled=False)
    page = context.new_page()
    to_preview(page, begun.url, hook.url, "Seen")
    write(page)
    begun.send(begun.made["sources"]["shop"]["write_keys"][0], {"event": "Seen"})
    hook.got.get(timeout=30)
    page.get_by_role("link", name="Look again").click()
    expect(page.locator(".arrival strong")).not_to_be_empty()
    context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing_serious(
    chrome: Browser, begun: Begun, hook: Hook, watched: Watched, scheme: Any, width: int
) -> None:
    axe = sdks.axe()
    context = chrome.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True)
    page = watched.watch(context.new_page())
    found: list[str] = []

    def look() -> None:
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        page.evaluate(axe)
        broken = page.evaluate("axe.run().then(({ violations }) => violations)")
        found.extend(f"{page.url} {one['id']}: {one['nodes'][0]['html']}" for one in broken)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} is wider than the screen"

    page.goto(f"{begun.url}/setup")
    look()
    to_settings(page, begun.url)
    page.get_by_role("button", name="Next: events").click()
    look()  # with what is wrong
    to_events(page, begun.url, hook.url)
    look()
    to_preview(page, begun.url, hook.url, "A\nB")
    look()
    page.get_by_role("link", name="Mapping").click()
    look()
    page.goto(f"{begun.url}/setup/preview")
    write(page)
    look()
    context.close()
    assert found == []
    assert watched.hosts == {"127.0.0.1"}
