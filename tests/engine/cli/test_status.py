from __future__ import annotations

import json
from functools import partial
from types import SimpleNamespace

import pytest
import trio

from engine.cli.status import _told
from engine.messages import NEVER, State
from engine.observe.status import DestinationStatus
from engine.store.base import Change, Cursor
from engine.store.opening import open_store
from engine.store.start import Paused, keep_paused
from engine.store.switched import Named, keep_switches
from tests.support.stores import NOW, Disk, OpenedStore, changed, progress, trouble

COUNTS = {
    ("source:shop", "passed"): 5,
    ("source:shop", "blocked"): 1,
    ("sync:orders", "filtered.no_event_type"): 1,
    ("sync:orders", "matched"): 4,
    ("sync:orders", "created"): 4,
    ("sync:orders", "delivered"): 1,
}
NOBODY = """\
no engine answers at 127.0.0.1:1 ([Errno 111] Connection refused)
    start one with: headrace run -c config.toml
"""
ENTRY = {
    "event_id": "3",
    "message_id": "m3",
    "sync": "orders",
    "destination": "crm",
    "stage": "send",
    "state": "archived",
    "reason": "rejected_400",
    "attempts": 1,
    "status": 400,
    "first_at": "2023-11-14T22:12:50.250Z",
    "last_at": "2023-11-14T22:13:03.250Z",
}


@pytest.fixture
def stopped(shop, tmp_path):
    """Leave the store of an engine that no longer runs, and that nobody answers for."""
    shop.write_text('[console]\nlisten = "127.0.0.1:1"\n' + shop.read_text())

    async def fill() -> None:
        opened = OpenedStore(partial(open_store, "sqlite", tmp_path / "data"), Disk())
        store = await opened.open()
        await opened.fill(6)
        blocked = changed(trouble(4, State.BLOCKED), sync="", destination="", stage="contract", status=0, attempts=0)
        archived = changed(trouble(3, State.ARCHIVED), reason="rejected_400", status=400)
        change = Change(
            cursors=(Cursor(source="shop", position=6),),
            progress=(progress(6, [6]),),
            troubles=(trouble(2), archived, blocked),
            counts=COUNTS,
        )
        await store.commit(change)
        await store.aclose()

    trio.run(fill)


def test_without_an_engine_status_is_what_the_store_has(headrace, stopped, monkeypatch):
    monkeypatch.setattr("engine.cli.status.time", SimpleNamespace(time=lambda: NOW))
    said = headrace("status")

    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("headrace is not running; this is what the store has: 6 events accepted, ")
    assert said.out.splitlines()[1:] == [
        "",
        "source  state  passed  blocked  failed  lag",
        "shop    -           5        1       0    0",
        "",
        "sync                state  delivered  filtered  archived  pending  lag  oldest  drains in  last delivery",
        "orders: shop → crm  -              1         1         1        2    0   1.0 m          -              -",
        "",
        "destination  type     state  waiting  in flight",
        "crm          webhook  -            0          0    2 held, the oldest for 1.0 m of 3.0 d",
    ]


def test_without_an_engine_status_tells_what_is_held_back_and_parked(headrace, stopped, tmp_path):
    async def hold() -> None:
        store = await open_store("sqlite", tmp_path / "data")
        waits = [changed(trouble(number), turn="ab", due_at=NEVER, reason="parked") for number in (5, 6)]
        await store.commit(Change(troubles=(changed(trouble(4, key="head"), turn="ab"), *waits)))
        await keep_paused(store, Paused(syncs=("orders",)))
        await keep_switches(store.meta, Named(destinations=("crm",)))
        await store.aclose()

    trio.run(hold)
    told = headrace("status").out.splitlines()
    (sync,) = (found := json.loads(headrace("status", "--json").out))["syncs"]
    (crm,) = found["destinations"]

    assert (sync["state"], sync["order"]["parked"], sync["order"]["keys"]) == ("paused", 2, 1)
    assert (crm["state"], crm["held"], crm["max_age"]) == ("disabled", 5, 72 * 3600.0)
    assert told[7].startswith(
        "orders: 1 keys on their way, 0 deliveries stand behind a retry, 2 are parked; 0 had no key"
    )
    assert told[8].endswith("(key ab)")


