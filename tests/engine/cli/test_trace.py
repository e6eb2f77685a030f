from __future__ import annotations

import json
from functools import partial

import pytest
import trio

from engine.lang.keys import delivery_key
from engine.messages import Attempt, Envelope, Logged, State, trouble_id
from engine.store.base import Change, Cursor, Progress
from engine.store.opening import open_store
from tests.support.stores import NOW, Disk, OpenedStore, trouble

TOLD = """\
m1  position 1, source shop, from a server
    2023-11-14T22:13:20.250Z  received
    source: passed
    orders (purchase) → crm: delivered  (by today's plan: that of the day is forgotten)
        2023-11-14T22:13:21.250Z  12.5 ms  503  status 503
        2023-11-14T22:13:29.250Z  8.0 ms  200
"""


def key(message_id: str, event_type: str = "purchase") -> str:
    return delivery_key("shop", message_id, "orders", event_type)


@pytest.fixture
def stopped(shop, tmp_path):
    """Leave a store: delivered, archived, pending, filtered, blocked, twice the same id, not read yet."""
    bought = b'{"type":"track","event":"Order Completed","userId":"u1","properties":{"total":"1"}}'
    raws = [bought, bought, bought, b'{"type":"identify","userId":"u2"}', bought, bought, bought]
    names = ["m1", "m2", "m3", "m4", "m5", "m4", "m7"]

    async def fill() -> None:
        made = OpenedStore(partial(open_store, "sqlite", tmp_path / "data"), Disk())
        store = await made.open()
        envelopes = [Envelope(message_id=name, received_at=NOW) for name in names]
        both = enumerate(zip(raws, envelopes, strict=True), 1)
        await made.append(*[Logged(position=at, source="shop", raw=raw, envelope=one) for at, (raw, one) in both])
        archived = trouble(2, State.ARCHIVED, key=key("m2"), reason="rejected_400", event_type="purchase")
        blocked = trouble(5, State.BLOCKED, sync="", destination="", stage="contract", reason="contract_violation")
        await store.commit(
            Change(
                cursors=(Cursor(source="shop", position=7),),
                progress=(Progress(sync="orders", source="shop", high=6, open=((3, key("m3")),)),),
                troubles=(archived, blocked),
                attempts=(
                    Attempt(
                        destination="crm", at=NOW + 1, seconds=0.0125, status=503, positions=(1, 2), error="status 503"
                    ),
                    Attempt(destination="crm", at=NOW + 9, seconds=0.008, status=200, positions=(1, 6)),
                ),
            )
        )
        await store.aclose()

    trio.run(fill)


def test_an_event_is_told_from_receipt_to_its_last_attempt(headrace, stopped):
    said = headrace("trace", "m1")

    assert (said.code, said.out, said.err) == (0, TOLD, "")


@pytest.mark.parametrize(
    ("message_id", "fates"),
    [
        ("m2", [("passed", [("archived", "rejected_400")])]),
        ("m3", [("passed", [("pending", "")])]),
        ("m4", [("passed", [("filtered", "no_event_type")]), ("passed", [("delivered", "")])]),
        ("m5", [("blocked", [])]),
        ("m7", [("passed", [("waiting", "")])]),
    ],
)
def test_every_fate_is_found(headrace, stopped, message_id, fates):
    told = [json.loads(line) for line in headrace("trace", message_id, "--json").out.splitlines()]

    found = [(one["fate"], [(each["fate"], each["reason"]) for each in one["syncs"]]) for one in told]
    assert found == fates
    assert all(one["message_id"] == message_id for one in told)


def test_an_entry_is_named(headrace, stopped):
    entry = trouble_id(2, key("m2"))

    assert (
        f"orders (purchase) → crm: archived: rejected_400  headrace errors show {entry}" in headrace("trace", "m2").out
    )


def test_an_unknown_id_tells_what_may_have_become_of_it(headrace, stopped):
    said = headrace("trace", "nobody")

    assert (said.code, said.err) == (
        1,
        (
            "no event with messageId 'nobody' is in the log, which reaches back to position 1\n"
            "    retention may have let it go ([store.retention] age and size), or it was erased, or the door\n"
            "    refused it or took it for a duplicate under another id: headrace tap SOURCE shows what comes in\n"
        ),
    )


def test_the_last_events_of_a_user(headrace, stopped):
    said = headrace("trace", "--user", "u2")

    assert (said.code, said.out) == (0, "4  2023-11-14T22:13:20.250Z  shop  identify  m4\n")
    assert len(headrace("trace", "--user", "u1", "--limit", "3").out.splitlines()) == 3
    nobody = headrace("trace", "--user", "u3")
    assert (nobody.code, nobody.out) == (1, "the log has no event with userId 'u3'\n")


def test_one_thing_is_asked_at_a_time(headrace, stopped):
    said = headrace("trace", "m1", "--user", "u1")

    assert (said.code, said.err) == (1, "name a messageId, or a user with --user or --anonymous\n")
