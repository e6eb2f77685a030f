"""`headrace tap` beside a running engine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.child import Child, command

CONFIG = """
[receiver]
listen = "127.0.0.1:{receiver}"
[console]
listen = "127.0.0.1:{console}"
[sources.shop]
write_keys = ["K1"]
contract = "shop"
[contracts.shop]
[[contracts.shop.events]]
type = "track"
name = "Order Completed"
schema = {{ properties = {{ properties = {{ required = ["total"] }} }} }}
[destinations.events]
type = "log"
[syncs.orders]
source = "shop"
destination = "events"
[[syncs.orders.event_types]]
name = "order"
filter = 'event = "Order Completed"'
mapping = {{ total = "properties.total" }}
"""
EVENTS: list[dict[str, Any]] = [
    {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m1", "properties": {"total": 5}},
    {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": "m2", "properties": {}},
    {"type": "page", "userId": "u1", "messageId": "m3"},
    {"type": "page", "messageId": "m4"},
    {"type": "page", "userId": "u1", "messageId": "m3"},
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    receiver, console = free_port(), free_port()
    (tmp_path / "config.toml").write_text(CONFIG.format(receiver=receiver, console=console))
    (tmp_path / "events.json").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    child = Child(["run"], tmp_path)
    child.until("console: ")
    command(["send", "events.json"], tmp_path)
    yield tmp_path
    child.kill()


def tapped(folder: Path, *options: str) -> list[dict[str, Any]]:
    done = command(["tap", *options, "--json"], folder)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_source_shows_every_event_with_its_verdict(folder: Path) -> None:
    seen = {(each["message_id"], each["verdict"], each["reason"]) for each in tapped(folder, "shop", "--once")}

    assert seen == {
        ("m1", "passed", ""),
        ("m2", "blocked", "contract_violation"),
        ("m3", "passed", ""),
        ("m4", "refused", "id_required"),
        ("m3", "duplicate", ""),
    }


def test_a_sync_shows_what_becomes_of_them_there(folder: Path) -> None:
    seen = tapped(folder, "orders", "--once")

    told = [(each["message_id"], each["verdict"], each["reason"], each["payload"]) for each in seen]
    assert told == [
        ("m1", "deliver", "", {"total": 5}),
        ("m2", "blocked", "contract_violation", None),
        ("m3", "filtered", "no_event_type", None),
    ]


def test_a_filter_and_a_limit_choose(folder: Path) -> None:
    seen = tapped(folder, "shop", "--filter", 'type = "page"', "--limit", "1")

    assert [each["message_id"] for each in seen] == ["m3"]


def test_lines_for_people_say_who_what_and_why(folder: Path) -> None:
    lines = command(["tap", "orders", "--once"], folder).stdout.splitlines()

    assert [line.partition("  ")[2] for line in lines] == [
        "deliver  order  track  Order Completed  u1",
        "blocked  track  Order Completed  u1  contract_violation: /properties: 'total' is a required property",
        "filtered  page  u1  no_event_type",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["shoop"], "no source and no sync 'shoop'\n    did you mean 'shop'?\n"),
        (["shop", "--filter", "type ="], "--filter: "),
    ],
)
def test_what_cannot_be_shown_is_told(folder: Path, options: list[str], told: str) -> None:
    done = command(["tap", *options, "--once"], folder)

    assert done.returncode == 1
    assert done.stderr.startswith(told)