def test_a_mistake_in_the_configuration_keeps_nobody_from_looking(headrace, stopped, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(file.read_text().replace('destination = "crm"', 'destination = "crn"'))

    assert headrace("status").out.startswith("headrace is not running; this is what the store has: 6 events accepted, ")
    assert headrace("errors", "list").code == 0
    assert headrace("reload").err == NOBODY


def test_a_mistake_in_where_the_engine_is_does(headrace, stopped, tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(file.read_text().replace('listen = "127.0.0.1:1"', "listen = 1"))

    for command in (["status"], ["errors", "list"], ["pause", "sync", "orders"]):
        assert headrace(*command).err == (
            "config.toml: 1 problem\n"
            "  config.toml:2: console.listen: expected host:port with a port up to 65535, "
            'as in "127.0.0.1:8321", got the number 1\n'
        )


def test_status_as_json_has_the_same_numbers(headrace, stopped):
    told = json.loads(headrace("status", "--json").out)

    (sync,) = told["syncs"]
    assert (told["running"], told["last"], told["sources"][0]["blocked"]) == (False, 6, 1)
    assert {key: sync[key] for key in ("open", "created", "delivered", "archived", "pending")} == {
        "open": 1,
        "created": 4,
        "delivered": 1,
        "archived": 1,
        "pending": 2,
    }


def test_without_engine_and_store_status_says_so(headrace, shop):
    shop.write_text('[console]\nlisten = "127.0.0.1:1"\n' + shop.read_text())

    assert headrace("status") == (
        1,
        "",
        "data/headrace.db: there is no store yet; it is made when the engine first runs\n",
    )


def test_pause_without_an_engine_says_how_to_start_one(headrace, stopped):
    assert headrace("pause", "destination", "crm") == (1, "", NOBODY)


def test_errors_are_listed_newest_first_one_json_object_a_line(headrace, stopped):
    said = headrace("errors", "list", "--json")
    entries = [json.loads(line) for line in said.out.splitlines()]

    assert [entry["state"] for entry in entries] == ["blocked", "archived", "retrying"]
    assert {key: value for key, value in entries[1].items() if key != "id"} == ENTRY
    assert [entries[0][key] for key in ("sync", "destination", "status")] == [None, None, None]


@pytest.mark.parametrize(
    ("options", "states"),
    [
        (["--state", "archived"], ["archived"]),
        (["--state", "archived", "--state", "retrying"], ["archived", "retrying"]),
        (["--sync", "orders"], ["archived", "retrying"]),
        (["--reason", "rejected_400"], ["archived"]),
        (["--limit", "1"], ["blocked"]),
        (["--sync", "leads"], []),
    ],
)
def test_errors_are_listed_by_what_is_asked_for(headrace, stopped, options, states):
    said = headrace("errors", "list", "--json", *options)

    assert [json.loads(line)["state"] for line in said.out.splitlines()] == states


def test_errors_for_a_person_are_two_lines_each(headrace, stopped):
    said = headrace("errors", "list", "--state", "archived")

    first, second = said.out.splitlines()
    assert first.endswith("  archived  send/rejected_400, 1 attempt  orders → crm  m3")
    assert second == "    2023-11-14T22:13:03.250Z  the server said 500; it will be tried again"


def test_no_errors_are_told_too(headrace, stopped):
    assert headrace("errors", "list", "--sync", "leads").out == "nothing is in trouble\n"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"state": "closed", "held": 5, "oldest": 1.0}, ""),
        ({"state": "closed", "told_to_wait": 90.0}, "asked to be left alone for 1.5 m"),
        (
            {"state": "open", "reason": "20 failures in a row", "probe_in": 12.0, "held": 1204, "oldest": 11520.0},
            "20 failures in a row; next probe in 12.0 s; 1,204 held, the oldest for 3.2 h of 3.0 d",
        ),
        (
            {"state": "disabled", "reason": "disabled by an operator", "held": 1, "oldest": 60.0},
            "disabled by an operator; 1 held, the oldest for 1.0 m of 3.0 d",
        ),
    ],
)
def test_a_destination_says_why_it_is_not_well_what_it_holds_and_for_how_long(facts, told):
    assert _told(DestinationStatus(name="crm", max_age=259_200.0, **facts)) == told


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["orders"], NOBODY),
        (["crm"], NOBODY),
        (["sync", "orders"], NOBODY),
        (["destination", "crm"], NOBODY),
        (["order"], "no sync and no destination 'order'\n    did you mean 'orders'?\n"),
        (["sync"], "no sync and no destination 'sync'\n    one of: crm, orders\n"),
        (["both"], "'both' is a sync and a destination\n    say sync both or destination both\n"),
        (["source", "shop"], "'source' is no kind of thing\n    say a name, or sync or destination and a name\n"),
    ],
)
@pytest.mark.parametrize("command", ["pause", "resume", "disable", "enable"])
def test_what_is_held_back_is_called_by_its_name(headrace, stopped, tmp_path, command, argv, told):
    if argv == ["both"]:
        file = tmp_path / "config.toml"
        both = '[destinations.both]\ntype = "log"\n[syncs.both]\nsource = "shop"\ndestination = "both"\n'
        file.write_text(f"{file.read_text()}\n{both}")

    assert headrace(command, *argv) == (1, "", told)
