from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from actors.receiver.stream import PING, PONG
from engine import wire
from engine.errors import StoreError
from engine.plan import Doorway
from engine.runtime.websocket import Closed
from engine.store.base import Done, Store
from engine.store.memory import MemoryStore
from engine.store.opening import open_reader, open_store
from engine.store.room import Room
from plugins.sources.webhook import Webhook, WebhookSettings
from tests.support.doors import door, offered, track
from tests.support.frames import HANDSHAKE
from tests.support.standing import Standing, acked, ending, said


def text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def memory(free: Any = lambda: 1 << 40) -> MemoryStore:
    return MemoryStore(Room(0, 0, free))


@pytest.fixture
async def disk(tmp_path: Path) -> Any:
    store = await open_store("sqlite", tmp_path)
    yield store
    await store.aclose()


FORMS = [
    ("one", [track(1)], track(1)),
    ("array", [track(1), track(2)], [track(1), track(2)]),
    ("batch", [track(1), track(2)], {"batch": [track(1), track(2)], "sentAt": "2026-11-23T10:00:00Z"}),
]


@pytest.mark.parametrize("encode", [text, msgspec.msgpack.encode], ids=["json", "messagepack"])
@pytest.mark.parametrize(("events", "frame"), [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
async def test_every_form_of_frame_is_accepted_and_acknowledged(
    nursery: trio.Nursery, encode: Any, events: list[Any], frame: Any
) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        socket = await running.socket(nursery)
        assert await said(socket) == {
            "type": "ready", "source": "shop", "window": 2000, "maxFrame": 4 << 20, "maxEvent": 32 << 10,
        }  # fmt: skip
        await socket.send(encode(frame))
        assert await acked(socket, len(events)) == []

    taken = [event for span in offered(shop) for event in span.events]
    assert [msgspec.json.decode(event.raw) for event in taken] == events
    if isinstance(frame, dict) and "batch" in frame:
        assert taken[0].envelope.sent_at == "2026-11-23T10:00:00Z"


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("writeKey=shop-key", []),
        ("x=y", [("Authorization", "Bearer shop-key")]),
        ("", [("Authorization", f"Basic {base64.b64encode(b'shop-key:').decode()}")]),
        ("", [("Authorization", f"Basic {base64.b64encode(b'shop-key').decode()}")]),
    ],
    ids=["query", "bearer", "basic", "basic without a colon"],
)
async def test_a_key_in_the_handshake_opens(nursery: trio.Nursery, query: str, headers: list[tuple[str, str]]) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery, query, headers)

        assert (await said(socket))["type"] == "ready"


async def test_a_hello_opens_and_has_no_number(nursery: trio.Nursery) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery, "")
        await socket.send(text({"type": "hello", "writeKey": "shop-key"}))
        assert (await said(socket))["source"] == "shop"
        await socket.send("[]")
        await socket.send(text(track(1)))

        assert await acked(socket, 1) == []


async def test_a_hello_beside_a_key_in_the_handshake_has_no_number_either(nursery: trio.Nursery) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text({"type": "hello", "writeKey": "shop-key"}))
        await socket.send(text(track(1)))

        assert await acked(socket, 1) == []


SHOW = 'show a write key: Basic or Bearer authorization, ?writeKey=, or a first frame {"type":"hello","writeKey":"…"}'


@pytest.mark.parametrize(
    ("query", "first", "reason"),
    [
        ("writeKey=wrong", None, "no source has this write key"),
        ("", text({"type": "hello", "writeKey": "wrong"}), "no source has this write key"),
        ("", text(track(1)), SHOW),
        ("", "nonsense", SHOW),
    ],
)
async def test_without_a_good_key_it_closes_with_4401(
    nursery: trio.Nursery, query: str, first: str | None, reason: str
) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery, query)
        if first is not None:
            await socket.send(first)

        assert await ending(socket) == (4401, reason)


async def test_a_client_that_shows_no_key_in_time_is_closed(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.03
    async with Standing(memory()) as running:
        socket = await running.socket(nursery, "")

        assert await ending(socket) == (4401, SHOW)


async def test_refusals_are_told_with_their_numbers(nursery: trio.Nursery) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text([track(1), {"messageId": "bad", "type": "track"}, track(2)]))
        await socket.send(text({"type": "nope", "messageId": "worse"}))

        refused = await acked(socket, 4)

    assert [(each["n"], each["messageId"], each["code"]) for each in refused] == [
        (2, "bad", "event_not_defined"),
        (4, "worse", "type_unknown"),
    ]


async def test_a_duplicate_is_acknowledged_like_a_new_event(nursery: trio.Nursery) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        socket = await running.socket(nursery)
        await said(socket)
        for _ in range(3):
            await socket.send(text(track(1)))

        assert await acked(socket, 3) == []

    assert (shop.counts.accepted, shop.counts.duplicate) == (1, 2)


