"""Replay and erase where no engine runs: in the store, counted, and with an exit code that says how it went."""

from __future__ import annotations

import json
from functools import partial

import pytest
import trio

from engine.messages import Envelope, Logged, State
from engine.store.base import Change, Cursor, Progress, Selection
from engine.store.opening import open_reader, open_store
from engine.store.replays import Place, Replay, Replays, Wish, fact_of
from tests.support.stores import NOW, Disk, OpenedStore, trouble

PLAIN = """
[console]
listen = "127.0.0.1:1"
[sources.shop]
write_keys = ["key"]
[destinations.crm]
type = "webhook"
url = "https://crm.example/orders"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "order"
mapping = { customer = "userId" }
"""
HALF = Replay(number=3, wish=Wish(), at=NOW, place=Place(row=1, rows=9, set=True))


@pytest.fixture
def stopped(tmp_path):
    """Leave a store: events of u1, u2 and u1, of which the first was refused, and a replay that is half done."""
    (tmp_path / "config.toml").write_text(PLAIN)

    async def fill() -> None:
        made = OpenedStore(partial(open_store, "sqlite", tmp_path / "data"), Disk())
        store = await made.open()
        events = [
            Logged(
                position=at,
                source="shop",
                raw=json.dumps({"type": "track", "event": "Seen", "userId": user}).encode(),
                envelope=Envelope(message_id=f"m{at}", received_at=NOW),
            )
            for at, user in enumerate(("u1", "u2", "u1"), 1)
        ]
        await made.append(*events)
        rows = (
            trouble(1, State.ARCHIVED, event_type="order", event=events[0].raw),
            trouble(2, State.RETRYING, event_type="order"),
        )
        await store.commit(
            Change(
                cursors=(Cursor(source="shop", position=3),),
                progress=(Progress(sync="orders", source="shop", high=3),),
                troubles=rows,
                facts=fact_of(Replays(last=3, kept=(HALF,))),
            )
        )
        await store.aclose()

    trio.run(fill)


def states(tmp_path) -> list[State]:
    with open_reader(tmp_path / "data") as reader:
        return [one.state for one in reader.list(Selection())]


def test_an_entry_is_counted_and_then_due_at_the_next_start(headrace, stopped, tmp_path):
    counted = headrace("replay", "start", trouble(1).id, "--dry-run", "--json")
    assert counted.code == 0
    assert (json.loads(counted.out)["state"], states(tmp_path)) == ("done", [State.RETRYING, State.ARCHIVED])

    said = headrace("replay", "start", trouble(1).id, "--yes")

    assert (said.code, said.err) == (0, "")
    assert "replay 4: done" in said.out
    assert states(tmp_path) == [State.RETRYING, State.RETRYING]


def test_what_is_named_and_not_meant_is_said(headrace, stopped):
    said = headrace("replay", "start", "9-nobody", trouble(2).id, "--yes")

    assert (said.code, said.out) == (1, "nothing matches\n")
    assert said.err == (
        "there is no entry 9-nobody\n    headrace errors list shows those that are kept\n"
        f"entry {trouble(2).id} is retrying, and only archived, blocked are replayed\n    --state names others\n"
    )


def test_a_replay_that_would_go_on_at_the_next_start_can_be_ended(headrace, stopped):
    assert headrace("replay", "stop", "3").out.startswith("replay 3: stopped")
    unknown = headrace("replay", "stop", "4")

    assert (unknown.code, unknown.err) == (
        1,
        "there is no replay 4\n    headrace replay list shows those that are remembered\n",
    )


def test_a_user_is_erased_from_a_store_that_no_engine_has(headrace, stopped, tmp_path):
    refused = headrace("erase", "--user-id", "u1")
    assert refused.code == 2
    assert refused.err.endswith("    nobody is here to ask: say --yes to do it\n")

    said = headrace("erase", "--user-id", "u1", "--yes", "--json")

    report = json.loads(said.out)
    assert (said.code, report["events"], report["rows_erased"], report["scrubbed"]) == (0, 2, {"archived": 1}, True)
    assert states(tmp_path) == [State.RETRYING]
    assert b"u1" not in b"".join(file.read_bytes() for file in (tmp_path / "data").iterdir())


@pytest.mark.parametrize("argv", [("errors", "list", "--limit", "0"), ("trace", "--user", "u1", "--limit", "-1")])
def test_a_page_has_at_least_one_line(headrace, stopped, argv):
    assert headrace(*argv).code == 2
