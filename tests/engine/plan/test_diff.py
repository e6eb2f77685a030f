"""What another configuration changes: one line of a table for each edit that a person can make."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.plan.diff import Diff, Edit, compare, merged, with_pending
from tests.support.plans import plan_of

BASE = """
[receiver]
listen = "127.0.0.1:1"
[sources.shop]
write_keys = ["k1"]
contract = "kept"
[contracts.kept]
events = [{ type = "track", name = "Seen", schema = { type = "object" } }]
[windows.many]
source = "shop"
key = "userId"
every = "1d"
threshold = 3
event = "Many"
[destinations.crm]
type = "box"
url = "https://crm.example/"
[destinations.erp]
type = "box"
url = "https://erp.example/"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = { n = "properties.n" }
[syncs.books]
source = "shop"
destination = "erp"
[[syncs.books.event_types]]
"""
BOOKS = BASE[BASE.index("[syncs.books]") :]


def diff(before: str, after: str) -> Diff:
    return compare(plan_of(before), plan_of(after))


EDITS = [
    ("nothing", BASE, []),
    ("a comment", BASE + "# hello\n", []),
    ("a sync goes", BASE.replace(BOOKS, ""), ["sync 'books' is removed"]),
    ("a mapping", BASE.replace("{ n =", "{ number ="), ["sync 'orders' is changed: event_types"]),
    ("where a sync would begin", BASE.replace("[[syncs.books", 'start = "earliest"\n[[syncs.books'), []),
    ("a write key", BASE.replace('"k1"', '"k1", "k2"'), ["source 'shop' is changed: write_keys"]),
    ("a contract", BASE.replace('name = "Seen"', 'name = "Bought"'), ["source 'shop' is changed: contract"]),
    ("a window", BASE.replace("threshold = 3", "threshold = 4"), ["source 'shop' is changed: windows"]),
    ("a url", BASE.replace("erp.example/", "erp.example/2"), ["destination 'erp' is changed: url"]),
    (
        "a rate",
        BASE.replace('url = "https://erp', 'rate = "5/s"\nurl = "https://erp'),
        ["destination 'erp' is changed: rate"],
    ),
    (
        "a sync goes elsewhere",
        BASE.replace('destination = "erp"', 'destination = "crm"'),
        ["sync 'books' no longer goes to 'erp'"],
    ),
    (
        "a sync is renamed",
        BASE.replace("syncs.books", "syncs.ledger").replace("[[syncs.ledger", 'was = "books"\n[[syncs.ledger'),
        ["sync 'ledger' was 'books'"],
    ),
    (
        "a sync of another name without was",
        BASE.replace("syncs.books", "syncs.ledger"),
        ["sync 'books' is removed", "sync 'ledger' is new"],
    ),
    (
        "a sync on another source",
        BASE.replace(BOOKS, BOOKS.replace('"shop"', '"app"') + '[sources.app]\nwrite_keys = ["a"]\n'),
        ["source 'app' is new", "sync 'books' is removed", "sync 'books' is new"],
    ),
    (
        "a destination is renamed",
        BASE.replace("destinations.erp", "destinations.sap").replace('"erp"', '"sap"'),
        ["destination 'erp' is removed", "destination 'sap' is new", "sync 'books' no longer goes to 'erp'"],
    ),
]


@pytest.mark.parametrize(("edit", "after", "told"), EDITS)
def test_an_edit_is_told_by_name(edit: str, after: str, told: list[str]) -> None:
    assert [each.text() for each in diff(BASE, after).edits] == told


def test_what_a_running_engine_cannot_change_is_told() -> None:
    after = BASE.replace("127.0.0.1:1", "127.0.0.1:2") + '[store]\npath = "other"\n[receiver.limits]\nevent = "1 KiB"\n'

    assert diff(BASE, after) == Diff(live=("receiver.limits.event",), restart=("receiver.listen", "store.path"))


def test_what_takes_effect_beside_sources_destinations_and_syncs_is_told() -> None:
    found = diff(BASE, BASE + '[reload]\nwatch = false\n[alerts]\nurl = "https://chat.example/hooks"\n')

    assert (found.edits, found.restart) == ((), ())
    assert found.lines(found.edits) == ("reload.watch is changed", "alerts is changed")


def test_what_is_pending_is_said_with_where_it_goes() -> None:
    edit = Edit(kind="sync", name="orders", what="removed", pending=1200)

    assert edit.text() == "sync 'orders' is removed (1,200 pending go to the archive: sync_removed)"


def test_what_a_removed_sync_has_not_read_is_said() -> None:
    removed = Edit(kind="sync", name="orders", what="removed")
    renamed = Edit(kind="sync", name="sales", what="renamed", was="orders")
    told = with_pending([removed, renamed], {"orders": 2}, {"orders": 3000})

    left_out = "up to 3,000 events that it has not read are left out"
    assert [edit.text() for edit in told] == [
        f"sync 'orders' is removed (2 pending go to the archive: sync_removed; {left_out})",
        "sync 'sales' was 'orders' (2 pending go along)",
    ]


def test_what_is_not_touched_stays_the_very_same() -> None:
    before, after = plan_of(BASE), plan_of(BASE.replace("{ n =", "{ number ="))
    joined = merged(before, after, compare(before, after))

    assert joined.destinations == before.destinations
    assert joined.syncs["books"] is before.syncs["books"]
    assert joined.syncs["orders"] is after.syncs["orders"]
    assert joined.sources["shop"] is before.sources["shop"]


def test_a_function_whose_text_changed_changes_its_source(tmp_path: Path) -> None:
    text = BASE.replace('"k1"]', '"k1"]\nfunctions = ["f"]') + '[functions.f]\nfile = "f.py"\n'
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    before = plan_of(text, folder=tmp_path)
    again = plan_of(text, folder=tmp_path)
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return []\n")
    after = plan_of(text, folder=tmp_path)

    assert compare(before, again).edits == ()
    assert [edit.text() for edit in compare(before, after).edits] == ["source 'shop' is changed: functions"]