async def test_a_frame_that_does_not_parse_closes_with_4400_after_the_last_ack(
    nursery: trio.Nursery, disk: Store
) -> None:
    async with Standing(disk) as running:
        socket = await running.socket(nursery)
        await said(socket)
        for number in range(10):
            await socket.send(text(track(number)))
        await socket.send("hello")
        await socket.send(text(track(11)))

        assert await acked(socket, 10) == []
        assert await ending(socket) == (
            4400, "the frame does not parse: JSON is malformed: invalid character (byte 0)",
        )  # fmt: skip
    assert disk.last == 10


async def test_a_frame_that_is_too_large_closes_with_4413(nursery: trio.Nursery) -> None:
    async with Standing(memory(), frame=5000) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text(track(1)))
        await socket.send(text(track(2, properties={"x": "x" * 6000})))

        assert (await ending(socket))[0] == 4413


async def test_an_event_that_is_too_large_is_refused_alone(nursery: trio.Nursery) -> None:
    async with Standing(memory(), event=1000) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text([track(1, properties={"x": "x" * 2000}), track(2)]))

        (refused,) = await acked(socket, 2)

    assert (refused["n"], refused["code"]) == (1, "too_large")


async def test_draining_closes_with_1001_after_the_last_ack(nursery: trio.Nursery, disk: Store) -> None:
    async with Standing(disk) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text([track(number) for number in range(500)]))
        await acked(socket, 500)
        for number in range(500, 520):
            await socket.send(text(track(number)))
        while running.intake.doors["shop"].counts.read == 500:
            await trio.lowlevel.checkpoint()
        running.receiver.stop()

        upto = 500
        with pytest.raises(Closed) as caught:
            while True:
                upto = (await said(socket))["upto"]

    assert (caught.value.code, caught.value.reason) == (1001, "draining; connect again")
    assert upto == disk.last == disk.durable


async def test_every_acknowledged_event_is_on_disk(nursery: trio.Nursery, disk: Store, tmp_path: Path) -> None:
    reader = open_reader(tmp_path)
    async with Standing(disk) as running:
        socket = await running.socket(nursery)
        await said(socket)
        told = 0
        for start in range(0, 300, 3):
            await socket.send(text([track(start + n) for n in range(3)]))
            if start % 30 == 0:
                told = (await said(socket))["upto"]
                assert reader.last() >= told
        while told < 300:
            told = (await said(socket))["upto"]
            assert reader.last() >= told
    reader.close()


async def test_acks_coalesce(nursery: trio.Nursery, disk: Store) -> None:
    async with Standing(disk) as running:
        socket = await running.socket(nursery)
        await said(socket)
        for number in range(200):
            await socket.send(text(track(number)))
        count = 1
        while (await said(socket))["upto"] < 200:
            count += 1

    assert count < 100


class Slow:
    """A store's disk that has room only when told."""

    def __init__(self) -> None:
        self.room = 0

    def __call__(self) -> int:
        return self.room


class Held(MemoryStore):
    """A store whose commits take until they are let go."""

    def __init__(self) -> None:
        super().__init__(Room(0, 0, lambda: 1 << 40))
        self.held: list[tuple[int, Done]] | None = []

    def _written(self, position: int, done: Done) -> None:
        if self.held is None:
            super()._written(position, done)
        else:
            self.held.append((position, done))

    def let_go(self) -> None:
        """Report all commits, and from now on each at once."""
        held, self.held = self.held or [], None
        for position, done in held:
            self._written(position, done)


async def test_beyond_the_window_nothing_more_is_read(nursery: trio.Nursery) -> None:
    shop, store = door(), Held()
    async with Standing(store, shop, window=10) as running:
        socket = await running.socket(nursery)
        assert (await said(socket))["window"] == 10
        for number in range(100):
            await socket.send(text(track(number)))
        with trio.move_on_after(0.1):
            await socket.receive()
        read = shop.counts.read
        store.let_go()

        assert 10 <= read < 100
        assert await acked(socket, 100) == []


async def test_a_full_store_holds_clients_back_and_loses_nothing(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    autojump_clock.autojump_threshold = 0.03
    slow, shop = Slow(), door()
    async with Standing(memory(slow), shop) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text(track(1)))
        with trio.move_on_after(5.0) as scope:
            await socket.receive()
        assert scope.cancelled_caught
        assert shop.counts.read == 0
        slow.room = 1 << 40
        running.intake.store._room.look(0)  # type: ignore[attr-defined]

        assert await acked(socket, 1) == []


async def test_a_store_that_fails_closes_with_1011_and_ends_the_receiver(nursery: trio.Nursery, disk: Store) -> None:
    ended: list[str] = []

    async def run() -> None:
        try:
            async with Standing(disk) as running:
                socket = await running.socket(nursery)
                await said(socket)
                disk._writer._connection.close()  # type: ignore[attr-defined]
                await socket.send(text(track(1)))
                ended.append("{:d} {}".format(*await ending(socket)))
                await trio.sleep_forever()
        except StoreError as error:
            ended.append(type(error).__name__)

    await run()

    assert ended == ["1011 the store has failed; what is not acknowledged is not accepted", "StoreError"]


