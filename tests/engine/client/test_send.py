from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from engine.client import ClientError
from engine.client.send import Progress, Target, send_lines
from engine.errors import Problem
from engine.runtime.clock import TrioClock
from engine.store.memory import MemoryStore
from engine.store.room import Room
from tests.support.doors import door, offered, track
from tests.support.standing import Standing


class Told:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.progress: list[Progress] = []
        self.problems: list[str] = []

    def moved(self, progress: Progress) -> None:
        self.progress.append(progress)

    def lost(self, problem: Problem) -> None:
        self.problems.append(str(problem))


def lines(*events: Any, end: bytes = b"\n") -> io.BufferedReader:
    parts = [event if isinstance(event, bytes) else msgspec.json.encode(event) for event in events]
    return io.BufferedReader(io.BytesIO(b"\n".join(parts) + end))


def memory() -> MemoryStore:
    return MemoryStore(Room(0, 0, lambda: 1 << 40))


def target(running: Standing, **more: Any) -> Target:
    return Target(url=running.url, write_key="shop-key", **more)


async def test_a_file_is_sent_and_its_faults_are_told_with_their_lines() -> None:
    shop, told = door(), Told()
    file = lines(track(1), b"", b"hello", b"[1]", {"messageId": "m2", "type": "track"}, track(3), end=b"")
    async with Standing(memory(), shop) as running:
        done = await send_lines(file, "events.ndjson", target(running), told)

    assert done == Progress(read=5, bad=2, size=done.size, refused=1, acked=2, resent=0)
    assert done.size > 100
    assert told.progress[-1] == done
    assert told.problems == [
        "events.ndjson:3: not a JSON object: JSON is malformed: invalid character (byte 0)",
        "events.ndjson:4: not a JSON object: Expected `object`, got `array`",
        "events.ndjson:5: refused (event_not_defined): a track call needs 'event', the event's name",
    ]
    assert [event.envelope.message_id for span in offered(shop) for event in span.events] == ["m1", "m3"]


async def test_over_several_connections_a_users_events_keep_their_order() -> None:
    shop = door(inbox=10_000)
    events = [track(number, userId=f"u{number % 7}") for number in range(700)]
    async with Standing(memory(), shop) as running:
        done = await send_lines(lines(*events), "events.ndjson", target(running, connections=3), Told())

    sent = [msgspec.json.decode(event.raw) for span in offered(shop) for event in span.events]
    assert done.acked == 700
    for user in range(7):
        own = [event["messageId"] for event in sent if event["userId"] == f"u{user}"]
        assert own == [f"m{number}" for number in range(user, 700, 7)]


async def test_a_rate_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.03
    file = lines(*(track(number) for number in range(21)))
    async with Standing(memory()) as running:
        start = trio.current_time()
        await send_lines(file, "events.ndjson", target(running, rate=10.0), Told(), TrioClock(1e9))

        assert 2.0 <= trio.current_time() - start < 3.0


async def test_a_wrong_key_is_an_error() -> None:
    async with Standing(memory()) as running:
        with pytest.raises(ClientError) as caught:
            await send_lines(lines(track(1)), "x", Target(url=running.url, write_key="wrong"), Told())

    assert str(caught.value) == "the receiver does not know the write key: no source has this write key"


async def test_nobody_there_is_an_error(autojump_clock: trio.testing.MockClock) -> None:
    autojump_clock.autojump_threshold = 0.03
    with pytest.raises(ClientError) as caught:
        await send_lines(lines(track(1)), "x", Target(url="ws://127.0.0.1:9", write_key="k"), Told())

    assert str(caught.value).startswith("no connection to ws://127.0.0.1:9 in 10 s: cannot connect to 127.0.0.1:9")


async def test_a_line_without_an_end_is_not_kept_in_memory() -> None:
    told = Told()
    file = lines(b"x" * (10 << 20), track(2))
    async with Standing(memory()) as running:
        done = await send_lines(file, "x", target(running), told)

    assert (done.read, done.bad, done.acked) == (2, 1, 1)
    assert told.problems == ["x:1: not a JSON object: JSON is malformed: invalid character (byte 0)"]
