from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from engine.runtime.websocket import Bounds, Closed, WebSocket
from tests.support.frames import BINARY, CLOSE, PING, PONG, TEXT, Client, closing, frame, visit


class Heard:
    """A handler that receives until the end, and keeps what came."""

    def __init__(self) -> None:
        self.messages: list[str | bytes] = []
        self.end: Closed | None = None
        self.done = trio.Event()

    async def __call__(self, websocket: WebSocket) -> None:
        try:
            while True:
                self.messages.append(await websocket.receive())
        except Closed as closed:
            self.end = closed
        self.done.set()

    async def over(self) -> tuple[int, str]:
        await self.done.wait()
        assert self.end is not None
        return self.end.code, self.end.reason


async def sleep(websocket: WebSocket) -> None:
    await trio.sleep_forever()


async def test_text_and_bytes_go_both_ways(nursery: trio.Nursery) -> None:
    async def echo(websocket: WebSocket) -> None:
        for _ in range(4):
            await websocket.send(await websocket.receive())

    client = await visit(nursery, echo)
    await client.upgrade()
    await client.say(
        frame(TEXT, "é".encode()) + frame(BINARY, b"\x00\xff") + frame(TEXT) + frame(BINARY, b"x" * 70_000)
    )

    heard = [await client.hear() for _ in range(4)]

    assert heard == [(TEXT, "é".encode()), (BINARY, b"\x00\xff"), (TEXT, b""), (BINARY, b"x" * 70_000)]


async def test_frames_that_came_with_the_handshake_are_not_lost(nursery: trio.Nursery) -> None:
    heard = Heard()
    client = await visit(nursery, heard)

    await client.upgrade(then=frame(TEXT, b"early") + frame(CLOSE, closing(1000)))

    assert await heard.over() == (1000, "")
    assert heard.messages == ["early"]


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(b"x, headrace.v1", "headrace.v1"), (b"headrace.v2, headrace.v1", "headrace.v2"), (b"x", None), (None, None)],
)
async def test_the_first_of_ours_that_is_offered_is_agreed(
    offered: bytes | None, agreed: str | None, nursery: trio.Nursery
) -> None:
    spoken = []

    async def handler(websocket: WebSocket) -> None:
        spoken.append(websocket.subprotocol)

    client = await visit(nursery, handler, subprotocols=["headrace.v2", "headrace.v1"])
    head = await client.upgrade(*([b"Sec-WebSocket-Protocol: " + offered] if offered else []))

    await trio.testing.wait_all_tasks_blocked()

    assert head.startswith(b"HTTP/1.1 101 ")
    chosen = head.partition(b"Sec-WebSocket-Protocol: ")[2].partition(b"\r\n")[0].decode()
    assert chosen == (agreed or "")
    assert spoken == [agreed]


async def test_a_message_in_several_frames_is_one_message(nursery: trio.Nursery) -> None:
    heard = Heard()
    client = await visit(nursery, heard)
    await client.upgrade()
    euro = "€".encode()

    await client.say(frame(TEXT, b"a" + euro[:1], fin=False) + frame(PING, b"!") + frame(0, euro[1:], fin=False))
    await client.say(frame(0, b"z") + frame(BINARY, b"1", fin=False) + frame(0, b"2") + frame(CLOSE))

    assert await heard.over() == (1005, "")
    assert heard.messages == ["a€z", b"12"]
    assert await client.hear() == (PONG, b"!")


async def test_pings_are_answered_while_the_application_is_busy(nursery: trio.Nursery) -> None:
    client = await visit(nursery, sleep)
    await client.upgrade()

    await client.say(frame(TEXT, b"unread") * 200 + frame(PING, b"there?"))

    assert await client.hear() == (PONG, b"there?")


