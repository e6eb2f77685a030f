from __future__ import annotations

import json
from functools import partial

import pytest
import trio

from engine.messages import Attempt, State
from engine.store.base import Change, Selection
from engine.store.opening import open_store
from tests.support.stores import NOW, Disk, OpenedStore, changed, trouble

SHOWN = """\
3-{key}  archived  send/rejected_400  orders (purchase) → crm
    message m3, position 3, received 2023-11-14T22:12:20.250Z
    first trouble 2023-11-14T22:12:50.250Z, last 2023-11-14T22:13:03.250Z, 1 attempt

next: the response says why it was refused: mend the mapping and replay it, or retry it as it is

what went wrong
    no such field

what you sent
    {{
      "n": 3
    }}

payload
    {{
      "mapped": 3
    }}

request
    POST https://crm.example/

    {{}}

response
    400

    no such field

attempts
    2023-11-14T22:13:20.250Z  12.5 ms  400  status 400
"""


async def opened(folder) -> OpenedStore:
    made = OpenedStore(partial(open_store, "sqlite", folder / "data"), Disk())
    await made.open()
    return made


@pytest.fixture
def stopped(shop, tmp_path):
    """Leave the store of an engine that no longer runs: rows 1 to 6, of which 2 waits and 5 has no payload."""
    shop.write_text('[console]\nlisten = "127.0.0.1:1"\n' + shop.read_text())

    async def fill() -> None:
        made = await opened(tmp_path)
        await made.fill(6)
        rejected = changed(
            trouble(3, State.ARCHIVED),
            reason="rejected_400",
            status=400,
            error="no such field",
            event_type="purchase",
            request=b"POST https://crm.example/\n\n{}",
            response=b"400\n\nno such field",
        )
        rows = [trouble(at, State.ARCHIVED, payload=b"" if at == 5 else b"{}") for at in (1, 4, 5, 6)]
        tried = Attempt(destination="crm", at=NOW, seconds=0.0125, status=400, positions=(3,), error="status 400")
        await made.store.commit(Change(troubles=(*rows, trouble(2), rejected), attempts=(tried,)))
        await made.store.aclose()

    trio.run(fill)


def states(folder) -> dict[int, str]:
    """Return the state of each row."""

    async def read() -> dict[int, str]:
        made = await opened(folder)
        found = {row.position: str(row.state) for row in await made.store.ledger.list(Selection())}
        await made.store.aclose()
        return found

    return dict(sorted(trio.run(read).items()))


def test_an_entry_is_shown_whole_with_what_to_do_next(headrace, stopped):
    said = headrace("errors", "show", trouble(3).id)

    assert (said.code, said.err) == (0, "")
    assert said.out == SHOWN.format(key=trouble(3).id[2:])


def test_an_entry_as_json_is_for_machines(headrace, stopped):
    shown = json.loads(headrace("errors", "show", trouble(3).id, "--json").out)

    assert (shown["event"], shown["payload"], shown["due_at"], shown["trace"]) == ({"n": 3}, {"mapped": 3}, None, "")
    assert shown["attempts"] == [{"at": "2023-11-14T22:13:20.250Z", "ms": 12.5, "status": 400, "error": "status 400"}]


def test_an_entry_that_is_not_there(headrace, stopped):
    said = headrace("errors", "show", "9-no")

    assert (said.code, said.err) == (
        1,
        "there is no entry 9-no\n    headrace errors list shows those that are kept\n",
    )


def test_a_list_has_pages(headrace, stopped):
    first = headrace("errors", "list", "--limit", "4").out.splitlines()
    second = headrace("errors", "list", "--limit", "4", "--after", first[-1].split()[-1]).out.splitlines()

    assert first[-1] == f"there are more: add --after {trouble(3).id}"
    assert [line.split("-")[0] for line in first[:-1:2]] == ["6", "5", "4", "3"]
    assert [line.split("-")[0] for line in second[::2]] == ["2", "1"]


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--state", "retrying"], [2]),
        (["--reason", "rejected_400"], [3]),
        (["--text", "NO SUCH"], [3]),
        (["--destination", "erp"], []),
        (["--stage", "mapping"], []),
        (["--until", "2023-11-14T22:13:02.250Z"], [2, 1]),
        (["--since", "2023-11-14T22:13:05.250Z"], [6, 5]),
    ],
)
def test_a_list_is_narrowed(headrace, stopped, filters, ids):
    said = headrace("errors", "list", *filters, "--json")

    assert [int(json.loads(line)["event_id"]) for line in said.out.splitlines()] == ids


@pytest.mark.parametrize(
    ("argv", "said", "after"),
    [
        (["retry", "--sync", "orders", "--dry-run"], "5 entries to retry\n", {}),
        (
            ["retry", "--sync", "orders", "--yes"],
            "5 entries to retry\n4 go out again\n1 lack a payload or a destination: headrace replay\n",
            dict.fromkeys((1, 3, 4, 6), "retrying"),
        ),
        (["discard", "--reason", "rejected_400", "-y"], "1 entry to discard\n1 is discarded\n", {3: "discarded"}),
        (["discard", trouble(2).id, "-y"], "1 entry to discard\n1 is discarded\n", {2: "discarded"}),
    ],
)
def test_a_stopped_engine_s_store_is_changed(headrace, stopped, tmp_path, argv, said, after):
    before = {1: "archived", 2: "retrying", 3: "archived", 4: "archived", 5: "archived", 6: "archived"}

    done = headrace("errors", *argv)

    assert (done.code, done.out, done.err) == (0, said, "")
    assert states(tmp_path) == before | after


def test_without_a_terminal_nothing_is_changed_unless_told(headrace, stopped, tmp_path):
    said = headrace("errors", "discard", "--sync", "orders")

    assert (said.code, said.err) == (
        2,
        "discard them?\n    nobody is here to ask: say --yes to do it, or --dry-run to count only\n",
    )
    assert "discarded" not in states(tmp_path).values()


def test_everything_must_be_asked_for(headrace, stopped):
    said = headrace("errors", "retry", "--yes")

    assert (said.code, said.err) == (
        1,
        (
            "which entries? name ids, or choose with --sync, --reason, --since and others\n"
            "    headrace errors list shows them; --state archived takes all that are archived\n"
        ),
    )


def test_a_time_that_is_none(headrace, stopped):
    said = headrace("errors", "list", "--since", "yesterday")

    assert (said.code, said.err) == (
        1,
        (
            "--since: 'yesterday' is no time\n"
            '    write how long ago, as in "2h", or a time, as in "2026-01-31T12:00:00Z"\n'
        ),
    )
