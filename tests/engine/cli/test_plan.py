from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine.config.load import load
from engine.store.base import Change, Cursor
from engine.store.opening import open_store
from engine.store.revisions import Reached, keep_revision
from tests.support.stores import event, progress, trouble

CONFIG = """
[sources.shop]
write_keys = ["env:KEY"]
[destinations.crm]
type = "webhook"
url = "https://crm.example/orders"
bearer = "env:TOKEN"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "order"
filter = 'event = "Order Completed"'
mapping = { total = "properties.total" }
"""
ORDERS: list[dict[str, Any]] = [
    {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 5}},
    {"type": "track", "event": "Order Completed", "userId": "u", "properties": {"total": 150}},
    {"type": "track", "event": "Order Refunded", "userId": "u", "properties": {"total": 5}},
]
FUNCTION = "def transform_events(events):\n    return [e | {'properties': {'total': TOTAL}} for e in events]\n"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A store with three events and the configuration that an engine ran with."""
    (tmp_path / "config.toml").write_text(CONFIG)
    loaded = load(tmp_path / "config.toml", env=None)

    async def fill() -> None:
        store = await open_store("sqlite", tmp_path / "data")
        done = trio.Event()
        now = time.time()
        events = [event(at, at=now, raw=msgspec.json.encode(body)) for at, body in enumerate(ORDERS, 1)]
        store.append(events, lambda _: done.set())
        await done.wait()
        reached = Reached(syncs={"orders": 0})
        await keep_revision(store, now, digest=loaded.digest, text=loaded.text, tables=loaded.tables, reached=reached)
        await store.aclose()

    trio.run(fill)
    return tmp_path


def test_the_same_configuration_changes_nothing(recorded: Path, headrace: Callable[..., Any]) -> None:
    said = headrace("plan")

    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "the configuration is the same\n3 recorded events:\n  orders: 2 the same, 0 change, 0 appear, 0 vanish\n"
    )


def test_requests_that_change_appear_and_vanish_are_told(recorded: Path, headrace: Callable[..., Any]) -> None:
    new = CONFIG.replace('"properties.total" }', "\"{{ row.properties.total | cast: 'string' }}\" }")
    new = new.replace('event = "Order Completed"', 'event = "Order Refunded" or properties.total > 100')
    (recorded / "new.toml").write_text(new)

    said = headrace("plan", "-c", "new.toml", "--since", "15m")

    assert (said.code, said.err) == (1, "")
    assert said.out == (
        "sync 'orders' is changed: event_types\n"
        "3 recorded events:\n"
        "  orders: 0 the same, 1 change, 1 appear, 1 vanish\n"
        "    1  order vanishes  m1\n"
        "        filtered: no_event_type\n"
        "    2  order changes  m2\n"
        '        request.body.total: expected 150, got "150"\n'
        "    3  order appears  m3\n"
        "        filtered: no_event_type\n"
    )


def test_machines_get_every_difference_and_the_sums(recorded: Path, headrace: Callable[..., Any]) -> None:
    (recorded / "new.toml").write_text(CONFIG.replace("crm.example/orders", "crm.example/v2"))

    said = headrace("plan", "-c", "new.toml", "--json")

    *found, told = map(json.loads, said.out.splitlines())
    assert said.code == 1
    assert [(one["position"], one["what"], one["reasons"]) for one in found] == [
        (at, "changes", ['request.url: expected "https://crm.example/orders", got "https://crm.example/v2"'])
        for at in (1, 2)
    ]
    assert told["events"] == 3
    assert told["syncs"] == [{"sync": "orders", "same": 0, "changes": 2, "appears": 0, "vanishes": 0}]
    assert [edit["name"] for edit in told["edits"]] == ["crm"]


def test_functions_are_run_and_compared(recorded: Path, headrace: Callable[..., Any]) -> None:
    for name, total in (("old", "1"), ("new", "2")):
        (recorded / f"{name}.py").write_text(FUNCTION.replace("TOTAL", total))
        text = CONFIG.replace('"env:KEY"]\n', f'"env:KEY"]\nfunctions = ["fix"]\n[functions.fix]\nfile = "{name}.py"\n')
        (recorded / f"{name}.toml").write_text(text)

    said = headrace("plan", "-c", "new.toml", "--against", "old.toml")

    assert said.code == 1
    assert "  orders: 0 the same, 2 change, 0 appear, 0 vanish\n" in said.out
    assert "        request.body.total: expected 1, got 2\n" in said.out


def test_a_sync_that_is_renamed_is_the_same_sync(recorded: Path, headrace: Callable[..., Any]) -> None:
    new = CONFIG.replace("[syncs.orders]\n", '[syncs.sales]\nwas = "orders"\n').replace("syncs.orders", "syncs.sales")
    (recorded / "new.toml").write_text(new)

    said = headrace("plan", "-c", "new.toml")

    assert said.out.startswith("sync 'sales' was 'orders'\n3 recorded events:\n  sales: ")


def test_what_is_pending_is_told_before_its_sync_is_removed(recorded: Path, headrace: Callable[..., Any]) -> None:
    async def fill() -> None:
        store = await open_store("sqlite", recorded / "data")
        cursors = (Cursor(source="shop", position=3),)
        await store.commit(Change(cursors=cursors, progress=(progress(2, (1,)),), troubles=(trouble(2),)))
        await store.aclose()

    trio.run(fill)
    (recorded / "new.toml").write_text(CONFIG.replace("syncs.orders", "syncs.sales"))

    said = headrace("plan", "-c", "new.toml")

    assert said.out.startswith(
        "sync 'orders' is removed (2 pending go to the archive: sync_removed; "
        "up to 1 events that it has not read are left out)\n"
    )


def test_a_store_that_nothing_ran_on_is_told(recorded: Path, tmp_path: Path, headrace: Callable[..., Any]) -> None:
    (recorded / "new.toml").write_text('store = { path = "elsewhere" }\n' + CONFIG)

    async def fill() -> None:
        await (await open_store("sqlite", tmp_path / "elsewhere")).aclose()

    trio.run(fill)
    said = headrace("plan", "-c", "new.toml")

    assert (said.code, said.err) == (
        1,
        "no engine has run on this store yet: name a configuration with --against\n",
    )
