from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing

from engine import wire
from engine.client import Client, ClientError, Refusal, connect
from engine.runtime.clock import TrioClock
from tests.support.receiving import Ear, Part, Receiving

EVENT = {"type": "track", "event": "x", "userId": "u1", "messageId": "m1"}


async def receiving(nursery: trio.Nursery, *parts: Part) -> Receiving:
    receiver: Receiving = await nursery.start(Receiving(parts).serve)
    return receiver


def client(url: str, **options: object) -> Client:
    return connect(url, "K1", roll=lambda: 0.5, **options)  # type: ignore[arg-type]


async def greedy(ear: Ear) -> None:
    """Acknowledge everything at once."""
    await ear.ready()
    while True:
        await ear.hear(1)
        await ear.ack()


async def test_events_arrive_and_flush_waits_for_their_acks(nursery: trio.Nursery) -> None:
    heard: list[dict[str, object]] = []
    heads: list[bytes] = []

    async def part(ear: Ear) -> None:
        heads.append(ear.head)
        await ear.ready()
        heard.extend(await ear.hear(3))
        await ear.ack()
        await trio.sleep_forever()

    receiver = await receiving(nursery, part)
    async with client(receiver.url) as events:
        assert await events.opened() == "shop"
        await events.send(EVENT)
        await events.send(b'{"type":"page","userId":"u2"}')
        await events.track("u3", "Order Completed", {"total": 5}, context={"ip": "1.2.3.4"})
        await events.flush()
        numbers = events.statistics()

    assert [event["userId"] for event in heard] == ["u1", "u2", "u3"]
    assert heard[0] == EVENT
    assert len(str(heard[1]["messageId"])) == 36
    assert heard[2]["event"] == "Order Completed"
    assert heard[2]["context"] == {"ip": "1.2.3.4"}
    assert str(heard[2]["timestamp"]).endswith("Z")
    assert (numbers.sent, numbers.acked, numbers.flying, numbers.waiting) == (3, 3, 0, 0)
    assert b"authorization: bearer k1\r\n" in heads[0].lower()
    assert b"GET /v1/stream HTTP/1.1" in heads[0]


async def test_what_was_not_acknowledged_is_sent_again_with_the_same_ids(nursery: trio.Nursery) -> None:
    first: list[dict[str, object]] = []
    second: list[dict[str, object]] = []

    async def dies(ear: Ear) -> None:
        await ear.ready()
        first.extend(await ear.hear(3))
        await ear.ack(1)
        await ear.socket.receive()

    async def goes_on(ear: Ear) -> None:
        await ear.ready()
        second.extend(await ear.hear(3))
        await ear.ack()
        await trio.sleep_forever()

    async def hangs_up(ear: Ear) -> None:
        """End without a word, as a killed process does."""
        with trio.move_on_after(0.05):
            await dies(ear)

    receiver = await receiving(nursery, hangs_up, goes_on)
    async with client(receiver.url) as events:
        for user in ("u1", "u2", "u3"):
            await events.send({"type": "track", "event": "x", "userId": user})
        while receiver.connections < 2:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await events.send({"type": "track", "event": "x", "userId": "u4"})
        await events.flush()
        numbers = events.statistics()

    assert [event["userId"] for event in second] == ["u2", "u3", "u4"]
    assert [event["messageId"] for event in second[:2]] == [event["messageId"] for event in first[1:]]
    assert (numbers.sent, numbers.acked, numbers.resent, numbers.reconnects) == (4, 4, 2, 1)


async def test_a_refused_event_is_told_and_not_sent_again(nursery: trio.Nursery) -> None:
    told: list[Refusal] = []

    async def part(ear: Ear) -> None:
        await ear.ready()
        await ear.hear(1)
        await ear.ack(1, wire.Refused(n=1, message_id="m1", code="id_required", message="no id"))
        await trio.sleep_forever()

    receiver = await receiving(nursery, part)
    async with client(receiver.url, on_refused=told.append) as events:
        await events.send(EVENT, tag=7)
        await events.flush()

    want = Refusal(message_id="m1", code="id_required", message="no id", event=msgspec.json.encode(EVENT), tag=7)
    assert told == list(events.refusals) == [want]
    assert events.undelivered == ()


async def test_the_receivers_window_is_kept(nursery: trio.Nursery) -> None:
    async def part(ear: Ear) -> None:
        await ear.ready(window=2)
        assert len(await ear.hear(2)) == 2
        with trio.move_on_after(0.05) as scope:
            await ear.hear(1)
        assert scope.cancelled_caught
        await ear.ack()
        await greedy_on(ear)

    async def greedy_on(ear: Ear) -> None:
        while True:
            await ear.hear(1)
            await ear.ack()

    receiver = await receiving(nursery, part)
    async with client(receiver.url) as events:
        for number in range(5):
            await events.send({**EVENT, "messageId": f"m{number}"})
        await events.flush()

    assert events.statistics().acked == 5
    assert receiver.connections == 1


