from __future__ import annotations

import functools
import io
import json
import re
import sys

import pytest
import trio
from cyclopts import Token

from engine.cli.send import rate_of
from engine.wire import Refused
from tests.support.receiving import Ear, Receiving

EVENTS = [{"type": "page", "userId": f"u{number}", "messageId": f"m{number}"} for number in range(3)]


async def all_but_the_second(ear: Ear) -> None:
    await ear.ready()
    await ear.hear(3)
    await ear.ack(None, Refused(n=2, message_id="m1", code="id_required", message="an id is needed"))
    await trio.sleep_forever()


async def everything(ear: Ear) -> None:
    await ear.ready()
    while True:
        await ear.hear(1)
        await ear.ack()


@pytest.fixture
def sending(nursery, headrace):
    """Return what runs ``headrace send`` in a thread, against a receiver that plays a part."""

    async def send(part, *argv: str):
        receiver = await nursery.start(Receiving([part]).serve)
        return await trio.to_thread.run_sync(
            functools.partial(headrace, "send", *argv, "--url", receiver.url, "--key", "K1")
        )

    return send


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "events.ndjson"
    file.write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    return file


def timeless(text: str) -> str:
    return re.sub(r"in [0-9.]+ s \([0-9,]+/s\)", "in T s (R/s)", text)


async def test_one_line_says_that_all_are_durable(sending, events):
    said = await sending(everything, "events.ndjson")

    assert (said.code, timeless(said.out), said.err) == (0, "3 events in T s (R/s): 3 acknowledged\n", "")


async def test_what_is_refused_or_no_json_is_told_with_its_line_and_exits_1(sending, events):
    events.write_text(events.read_text() + "\n{oops\n")

    said = await sending(all_but_the_second, "events.ndjson")

    assert said.code == 1
    assert timeless(said.out) == "4 events in T s (R/s): 2 acknowledged, 1 refused, 1 not JSON\n"
    assert sorted(said.err.splitlines()) == [
        "events.ndjson:2: refused (id_required): an id is needed",
        "events.ndjson:5: not a JSON object: JSON is malformed: object keys must be strings (byte 1)",
    ]


async def test_json_sums_up(sending, events):
    said = await sending(everything, "events.ndjson", "--json", "--rate", "1000/s")
    summary = json.loads(said.out)

    assert summary.pop("seconds") > 0
    assert summary == {"file": "events.ndjson", "read": 3, "bad": 0, "refused": 0, "acked": 3, "resent": 0}


async def test_a_hyphen_reads_standard_input(sending, events, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(events.read_bytes()))))

    assert timeless((await sending(everything, "-")).out) == "3 events in T s (R/s): 3 acknowledged\n"


async def test_receiver_and_key_are_those_of_the_configuration(nursery, headrace, shop, events, monkeypatch):
    heads: list[bytes] = []

    async def part(ear: Ear) -> None:
        heads.append(ear.head)
        await everything(ear)

    receiver = await nursery.start(Receiving([part]).serve)
    shop.write_text(f'[receiver]\nlisten = "127.0.0.1:{receiver.port}"\n' + shop.read_text())
    monkeypatch.setenv("SHOP_KEY", "from-the-environment")
    monkeypatch.setenv("CRM_TOKEN", "t")

    said = await trio.to_thread.run_sync(headrace, "send", "events.ndjson")

    assert said.code == 0
    assert b"Bearer from-the-environment" in heads[0]


def test_a_file_that_is_not_there_is_told(headrace):
    said = headrace("send", "nope.ndjson", "--url", "ws://127.0.0.1:1", "--key", "K1")

    assert said == (1, "", "cannot read nope.ndjson: No such file or directory\n")


def test_a_receiver_on_any_free_port_must_be_named(headrace, shop, events):
    shop.write_text('[receiver]\nlisten = "127.0.0.1:0"\n' + shop.read_text())

    assert headrace("send", "events.ndjson", "--key", "K1") == (
        1,
        "",
        "config.toml: the receiver takes any free port\n    say which with --url\n",
    )


def test_no_connection_at_all_is_refused(headrace, events):
    said = headrace("send", "events.ndjson", "--url", "ws://x", "--key", "k", "--connections", "0")

    assert said == (1, "", "--connections 0: at least 1 is needed\n")


@pytest.mark.parametrize(("text", "rate"), [("100/s", 100.0), ("300/m", 5.0), ("25", 25.0)])
def test_a_rate_is_written_as_in_the_configuration(text, rate):
    assert rate_of(None, [Token(value=text)]) == rate
