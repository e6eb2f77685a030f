from __future__ import annotations

from collections import Counter
from pathlib import Path

from engine.lang.envelope import check
from examples.make_session import lines, session

FILE = Path(__file__).resolve().parents[2] / "examples" / "session.ndjson"


def test_the_same_seed_makes_the_file_byte_for_byte():
    assert "".join(lines()).encode() == FILE.read_bytes()


def test_the_door_takes_every_event():
    assert [refusal for event in session() if (refusal := check(event))] == []


def test_one_event_is_sent_twice():
    ids = Counter(event["messageId"] for event in session())

    assert [count for count in ids.values() if count > 1] == [2]


def test_it_speaks_the_vocabulary_of_e_commerce():
    assert {event["event"] for event in session() if event["type"] == "track"} == {
        "Cart Viewed",
        "Checkout Started",
        "Demo Requested",
        "Newsletter Subscribed",
        "Order Completed",
        "Order Refunded",
        "Payment Info Entered",
        "Product Added",
        "Product List Viewed",
        "Product Viewed",
        "Signed Up",
    }
