from __future__ import annotations

import io
import json
import sys

import pytest

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": "u1",
    "messageId": "m1",
    "properties": {"total": "3.5"},
}
TRUNCATED = """\
order.json: not JSON: Input data was truncated
    an event is one JSON object; headrace send sends files of many
"""


@pytest.fixture
def order(tmp_path):
    file = tmp_path / "order.json"
    file.write_text(json.dumps(ORDER))
    return file


def test_text_walks_from_the_event_to_the_request(headrace, shop, order):
    said = headrace("explain", "order.json")

    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "track 'Order Completed' by source shop\n"
        "contract: none\n"
        "\n"
        "sync orders\n"
        '  purchase  yes  event = "Order Completed"\n'
        "  → deliver as purchase\n"
        "    payload\n"
        "      {\n"
        '        "customer": "u1",\n'
        '        "total": 3.5\n'
        "      }\n"
        "    request\n"
        "      POST https://crm.example/orders\n"
        "      Content-Type: application/json\n"
        "      User-Agent: headrace/0.1.0\n"
        "      Authorization: Bearer ***\n"
        "      Idempotency-Key: 7ceee423a01710d4929c8a06d83a2aea\n"
        "\n"
        "      {\n"
        '        "customer": "u1",\n'
        '        "total": 3.5\n'
        "      }\n"
    )


def test_json_has_what_others_rely_on(headrace, shop, order):
    told = json.loads(headrace("explain", "order.json", "--json").out)

    (sync,) = told["syncs"]
    assert told["event"]["messageId"] == "m1"
    assert (told["source"], told["contract"]["name"]) == ("shop", None)
    assert {key: sync[key] for key in ("sync", "event_type", "fate", "reason", "payload")} == {
        "sync": "orders",
        "event_type": "purchase",
        "fate": "deliver",
        "reason": "",
        "payload": {"customer": "u1", "total": 3.5},
    }
    assert set(sync["request"]) == {"method", "url", "headers", "body"}
    assert sync["request"]["headers"]["Authorization"] == "Bearer ***"


def test_a_hyphen_reads_standard_input(headrace, shop, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(ORDER).encode())))

    assert headrace("explain", "-", "--json").code == 0


@pytest.mark.parametrize(
    ("text", "err"),
    [
        ("{", TRUNCATED),
        ("[1]", "order.json: an event is a JSON object, this is an array\n"),
        ("null", "order.json: an event is a JSON object, this is null\n"),
    ],
)
def test_what_is_no_event_is_told(headrace, shop, order, text, err):
    order.write_text(text)

    assert headrace("explain", "order.json") == (1, "", err)


def test_a_file_that_cannot_be_read_is_told(headrace, shop):
    assert headrace("explain", "nope.json") == (1, "", "cannot read nope.json: No such file or directory\n")


def test_a_source_that_is_not_there_is_told(headrace, shop, order):
    assert headrace("explain", "order.json", "--source", "shap") == (
        1,
        "",
        "no source 'shap': did you mean 'shop'?\n",
    )


def test_an_event_without_a_type_is_taken_as_track_takes_it(headrace, shop, order):
    whole = headrace("explain", "order.json", "--json")
    order.write_text(json.dumps({key: value for key, value in ORDER.items() if key != "type"}))

    said = headrace("explain", "order.json", "--json")

    assert said.err == "the event has no type: explained as POST /v1/track takes it, which adds type = track\n"
    assert [walk["payload"] for walk in json.loads(said.out)["syncs"]] == [
        walk["payload"] for walk in json.loads(whole.out)["syncs"]
    ]


def test_what_has_neither_type_nor_name_is_refused_in_words(headrace, shop, order):
    order.write_text('{"userId": "u1"}')

    assert headrace("explain", "order.json").out.startswith(
        "an event without a type by source shop\ndoor: refused, type_missing: the event has no 'type'\n"
    )
