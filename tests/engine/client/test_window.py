from __future__ import annotations

import msgspec
import pytest

from engine.client.window import Refusal, Window
from engine.errors import ProtocolError
from engine.wire import Ack, Ready, Refused

NOW = "2026-11-23T10:00:00.000Z"


def opened(buffer: int = 10, **limits: int) -> Window:
    window = Window(buffer)
    window.opened(Ready(source="shop", **limits))
    return window


def put(window: Window, *names: str) -> None:
    for name in names:
        window.put(b'"%b"' % name.encode(), name)


def sent(window: Window) -> list[str] | None:
    frame = window.frame(NOW)
    return None if frame is None else msgspec.json.decode(frame)["batch"]


def test_a_frame_is_a_batch_with_the_time_it_left() -> None:
    window = opened()
    put(window, "a", "b")

    assert window.frame(NOW) == f'{{"sentAt":"{NOW}","batch":["a","b"]}}'
    assert window.frame(NOW) is None


def test_nothing_is_sent_before_the_receiver_is_ready() -> None:
    window = Window(10)
    put(window, "a")

    assert window.frame(NOW) is None


def test_a_frame_holds_at_most_a_hundred_events() -> None:
    window = opened(buffer=1000)
    put(window, *map(str, range(150)))

    assert len(sent(window) or []) == 100
    assert len(sent(window) or []) == 50


def test_a_frame_stays_below_the_receivers_limit() -> None:
    window = opened(max_frame=300, max_event=200)
    put(window, *["x" * 98] * 3)

    frames = [window.frame(NOW) for _ in range(4)]

    assert [len(frame) for frame in frames if frame is not None] == [249, 148]


def test_no_more_than_the_window_flies() -> None:
    window = opened(window=3)
    put(window, "a", "b", "c", "d", "e")

    assert sent(window) == ["a", "b", "c"]
    assert sent(window) is None
    window.ack(Ack(upto=1))
    assert sent(window) == ["d"]


def test_an_ack_lets_go_and_makes_room() -> None:
    window = opened(buffer=2)
    put(window, "a", "b")
    sent(window)

    assert window.room == 0
    assert window.ack(Ack(upto=2)) == []
    assert (window.room, window.acked, window.waiting, window.flying) == (2, 2, 0, 0)


def test_a_refused_event_comes_back_with_the_reason() -> None:
    window = opened()
    window.put(b'{"a":1}', "m1", tag=17)
    put(window, "b")
    sent(window)

    refusals = window.ack(Ack(upto=2, refused=(Refused(n=1, message_id="m1", code="id_required", message="no id"),)))

    assert refusals == [Refusal(message_id="m1", code="id_required", message="no id", event=b'{"a":1}', tag=17)]
    assert (window.acked, window.refused) == (1, 1)


def test_what_flew_is_sent_again_first_and_in_order() -> None:
    window = opened()
    put(window, "a", "b", "c")
    sent(window)
    window.ack(Ack(upto=1))
    put(window, "d")

    window.lost()
    assert window.left() == (b'"b"', b'"c"', b'"d"')
    window.opened(Ready(source="shop"))

    assert sent(window) == ["b", "c", "d"]
    assert (window.sent, window.resent) == (4, 2)
    assert window.ack(Ack(upto=3)) == []
    assert window.acked == 4


@pytest.mark.parametrize("upto", [3, -1])
def test_an_ack_of_what_was_not_sent_is_a_fault(upto: int) -> None:
    window = opened()
    put(window, "a", "b")
    sent(window)

    with pytest.raises(ProtocolError) as caught:
        window.ack(Ack(upto=upto))

    assert str(caught.value) == f"the receiver acknowledged {upto}, 1 to 2 were sent"


def test_an_event_that_is_too_large_is_taken_out_alone() -> None:
    window = opened(max_event=10)
    put(window, "x" * 20, "b")

    assert window.frame(NOW) is None
    refusal = window.too_large()

    assert refusal is not None
    assert (refusal.code, refusal.message) == ("too_large", "the event has 22 bytes, 10 are allowed")
    assert window.too_large() is None
    assert sent(window) == ["b"]
