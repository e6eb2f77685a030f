"""What every store must keep: a sync that is called otherwise."""

from __future__ import annotations

from engine.messages import State
from engine.store.base import Change, Selection
from tests.support.stores import NOW, OpenedStore, changed, progress, trouble


async def test_a_renamed_sync_keeps_its_place_its_rows_and_its_counts(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(9)
    other = progress(9, (5,), source="web")
    archived = trouble(2, State.ARCHIVED, event=b"{}")
    await store.commit(
        Change(
            progress=(progress(9, (7, 8)), other),
            troubles=(trouble(1), archived, trouble(3, source="web")),
            counts={("sync:orders", "created"): 5, ("sync:ledger", "created"): 2},
        )
    )

    await store.meta.rename("orders", "shop", "ledger")
    await store.meta.rename("orders", "shop", "ledger")

    assert sorted(await store.meta.progress(), key=lambda page: page.sync) == [progress(9, (7, 8), "ledger"), other]
    rows = await store.ledger.list(Selection(sync="ledger"))
    assert rows == [changed(archived, sync="ledger"), changed(trouble(1), sync="ledger")]
    assert [row.position for row in await store.ledger.list(Selection(sync="orders"))] == [3]
    assert await opened_store.sync_counts() == {}
    assert await opened_store.sync_counts("ledger") == {"created": 7, "archived": 1}


async def test_a_renamed_sync_s_retries_are_due_as_before(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(2)
    await opened_store.trouble(trouble(1), trouble(2, due_at=NOW + 60))
    await store.meta.rename("orders", "shop", "ledger")

    assert await opened_store.claimed() == [1]
    assert await opened_store.claimed(NOW + 60) == [2]
