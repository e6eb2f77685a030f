from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest

from actors.receiver.frames import Frame, read
from engine.errors import ProtocolError
from engine.lang.envelope import Refusal

ONE = {"type": "track", "event": "x", "userId": "u1"}
TWO = {"type": "page", "userId": "u2", "properties": {"n": 1.5, "deep": [None, True, "é"]}}


def as_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def events(frame: Frame) -> list[Any]:
    return [item if isinstance(item, Refusal) else msgspec.json.decode(item) for item in frame.items]


@pytest.mark.parametrize("encode", [as_text, msgspec.msgpack.encode], ids=["json", "messagepack"])
@pytest.mark.parametrize(
    ("value", "want"),
    [
        (ONE, [ONE]),
        ([ONE, TWO], [ONE, TWO]),
        ([ONE] * 20, [ONE] * 20),
        ([ONE] * 300, [ONE] * 300),
        ([], []),
        ({"batch": [ONE, TWO]}, [ONE, TWO]),
        ({"batch": []}, []),
        ({**ONE, "batch": [TWO]}, [{**ONE, "batch": [TWO]}]),
        ({**ONE, "properties": {"batch": [TWO]}}, [{**ONE, "properties": {"batch": [TWO]}}]),
        ({**TWO, **{f"k{n}": n for n in range(20)}}, [{**TWO, **{f"k{n}": n for n in range(20)}}]),
    ],
    ids=["one", "two", "twenty", "three hundred", "none", "batch", "empty batch", "an event with a batch",
         "a batch further down", "a big map"],
)  # fmt: skip
def test_every_form_of_frame_is_split(encode: Any, value: Any, want: list[Any]) -> None:
    assert events(read(encode(value))) == want


@pytest.mark.parametrize("encode", [as_text, msgspec.msgpack.encode], ids=["json", "messagepack"])
def test_what_a_batch_says_of_all_goes_with_the_frame(encode: Any) -> None:
    batch = {"batch": [ONE], "sentAt": "2026-11-23T10:00:00Z", "context": {"app": 1}, "integrations": {"All": True}}

    frame = read(encode(batch), ip="1.2.3.4")

    assert (frame.sent_at, frame.context, frame.integrations, frame.ip) == (
        "2026-11-23T10:00:00Z", {"app": 1}, {"All": True}, "1.2.3.4",
    )  # fmt: skip


def test_the_bytes_of_a_json_event_are_kept_as_they_came() -> None:
    assert read('[ {"a": 1.50 } ,{"b":"\\u00e9"}]').items == (b'{"a": 1.50 }', b'{"b":"\\u00e9"}')
    assert read(' {"a": 1}\n').items == (b' {"a": 1}\n',)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("", "the frame does not parse: Input data was truncated"),
        ("hello", "the frame does not parse: JSON is malformed: invalid character (byte 0)"),
        ('{"a":', "the frame does not parse: Input data was truncated"),
        ('{"a":NaN}', "the frame does not parse: JSON is malformed: invalid character (byte 5)"),
        ('{"a":1}{"b":2}', "the frame does not parse: JSON is malformed: trailing characters (byte 8)"),
        ("17", "the frame is not an object or an array"),
        ('"x"', "the frame is not an object or an array"),
        ('{"batch":5}', "the frame does not parse: Expected `array`, got `int`"),
        (b"", "the frame is not an object or an array"),
        (b"\xc1", "the frame is not an object or an array"),
        (b"\x92\x80", "the frame does not parse: Input data was truncated"),
        (msgspec.msgpack.encode("x"), "the frame is not an object or an array"),
    ],
)
def test_a_frame_that_does_not_parse_is_a_fault(frame: str | bytes, text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(frame)

    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"n": float("nan")}, "the number nan"),
        ({"n": [{"m": float("-inf")}]}, "the number -inf"),
        ({1: 2}, "a key of type int"),
        ({"b": b"x"}, "a value of type bytes"),
        ({"t": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, "a value of type datetime"),
        ({"e": msgspec.msgpack.Ext(5, b"x")}, "a value of type Ext"),
    ],
)
def test_what_json_cannot_say_is_refused_alone(value: Any, what: str) -> None:
    frame = read(msgspec.msgpack.encode([ONE, value, TWO]))

    assert events(frame) == [ONE, Refusal(code="bad_request", message=f"JSON cannot say {what}"), TWO]


def test_text_that_is_not_utf8_is_refused_alone() -> None:
    packed = b"\x92" + msgspec.msgpack.encode(ONE) + b"\x81\xa1a\xa1\xff"

    first, second = events(read(packed))

    assert first == ONE
    assert second.code == "bad_request"


def test_nesting_beyond_any_use_is_a_fault_not_a_crash() -> None:
    with pytest.raises(ProtocolError):
        read("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ProtocolError):
        read(b"\x91" * 100_000 + b"\xc0")


def test_a_message_pack_event_that_is_too_deep_is_refused_alone() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = [deep]

    frame = read(msgspec.msgpack.encode([ONE, {"a": deep}]))

    assert events(frame)[1] == Refusal(code="bad_request", message="JSON cannot say what is nested deeper than 100")
