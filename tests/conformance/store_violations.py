"""What every store must keep: events that broke a contract."""

from __future__ import annotations

from typing import Any

import pytest

from engine.store.base import Change, Cursor, Retention
from engine.violated import Violated, Wanted
from tests.support.stores import NOW, OpenedStore


def violated(position: int, **changes: Any) -> Violated:
    fields: dict[str, Any] = {
        "position": position,
        "at": NOW + position,
        "source": "shop",
        "contract": "orders",
        "type": "track",
        "name": "Order Completed",
        "version": "default",
        "message_id": f"m{position}",
        "allowed": False,
        "schema_violated": True,
        "rules": ("type", "required"),
        "violations": ("/properties/total: 'x' is not of type 'number'", "/: 'userId' is a required property"),
        "event": b'{"n":%d}' % position,
    }
    return Violated(**(fields | changes))


SOME = (
    violated(1),
    violated(2, contract="next", shadow=True, allowed=True),
    violated(2),
    violated(3, name="Signed Up"),
    violated(4, source="app", type="identify", name=""),
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["4-orders", "3-orders", "2-next", "2-orders", "1-orders"]),
        (Wanted(limit=2), ["4-orders", "3-orders"]),
        (Wanted(contract="next"), ["2-next"]),
        (Wanted(source="app"), ["4-orders"]),
        (Wanted(event="Signed Up"), ["3-orders"]),
        (Wanted(event="identify"), ["4-orders"]),
        (Wanted(since=NOW + 3), ["4-orders", "3-orders"]),
        (Wanted(position=2), ["2-next", "2-orders"]),
        (Wanted(contract="orders", event="identify", source="shop"), []),
    ],
)
async def test_violations_are_listed_where_every_part_holds(
    opened_store: OpenedStore, wanted: Wanted, found: list[str]
) -> None:
    await opened_store.store.commit(Change(violated=SOME))

    assert [one.id for one in await opened_store.store.violations.list(wanted)] == found


async def test_a_violation_is_kept_as_it_was_and_once(opened_store: OpenedStore) -> None:
    await opened_store.store.commit(Change(violated=(violated(1),)))
    await opened_store.store.commit(Change(violated=(violated(1, rules=("enum",)), violated(2))))

    assert await opened_store.store.violations.list(Wanted()) == [violated(2), violated(1)]


async def test_violations_are_written_with_the_cursor_that_covers_them(opened_store: OpenedStore) -> None:
    await opened_store.fill(2)
    change = Change(
        cursors=(Cursor(source="shop", position=2),),
        counts={("contract:orders", "track Order Completed\ttype"): 2},
        violated=(violated(1), violated(2)),
    )
    await opened_store.store.commit(change)
    if opened_store.store.caps.durable:
        await opened_store.again()

    assert [one.id for one in await opened_store.store.violations.list(Wanted())] == ["2-orders", "1-orders"]
    assert (await opened_store.store.meta.counts())["contract:orders", "track Order Completed\ttype"] == 2


async def test_violations_go_by_the_age_of_the_archive(opened_store: OpenedStore) -> None:
    await opened_store.fill(1)
    await opened_store.store.commit(Change(violated=SOME))

    await opened_store.store.trim(Retention(archive_age=10.0), NOW + 13)

    assert [one.id for one in await opened_store.store.violations.list(Wanted())] == ["4-orders", "3-orders"]
