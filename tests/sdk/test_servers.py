"""SDKs for servers, as their users install them, against a whole engine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support import sdks
from tests.support.engines import Engine
from tests.support.relay import Relay

SDKS = {
    "segment-py": ("python", "segment.analytics"),
    "rudder-py": ("python", "rudderstack.analytics"),
    "hightouch-py": ("python", "hightouch.htevents"),
    "segment-node": ("node", "@segment/analytics-node"),
    "rudder-node": ("node", "@rudderstack/rudder-sdk-node"),
}
SCENES = ("all", "bad", "large", "one", "wrong")
AT = "2026-03-02T08:00:00.000Z"

Send = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    names = [f"{sdk}-{scene}" for sdk in SDKS for scene in SCENES]
    running = Engine(tmp_path_factory.mktemp("engine"), *names)
    yield running
    running.end()


def command(sdk: str) -> list[str | Path]:
    kind, name = SDKS[sdk]
    if kind == "python":
        return [sdks.python(), sdks.HERE / "calls.py", name]
    return ["node", sdks.HERE / "calls.mjs", sdks.modules(), name]


def send(sdk: str, url: str, key: str, scene: str) -> dict[str, Any]:
    """Return what the SDK said, when it has said it all."""
    done = subprocess.run([*command(sdk), url, key, scene], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def seconds_from(told: str, moment: str) -> float:
    return abs((datetime.fromisoformat(told) - datetime.fromisoformat(moment)).total_seconds())


@pytest.mark.parametrize("sdk", SDKS)
def test_every_call_is_in_the_store_once_and_whole(engine: Engine, sdk: str) -> None:
    said = send(sdk, engine.url, f"{sdk}-all-key", "all")

    events = engine.accepted(f"{sdk}-all")
    by_type = {event["type"]: event for event in events}
    assert (said, len(events)) == ({"said": [], "raised": ""}, 6)
    assert len({event["messageId"] for event in events}) == 6
    assert {event.get("userId") for event in events} == {"u1"}
    assert by_type["identify"]["traits"] == {"plan": "pro"}
    assert (by_type["track"]["event"], by_type["track"]["properties"]) == ("Order Completed", {"price": 9.5})
    assert (by_type["page"]["name"], by_type["page"]["properties"]["path"]) == ("Home", "/")
    assert (by_type["screen"]["name"], by_type["screen"]["properties"]["tab"]) == ("Start", 1)
    assert (by_type["group"]["groupId"], by_type["group"]["traits"]) == ("g1", {"size": 3})
    assert by_type["alias"]["previousId"] == "u0"
    # The SDK's own clock is ours here, so a time of its own is only moved by the way to us.
    assert seconds_from(by_type["track"]["timestamp"], AT) < 5
    assert all(
        seconds_from(event["timestamp"], event["receivedAt"]) < 10 for event in events if event["type"] != "track"
    )


@pytest.mark.parametrize("sdk", SDKS)
def test_a_bad_event_is_refused_alone(engine: Engine, sdk: str) -> None:
    send(sdk, engine.url, f"{sdk}-bad-key", "bad")

    assert [event["event"] for event in engine.accepted(f"{sdk}-bad")] == ["first", "last"]


# What an SDK does with an event of 40 KB: Segment's and Hightouch's refuse it themselves, RudderStack's send it.
LARGE = {
    "segment-py": ["first"],
    "rudder-py": ["first", "last"],
    "hightouch-py": ["first"],
    "segment-node": ["first", "last"],
    "rudder-node": ["first", "last"],
}


@pytest.mark.parametrize("sdk", SDKS)
def test_an_event_too_large_harms_no_other(engine: Engine, sdk: str) -> None:
    send(sdk, engine.url, f"{sdk}-large-key", "large")

    assert [event["event"] for event in engine.accepted(f"{sdk}-large")] == LARGE[sdk]


@pytest.mark.parametrize("sdk", SDKS)
async def test_an_answer_that_is_lost_costs_nothing_and_doubles_nothing(engine: Engine, sdk: str) -> None:
    async with Relay(engine.port, lose=1) as relay:
        said = await trio.to_thread.run_sync(send, sdk, relay.url, f"{sdk}-one-key", "one")

    assert (said["said"], relay.lose, relay.requests) == ([], 0, 2)
    assert [event["event"] for event in engine.accepted(f"{sdk}-one")] == ["only"]


@pytest.mark.parametrize("sdk", SDKS)
async def test_a_wrong_key_is_told_and_not_tried_again(engine: Engine, sdk: str) -> None:
    async with Relay(engine.port) as relay:
        said = await trio.to_thread.run_sync(send, sdk, relay.url, "wrong-key", "one")

    assert relay.requests == 1
    assert len(said["said"]) >= 1
