from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.lang.dates import parse_time
from engine.lang.envelope import CALLS, Refusal, check, normalise
from engine.messages import Envelope

RECEIVED = "2026-11-23T02:46:20.000Z"
RECEIVED_AT = 1795401980.0


def envelope(**parts: Any) -> Envelope:
    return Envelope(**{"message_id": "m1", "received_at": RECEIVED_AT, **parts})


@pytest.mark.parametrize(
    "event",
    [
        {"type": "track", "event": "A", "userId": "u"},
        {"type": "track", "event": "A", "anonymousId": "a", "properties": None, "userId": None},
        {"type": "track", "event": "A", "userId": 17},
        {"type": "identify", "userId": "u", "traits": {}},
        {"type": "page", "anonymousId": "a", "name": None},
        {"type": "screen", "anonymousId": "a", "name": "Home", "category": "x"},
        {"type": "group", "groupId": "g"},
        {"type": "alias", "previousId": "p"},
        {"type": "track", "event": "A", "userId": "u", "messageId": "x" * 100},
        {"type": "track", "event": "A", "userId": "u", "messageId": 5},
    ],
)
def test_what_can_be_used_is_accepted(event):
    assert check(event) is None


@pytest.mark.parametrize(
    ("event", "code", "message"),
    [
        ({}, "type_missing", "the event has no 'type'"),
        ({"type": "merge"}, "type_unknown", "'type' is none of alias, group, identify, page, screen, track"),
        ({"type": ["track"]}, "type_unknown", "'type' is none of alias, group, identify, page, screen, track"),
        ({"type": "track"}, "event_not_defined", "a track call needs 'event', the event's name"),
        ({"type": "track", "event": ""}, "event_not_defined", "a track call needs 'event', the event's name"),
        ({"type": "track", "event": 3}, "event_not_string", "'event' is not a string"),
        ({"type": "page", "name": 3}, "name_not_string", "'name' is not a string"),
        ({"type": "screen", "category": []}, "category_not_string", "'category' is not a string"),
        ({"type": "identify", "properties": "x"}, "properties_not_object", "'properties' is not an object"),
        ({"type": "identify", "traits": []}, "traits_not_object", "'traits' is not an object"),
        ({"type": "identify", "context": "x"}, "context_not_object", "'context' is not an object"),
        ({"type": "identify", "integrations": []}, "integrations_not_object", "'integrations' is not an object"),
        ({"type": "identify", "userId": True}, "id_not_string", "'userId' is not a string"),
        ({"type": "identify", "userId": "u", "groupId": {}}, "id_not_string", "'groupId' is not a string"),
        (
            {"type": "identify", "userId": "", "anonymousId": None},
            "id_required",
            "one of userId, anonymousId, groupId, previousId is needed",
        ),
        (
            {"type": "identify", "messageId": "x" * 101},
            "message_id_too_long",
            "'messageId' has more than 100 characters",
        ),
        ({"type": "identify", "messageId": {}}, "message_id_not_string", "'messageId' is not a string"),
        ([], "bad_request", "the event is not an object"),
    ],
)
def test_what_can_never_be_used_is_refused_by_name(event, code, message):
    assert check(event) == Refusal(code=code, message=message)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"type": "track", "userId": None, "anonymousId": "a"}, {"type": "track", "anonymousId": "a"}),
        ({"type": "track", "userId": 17}, {"type": "track", "userId": "17"}),
        ({"type": "track", "userId": 17.0}, {"type": "track", "userId": "17"}),
        ({"type": "track", "userId": "u", "messageId": 5}, {"type": "track", "userId": "u"}),
        ({"type": "track", "writeKey": "secret", "_metadata": {}}, {"type": "track", "_metadata": {}}),
        ({"type": "track", "odd": [1]}, {"type": "track", "odd": [1]}),
        ({"type": "identify", "traits": {"a": 1}}, {"type": "identify", "traits": {"a": 1}}),
        (
            {"type": "identify", "context": {"traits": {"a": 1}}},
            {"type": "identify", "traits": {"a": 1}, "context": {"traits": {"a": 1}}},
        ),
        (
            {"type": "identify", "traits": {"a": 1}, "context": {"traits": {"a": 2}}},
            {"type": "identify", "traits": {"a": 1}, "context": {"traits": {"a": 2}}},
        ),
        ({"type": "group", "context": {"traits": {"a": 1}}}, {"type": "group", "context": {"traits": {"a": 1}}}),
        ({"type": "identify", "context": None}, {"type": "identify", "context": None}),
    ],
)
def test_an_event_is_brought_into_one_shape(event, expected):
    before = copy.deepcopy(event)
    body = normalise(event, envelope())
    times = dict.fromkeys(("timestamp", "originalTimestamp", "sentAt", "receivedAt"), RECEIVED)

    assert body == {**expected, "messageId": "m1", **times}
    assert event == before