@pytest.mark.parametrize("bounds", [Bounds(messages=2), Bounds(messages=10_000, waiting=8)], ids=["messages", "bytes"])
async def test_a_full_buffer_stops_the_reading_until_there_is_room(bounds: Bounds, nursery: trio.Nursery) -> None:
    go = trio.Event()
    heard = Heard()

    async def late(websocket: WebSocket) -> None:
        await go.wait()
        await heard(websocket)

    client = await visit(nursery, late, bounds=bounds)
    await client.upgrade()
    sent = b"".join(frame(TEXT, b"%04d" % n) for n in range(20))

    await client.say(sent + frame(PING, b"last") + frame(CLOSE, closing(1000)))
    await trio.testing.wait_all_tasks_blocked()
    go.set()

    assert await heard.over() == (1000, "")
    assert heard.messages == [f"{n:04}" for n in range(20)]
    assert await client.hear() == (PONG, b"last")


async def test_what_is_already_there_can_be_had_without_waiting(nursery: trio.Nursery) -> None:
    drained: list[Sequence[str | bytes | None]] = []
    done = trio.Event()

    async def handler(websocket: WebSocket) -> None:
        first = await websocket.receive()
        await trio.testing.wait_all_tasks_blocked()
        drained.append([first, *(websocket.receive_nowait() for _ in range(3))])
        with pytest.raises(Closed):
            await websocket.receive()
        drained.append([websocket.receive_nowait()])
        done.set()

    client = await visit(nursery, handler)
    await client.upgrade(then=frame(TEXT, b"1") + frame(TEXT, b"2") + frame(TEXT, b"3"))
    await client.say(frame(CLOSE))
    assert await client.hear() == (CLOSE, b"")
    assert await client.hear() is None
    await done.wait()

    assert drained == [["1", "2", "3", None], [None]]


@pytest.mark.parametrize(
    "large",
    [
        frame(BINARY, b"x" * 101),
        frame(TEXT, "é".encode() * 51),
        frame(TEXT, b"x" * 60, fin=False) + frame(0, b"x" * 60),
        frame(BINARY, b"x" * 5_000_000),
    ],
    ids=["bytes", "text is counted in bytes", "fragments", "much too large"],
)
async def test_a_message_too_large_ends_it_with_4413_after_those_before(large: bytes, nursery: trio.Nursery) -> None:
    heard = Heard()
    client = await visit(nursery, heard, bounds=Bounds(max_message=100))
    await client.upgrade()

    await client.say(frame(TEXT, b"x" * 100) + large + frame(TEXT, b"after"))

    assert await client.hear() == (CLOSE, closing(4413, "a message is larger than 100 bytes"))
    await client.say(frame(CLOSE, closing(4413)))
    assert await heard.over() == (4413, "a message is larger than 100 bytes")
    assert heard.messages == ["x" * 100]
    assert await client.hear() is None


async def test_what_came_before_the_close_is_still_received(nursery: trio.Nursery) -> None:
    ends: list[object] = []
    done = trio.Event()

    async def handler(websocket: WebSocket) -> None:
        await trio.testing.wait_all_tasks_blocked()
        ends.append(websocket.closed_code)
        ends.append(await websocket.receive())
        with pytest.raises(Closed) as caught:
            await websocket.receive()
        ends.append(str(caught.value))
        with pytest.raises(Closed) as caught:
            await websocket.send("too late")
        ends.append(str(caught.value))
        done.set()

    client = await visit(nursery, handler)
    await client.upgrade(then=frame(TEXT, b"last words") + frame(CLOSE, closing(4999, "bye")))
    assert await client.hear() == (CLOSE, closing(4999, "bye"))
    await done.wait()

    assert ends == [4999, "last words", "closed with 4999: bye", "closed with 4999: bye"]


async def test_a_peer_that_just_goes_leaves_1006(nursery: trio.Nursery) -> None:
    heard = Heard()
    client = await visit(nursery, heard)
    await client.upgrade()

    await client.stream.aclose()

    assert await heard.over() == (1006, "")


