from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.child import Child, command

CONFIG = """
[receiver]
listen = "127.0.0.1:{receiver}"
[console]
listen = "127.0.0.1:{console}"
[sources.shop]
write_keys = ["K1"]
[destinations.events]
type = "file"
path = "events.ndjson"
[syncs.everything]
source = "shop"
destination = "events"
[[syncs.everything.event_types]]
mapping = {{ user = "userId" }}
"""
EVENTS = [{"type": "page", "userId": f"u{number}"} for number in range(10)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def configured(folder: Path, receiver: int, console: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(CONFIG.format(receiver=receiver, console=console))
    (folder / "events.json").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    return configured(tmp_path, free_port(), free_port())


@pytest.fixture
def engine(folder) -> Iterator[Child]:
    """Return an engine that accepts events."""
    child = Child(["run"], folder)
    child.until("console: ")
    yield child
    child.kill()


def test_what_is_sent_is_in_the_file_when_the_engine_has_drained(engine, folder):
    assert command(["send", "events.json"], folder).returncode == 0

    engine.signal(signal.SIGTERM)

    assert (engine.wait(), engine.errors()) == (0, "")
    lines = (folder / "events.ndjson").read_text().splitlines()
    assert [json.loads(line)["payload"] for line in lines] == [{"user": event["userId"]} for event in EVENTS]


def test_status_asks_the_running_engine(engine, folder):
    told = json.loads(command(["status", "--json"], folder).stdout)

    assert (told["running"], told["last"], told["sources"][0]["state"]) == (True, 0, "running")


def test_a_paused_sync_keeps_its_events_until_it_goes_on_also_over_a_restart(engine, folder):
    paused = command(["pause", "sync", "everything"], folder)
    command(["send", "events.json"], folder)
    engine.signal(signal.SIGTERM)
    engine.wait()
    assert paused.stdout == "sync 'everything' is paused: its events wait in the store\n"
    assert not (folder / "events.ndjson").exists()

    again = Child(["run"], folder)
    try:
        again.until("console: ")
        assert json.loads(command(["status", "--json"], folder).stdout)["syncs"][0]["state"] == "paused"
        resumed = command(["resume", "sync", "everything"], folder)
        again.signal(signal.SIGTERM)
        assert again.wait() == 0
    finally:
        again.kill()
    assert resumed.stdout == "sync 'everything' goes on from where it stood\n"


def test_a_disabled_sync_filters_its_events_until_it_is_enabled(engine, folder):
    disabled = command(["disable", "sync", "everything"], folder)
    command(["send", "events.json"], folder)
    told = json.loads(command(["status", "--json"], folder).stdout)["syncs"][0]
    enabled = command(["enable", "sync", "everything"], folder)
    engine.signal(signal.SIGTERM)
    engine.wait()

    assert told["state"] == "disabled"
    assert disabled.stdout == (
        "sync 'everything' is disabled: its further events are filtered, also over a restart and a reload, "
        "until it is enabled; what was on its way goes on\n"
    )
    assert enabled.stdout == "sync 'everything' takes events again, from now on\n"
    assert not (folder / "events.ndjson").exists()
    counts = json.loads(command(["status", "--json"], folder).stdout)["syncs"][0]["filtered"]
    assert counts == {"disabled": len(EVENTS)}


def test_what_is_not_there_cannot_be_paused(engine, folder):
    said = command(["pause", "destination", "crm"], folder)

    assert (said.returncode, said.stderr) == (1, "there is no destination 'crm' in the running configuration\n")


def test_a_second_engine_on_the_same_store_is_refused(engine, folder):
    said = command(["run"], folder)

    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("data/lock: the store is used by process ")
    assert len(said.stderr.splitlines()) == 1


def test_an_address_that_is_taken_is_told_without_a_traceback(engine, folder, tmp_path_factory):
    taken = (folder / "config.toml").read_text().split('listen = "127.0.0.1:')[1].split('"')[0]
    other = configured(tmp_path_factory.mktemp("other"), int(taken), free_port())

    said = command(["run"], other)

    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        f"cannot listen on 127.0.0.1:{taken}: Address already in use",
        "    stop who listens there, or change [receiver] listen",
    ]


def test_ctrl_c_drains_like_sigterm(engine, folder):
    engine.signal(signal.SIGINT)

    assert (engine.wait(), engine.errors()) == (0, "")