async def test_a_full_buffer_makes_send_wait(nursery: trio.Nursery) -> None:
    go = trio.Event()

    async def part(ear: Ear) -> None:
        await ear.ready()
        await ear.hear(2)
        await go.wait()
        await ear.ack()
        await ear.hear(1)
        await ear.ack()
        await trio.sleep_forever()

    receiver = await receiving(nursery, part)
    async with client(receiver.url, buffer=2) as events:
        await events.send({**EVENT, "messageId": "m1"})
        await events.send({**EVENT, "messageId": "m2"})
        with trio.move_on_after(0.05) as scope:
            await events.send({**EVENT, "messageId": "m3"})
        assert scope.cancelled_caught
        go.set()
        await events.send({**EVENT, "messageId": "m4"})
        await events.flush()

    assert events.statistics().acked == 3


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (wire.KEY, "the receiver does not know the write key: no"),
        (wire.PROTOCOL, "the receiver could not read a frame: no"),
        (wire.TOO_LARGE, "the receiver found a frame too large: no"),
    ],
)
async def test_a_close_that_trying_again_cannot_help_is_an_error(nursery: trio.Nursery, code: int, text: str) -> None:
    async def part(ear: Ear) -> None:
        await ear.socket.close(code, "no")

    receiver = await receiving(nursery, part)
    async with client(receiver.url) as events:
        await events.send(EVENT)
        with pytest.raises(ClientError) as caught:
            await events.flush()
        with pytest.raises(ClientError):
            await events.send(EVENT)
        with pytest.raises(ClientError):
            await events.opened()

    assert str(caught.value) == text
    assert events.undelivered == (msgspec.json.encode(EVENT),)
    assert receiver.connections == 1


@pytest.mark.parametrize(("code", "least"), [(wire.DRAINING, 0.0), (wire.FAILED, 0.0), (wire.QUOTA, 30.0)])
async def test_after_other_closes_it_connects_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, code: int, least: float
) -> None:
    autojump_clock.autojump_threshold = 0.03  # jump when nothing has come over the loopback for so long
    ended: list[float] = []

    async def part(ear: Ear) -> None:
        await ear.ready()
        ended.append(trio.current_time())
        await ear.socket.close(code)

    async def again(ear: Ear) -> None:
        ended.append(trio.current_time())
        await greedy(ear)

    receiver = await receiving(nursery, part, again)
    async with client(receiver.url, clock=TrioClock(1e9)) as events:
        await events.send(EVENT)
        await events.flush()

    assert least <= ended[1] - ended[0] < least + 1.0
    assert events.statistics().reconnects == 1


async def test_aclose_returns_what_was_not_delivered(nursery: trio.Nursery) -> None:
    async def part(ear: Ear) -> None:
        await ear.ready()
        await ear.hear(1)
        await trio.sleep_forever()

    receiver = await receiving(nursery, part)
    async with client(receiver.url) as events:
        await events.send(EVENT)

        assert await events.aclose(0.05) == (msgspec.json.encode(EVENT),)

        with pytest.raises(ClientError) as caught:
            await events.send(EVENT)
    assert str(caught.value) == "the client is closed"


async def test_without_a_receiver_events_wait(nursery: trio.Nursery) -> None:
    receiver = await receiving(nursery)
    async with client(receiver.url) as events:
        await events.send(EVENT)
        with trio.move_on_after(0.3):
            await events.flush()
        trouble = events.trouble
        await events.aclose(0.0)

    assert receiver.connections > 1
    assert trouble == "127.0.0.1 closed the connection during the handshake"
    assert events.undelivered == (msgspec.json.encode(EVENT),)


async def test_an_error_in_the_block_leaves_as_itself(nursery: trio.Nursery) -> None:
    receiver = await receiving(nursery, greedy)

    async def block() -> None:
        async with client(receiver.url) as events:
            await events.opened()
            raise KeyError("x")

    with pytest.raises(KeyError):
        await block()


async def test_cancelling_the_block_ends_it(nursery: trio.Nursery) -> None:
    receiver = await receiving(nursery, greedy)
    with trio.move_on_after(0.1) as scope:
        async with client(receiver.url) as events:
            await events.opened()
            await trio.sleep_forever()

    assert scope.cancelled_caught


@pytest.mark.parametrize("event", [b"[]", b"{", "nope", b'"x"'])
async def test_what_is_no_event_is_not_sent(event: bytes | str) -> None:
    async with client("ws://127.0.0.1:9") as events:
        with pytest.raises(ValueError, match=r"^not a JSON object: "):
            await events.send(event)
        await events.aclose(0.0)