async def test_our_close_tells_code_and_reason(nursery: trio.Nursery) -> None:
    codes = []

    async def handler(websocket: WebSocket) -> None:
        codes.append(websocket.closed_code)
        await websocket.close(4401, "unknown write key")
        codes.append(websocket.closed_code)
        with pytest.raises(Closed) as caught:
            await websocket.receive()
        codes.append(caught.value.code)

    client = await visit(nursery, handler)
    await client.upgrade()

    assert await client.hear() == (CLOSE, closing(4401, "unknown write key"))
    await client.say(frame(CLOSE, closing(4401)))
    assert await client.hear() is None
    await trio.testing.wait_all_tasks_blocked()
    assert codes == [None, 4401, 4401]


@pytest.mark.parametrize("bounds", [Bounds(), Bounds(messages=1), Bounds(waiting=1)])
async def test_our_close_does_not_wait_for_ever(
    bounds: Bounds, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    took = []

    async def handler(websocket: WebSocket) -> None:
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        await websocket.close(1001)
        took.append(trio.current_time() - start)

    client = await visit(nursery, handler, bounds=bounds)
    await client.upgrade(then=frame(TEXT, b"unread") * 10)
    await trio.sleep(60)

    assert took == [5.0]
    assert await client.hear() == (CLOSE, closing(1001))
    assert await client.hear() is None


async def test_a_ping_after_our_close_hurts_nobody(nursery: trio.Nursery) -> None:
    done = trio.Event()

    async def handler(websocket: WebSocket) -> None:
        await websocket.close(1001)
        done.set()

    client = await visit(nursery, handler)
    await client.upgrade()
    assert await client.hear() == (CLOSE, closing(1001))

    await client.say(frame(PING, b"still there?"))

    await done.wait()


async def test_a_peer_that_takes_nothing_is_given_up(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    ends = []

    async def handler(websocket: WebSocket) -> None:
        start = trio.current_time()
        with pytest.raises(Closed) as caught:
            await websocket.send(b"x" * 50_000_000)
        ends.append((str(caught.value), trio.current_time() - start, websocket.closed_code))

    client = await visit(nursery, handler)
    await client.upgrade()
    await trio.sleep(60)

    assert ends == [("closed with 1006: the peer took nothing for 30 s", 30.0, 1006)]


async def test_a_cancelled_send_ends_the_connection(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    ends = []

    async def handler(websocket: WebSocket) -> None:
        with trio.move_on_after(1):
            await websocket.send(b"x" * 50_000_000)
        with pytest.raises(Closed) as caught:
            await websocket.send("more")
        ends.append(str(caught.value))

    client = await visit(nursery, handler)
    await client.upgrade()
    await trio.sleep(60)

    assert ends == ["closed with 1006"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(TEXT, b"bare", masked=False), 1002),
        (frame(3, b"unknown opcode"), 1002),
        (frame(0, b"nothing to continue"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(PING, b"x" * 126), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(CLOSE, closing(1006)), 1002),
    ],
)
async def test_a_frame_that_is_none_is_told_so(bad: bytes, code: int, nursery: trio.Nursery) -> None:
    heard = Heard()
    client = await visit(nursery, heard)
    await client.upgrade()

    await client.say(frame(TEXT, b"good") + bad)

    told = await client.hear()
    assert told is not None
    assert (told[0], told[1][:2]) == (CLOSE, closing(code))
    assert (await heard.over())[0] == code
    assert heard.messages == ["good"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_a_handshake_that_is_none_is_refused(head: bytes, nursery: trio.Nursery) -> None:
    client = await visit(nursery, sleep)

    await client.say(head)

    reply = b""
    while data := await client.stream.receive_some():
        reply += data
    assert reply.startswith(b"HTTP/1.1 4")


async def test_many_tasks_may_send(nursery: trio.Nursery) -> None:
    async def handler(websocket: WebSocket) -> None:
        async with trio.open_nursery() as senders:
            for n in range(20):
                senders.start_soon(websocket.send, f"{n:05}" * 1000)

    client: Client = await visit(nursery, handler)
    await client.upgrade()

    heard = [await client.hear() for _ in range(20)]

    assert sorted(payload[:5] for _, payload in filter(None, heard)) == [b"%05d" % n for n in range(20)]
    assert math.isclose(sum(len(payload) for _, payload in filter(None, heard)), 20 * 5000)