def test_the_batch_stands_under_the_event():
    event = {"type": "track", "context": {"locale": "de"}, "integrations": {"All": True}}
    found = normalise(
        event, envelope(context={"locale": "en", "app": "x"}, integrations={"All": False, "B": 1}, ip="10.0.0.1")
    )

    assert found["context"] == {"locale": "de", "app": "x", "ip": "10.0.0.1"}
    assert found["integrations"] == {"All": True, "B": 1}
    assert event == {"type": "track", "context": {"locale": "de"}, "integrations": {"All": True}}


@pytest.mark.parametrize(
    ("context", "ip", "expected"),
    [
        (None, "10.0.0.1", {"ip": "10.0.0.1"}),
        ({"ip": None}, "10.0.0.1", {"ip": "10.0.0.1"}),
        ({"ip": "1.1.1.1"}, "10.0.0.1", {"ip": "1.1.1.1"}),
        ({}, None, {}),
    ],
)
def test_the_address_is_filled_in_only_when_the_event_has_none(context, ip, expected):
    assert normalise({"type": "page", "context": context}, envelope(ip=ip))["context"] == expected


@pytest.mark.parametrize(
    ("event", "sent_at", "timestamp", "original", "sent"),
    [
        # sent 5 s after it happened, by a clock that is an hour late
        (
            {"timestamp": "2026-11-23T01:46:05.000Z", "sentAt": "2026-11-23T01:46:10.000Z"},
            None,
            "2026-11-23T02:46:15.000Z",
            "2026-11-23T01:46:05.000Z",
            "2026-11-23T01:46:10.000Z",
        ),
        (
            {"originalTimestamp": "2026-11-23T01:46:05Z", "timestamp": "2020-01-01T00:00:00Z"},
            "2026-11-23T01:46:10.677473+00:00",
            "2020-01-01T00:00:00.000Z",
            "2026-11-23T01:46:05.000Z",
            "2026-11-23T01:46:10.677Z",
        ),
        (
            {"timestamp": "2026-11-23T03:46:05+02:00", "sentAt": "2026-11-23 01:46:10"},
            None,
            "2026-11-23T02:46:15.000Z",
            "2026-11-23T01:46:05.000Z",
            "2026-11-23T01:46:10.000Z",
        ),
        ({"timestamp": "2020-01-01T00:00:00Z"}, None, "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z", RECEIVED),
        ({"timestamp": 1577836800000}, None, "2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z", RECEIVED),
        (
            {"sentAt": "2026-11-23T01:46:10.000Z"},
            None,
            RECEIVED,
            "2026-11-23T01:46:10.000Z",
            "2026-11-23T01:46:10.000Z",
        ),
        ({"timestamp": "soon", "sentAt": []}, "later", RECEIVED, RECEIVED, RECEIVED),
        (
            {"timestamp": "9999-12-31T00:00:00.000Z", "sentAt": "0001-01-01T00:00:00.000Z"},
            None,
            RECEIVED,
            "9999-12-31T00:00:00.000Z",
            "0001-01-01T00:00:00.000Z",
        ),
    ],
)
def test_a_timestamp_is_freed_of_the_client_s_clock(event, sent_at, timestamp, original, sent):
    found = normalise({"type": "track", **event}, envelope(sent_at=sent_at))

    assert [found["timestamp"], found["originalTimestamp"], found["sentAt"], found["receivedAt"]] == [
        *[timestamp, original, sent, RECEIVED],
    ]


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just([]) | st.just({"a": 1})
)
FIELDS = [
    "event",
    "userId",
    "anonymousId",
    "traits",
    "context",
    "integrations",
    "timestamp",
    "sentAt",
    "messageId",
    "name",
]


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES), st.sampled_from(sorted(CALLS)))
def test_whatever_is_accepted_can_be_normalised(fields, kind):
    event = {**fields, "type": kind}
    if check(event) is not None:
        return
    body = normalise(event, envelope(context={"a": 1}, ip="10.0.0.1"))

    assert all(isinstance(body.get(name, ""), str) for name in ("userId", "anonymousId", "messageId"))
    assert parse_time(body["timestamp"]) is not None
    assert normalise(event, envelope(context={"a": 1}, ip="10.0.0.1")) == body
