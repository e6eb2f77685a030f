from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Error, Page, sync_playwright

from tests.support.browser import ALONE, chromium
from tests.support.child import Child

CONFIG = """
[receiver]
listen = "127.0.0.1:0"
[console]
listen = "127.0.0.1:0"
{console}
[sources.shop]
write_keys = ["key"]
contract = "shop"
[contracts.shop]
[[contracts.shop.events]]
type = "track"
name = "Order Completed"
schema = {{ properties = {{ properties = {{ required = ["total"] }} }} }}
[destinations.crm]
type = "webhook"
url = "{crm}"
allow_private = true
[destinations.events]
type = "log"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "order"
filter = 'event = "Order Completed" and properties.total >= 10'
mapping = {{ customer = "userId", total = "properties.total" }}
[[syncs.orders.event_types]]
name = "small"
filter = 'event = "Order Completed"'
mapping = {{ customer = "userId" }}
[syncs.everything]
source = "shop"
destination = "events"
[[syncs.everything.event_types]]
mapping = {{ user = "userId" }}
"""
TOKEN = "a token of many letters"


class Served:
    """An engine in a process of its own, and where its console is.

    Args:
        folder: where it lives.
        console: more of `[console]`.
        crm: where it delivers to; nobody is there unless somebody is.
    """

    def __init__(self, folder: Path, console: str = "", crm: str = "http://127.0.0.1:1/orders") -> None:
        (folder / "config.toml").write_text(CONFIG.format(console=console, crm=crm))
        self.child = Child(["run"], folder)
        self.receiver = "http://" + self.child.until("events: ").split("//")[1].partition("/")[0]
        self.url = self.child.until("console: ").split()[1].rstrip("/")

    def ask(self, path: str) -> bytes:
        """Return what the console answers, with the token."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request) as answer:
            said: bytes = answer.read()
            return said

    def send(self, *events: dict[str, Any]) -> None:
        """Let events in; returns when they are on disk."""
        body = json.dumps({"batch": [{"type": "track", "userId": "u1"} | event for event in events]}).encode()
        request = urllib.request.Request(f"{self.receiver}/v1/batch?writeKey=key", body)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    chromium()
    running = Served(tmp_path_factory.mktemp("engine"))
    yield running
    running.child.kill()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    chromium()
    running = Served(tmp_path_factory.mktemp("guarded"), f'token = "{TOKEN}"')
    yield running
    running.child.kill()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        alone = [option for option in ALONE if not option.startswith("--remote")]
        try:
            running = playwright.chromium.launch(executable_path=path, args=alone)
        except Error as error:  # a Chromium that Playwright cannot drive
            pytest.skip(f"Chromium does not start: {error.message.splitlines()[0]}")
        yield running
        running.close()


class Watched:
    """What a page asked for, and what went wrong in it."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.errors: list[str] = []

    def watch(self, page: Page) -> Page:
        """Note what *page* does from now on."""
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2].partition(":")[0]))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("dialog", self._dialog)
        return page

    def _dialog(self, dialog: Dialog) -> None:
        self.errors.append("a dialog opened")
        dialog.dismiss()


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def page(chrome: Browser, watched: Watched) -> Iterator[Page]:
    context = chrome.new_context()
    yield watched.watch(context.new_page())
    context.close()
    assert watched.hosts <= {"127.0.0.1"}
    assert watched.errors == []