async def test_a_browser_is_known_by_its_origin(nursery: trio.Nursery) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        for headers in ([("Origin", "https://shop.example")], []):
            socket = await running.socket(nursery, headers=headers)
            await said(socket)
            await socket.send(text(track(len(headers))))
            await acked(socket, 1)

    assert [event.envelope.ip for span in offered(shop) for event in span.events] == ["127.0.0.1", None]


async def test_a_slow_reader_of_acks_does_not_stop_its_own_events(nursery: trio.Nursery) -> None:
    shop = door()
    async with Standing(memory(), shop) as running:
        socket = await running.socket(nursery)
        for number in range(600):
            await socket.send(text(track(number)))
        with trio.fail_after(5):
            while shop.counts.accepted < 600:
                await trio.lowlevel.checkpoint()


async def test_a_frame_that_is_too_large_closes_after_the_last_ack(nursery: trio.Nursery, disk: Store) -> None:
    async with Standing(disk, frame=1000) as running:
        socket = await running.socket(nursery)
        await said(socket)
        for number in range(100):
            await socket.send(text(track(number)))
        await socket.send("x" * 1001)

        assert await acked(socket, 100) == []
        assert await ending(socket) == (wire.TOO_LARGE, "a message is larger than 1000 bytes")


async def test_a_page_of_another_origin_is_closed_with_4401(nursery: trio.Nursery) -> None:
    shop = door(doorway=Doorway(origins=("https://shop.example",)))
    async with Standing(memory(), shop) as running:
        strange = await running.socket(nursery, headers=[("Origin", "https://evil.test")])
        own = await running.socket(nursery, headers=[("Origin", "https://shop.example")])

        assert await ending(strange) == (wire.KEY, "pages of this origin may not send here")
        assert (await said(own))["type"] == "ready"


async def test_a_key_of_a_webhook_opens_no_stream(nursery: trio.Nursery) -> None:
    hooks = door("hooks", doorway=Doorway(kind=Webhook, settings=WebhookSettings()))
    async with Standing(memory(), hooks) as running:
        socket = await running.socket(nursery, "writeKey=hooks-key")

        assert await ending(socket) == (wire.KEY, "the write key is not for SDKs, see the type of its source")


async def test_a_client_beyond_its_quota_is_slowed_down(nursery: trio.Nursery, autojump_clock: Any) -> None:
    shop = door(doorway=Doorway(quota=10.0))
    async with Standing(memory(), shop) as running:
        socket = await running.socket(nursery)
        await said(socket)
        began = trio.current_time()
        for first in range(0, 100, 10):
            await socket.send(text([track(first + number) for number in range(10)]))
            await acked(socket, first + 10)

    assert shop.counts.accepted == 100
    assert 8.0 <= trio.current_time() - began <= 10.0


async def test_one_far_beyond_its_quota_is_closed_with_4429_after_the_last_ack(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    async with Standing(memory(), door(doorway=Doorway(quota=10.0))) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await socket.send(text([track(number) for number in range(256)]))
        await socket.send(text(track(300)))

        assert await acked(socket, 256) == []
        code, reason = await ending(socket)

    assert (code, reason) == (wire.QUOTA, "the write key has used up its quota; come again in 25 s")


async def test_a_browser_is_not_held_to_the_quota(nursery: trio.Nursery, autojump_clock: Any) -> None:
    async with Standing(memory(), door(doorway=Doorway(quota=10.0))) as running:
        socket = await running.socket(nursery, headers=[("Origin", "https://shop.example")])
        await said(socket)
        began = trio.current_time()
        for first in range(0, 1000, 250):
            await socket.send(text([track(first + number) for number in range(250)]))
        await acked(socket, 1000)

    assert trio.current_time() - began < 1.0


async def test_one_that_says_nothing_is_asked_and_stays_if_it_answers(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    async with Standing(memory()) as running:
        socket = await running.socket(nursery)
        await said(socket)
        await trio.sleep(600)
        await socket.send(text(track(1)))

        assert await acked(socket, 1) == []


async def test_one_that_is_gone_without_a_word_is_let_go(nursery: trio.Nursery, autojump_clock: Any) -> None:
    async with Standing(memory()) as running:
        host, _, port = running.address.partition(":")
        stream = await trio.open_tcp_stream(host, int(port))
        await stream.send_all(HANDSHAKE % b"Authorization: Bearer shop-key\r\n")
        await trio.sleep(PING - 1)
        assert running.receiver.streams == 1
        await trio.sleep(PONG + 2)

        assert running.receiver.streams == 0
        await stream.aclose()


async def test_no_close_code_is_left_out_here() -> None:
    codes = {wire.DRAINING, wire.FAILED, wire.PROTOCOL, wire.KEY, wire.TOO_LARGE, wire.QUOTA}

    assert codes == {1001, 1011, 4400, 4401, 4413, 4429}
