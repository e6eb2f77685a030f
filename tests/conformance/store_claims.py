"""What every store must keep: claims, and how they end."""

from __future__ import annotations

import pytest
import trio

from engine.messages import Settle, Settlement, State, Trouble
from engine.store.base import LEASE, Change, Selection
from tests.support.stores import NOW, OpenedStore, changed, settle, trouble


async def test_nothing_is_claimed_before_its_time(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1, due_at=NOW + 5), trouble(2, due_at=NOW + 1), trouble(3, destination="erp"))
    store = opened_store.store

    assert (store.next_due("crm"), store.next_due("erp"), store.next_due("none")) == (NOW + 1, NOW, None)
    assert await opened_store.claimed(NOW + 0.5) == []
    assert await opened_store.claimed(NOW + 1) == [2]
    assert store.next_due("crm") == NOW + 5
    assert await opened_store.claimed(NOW + 5) == [1]
    assert store.next_due("crm") == NOW + 1 + LEASE


async def test_the_longest_due_is_claimed_first_and_no_more_than_asked(opened_store: OpenedStore) -> None:
    await opened_store.trouble(*[trouble(at, due_at=NOW - at) for at in range(1, 8)])

    assert await opened_store.claimed(limit=3) == [7, 6, 5]
    assert await opened_store.claimed(limit=3) == [4, 3, 2]
    assert await opened_store.claimed(limit=3) == [1]
    assert await opened_store.claimed(limit=3) == []


async def test_claims_made_at_the_same_time_are_exclusive(opened_store: OpenedStore) -> None:
    await opened_store.trouble(*[trouble(at) for at in range(1, 101)])
    got: list[int] = []

    async def take() -> None:
        for _ in range(3):
            got.extend(await opened_store.claimed(limit=9))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(take)

    assert sorted(got) == list(range(1, 101))


async def test_a_claim_ends_with_its_lease_and_the_old_token_has_no_effect(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1))
    store = opened_store.store
    [old] = await store.claim("crm", NOW, 1)

    assert await store.claim("crm", NOW + LEASE - 1, 1) == []
    [new] = await store.claim("crm", NOW + LEASE, 1)

    assert new.trouble == old.trouble
    assert new.token != old.token
    assert await store.commit(Change(settles=(settle(old, Settlement.DONE),))) == (False,)
    assert await store.ledger.get(old.trouble.id) == old.trouble
    assert await store.commit(Change(settles=(settle(new, Settlement.DONE),))) == (True,)
    assert await opened_store.sync_counts() == {"delivered": 1}


async def test_a_cancelled_claim_claims_nothing(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1))

    with trio.CancelScope() as scope:
        scope.cancel()
        await opened_store.store.claim("crm", NOW, 1)

    assert await opened_store.claimed() == [1]


async def test_each_way_to_settle(opened_store: OpenedStore) -> None:
    await opened_store.fill(4)
    await opened_store.trouble(*[trouble(at, due_at=NOW - 10 + at) for at in (1, 2, 3, 4)])
    store = opened_store.store
    done, retry, archive, release = await store.claim("crm", NOW, 4)
    again = changed(retry.trouble, attempts=2, due_at=NOW + 60, last_at=NOW)
    over = changed(archive.trouble, state=State.ARCHIVED, due_at=0.0, reason="rejected_400")

    held = await store.commit(
        Change(
            settles=(
                settle(done, Settlement.DONE),
                settle(retry, Settlement.RETRY, again),
                settle(archive, Settlement.ARCHIVE, over),
                settle(release, Settlement.RELEASE),
                Settle(id="9-nothing", token=99, how=Settlement.DONE),
                settle(done, Settlement.DONE),
            )
        )
    )

    assert held == (True, True, True, True, False, False)
    assert await store.ledger.get(done.trouble.id) is None
    assert await store.ledger.get(retry.trouble.id) == again
    assert await store.ledger.get(archive.trouble.id) == changed(over, event=b'{"n":3}')
    assert await store.ledger.get(release.trouble.id) == release.trouble
    assert await opened_store.sync_counts() == {"delivered": 1, "archived": 1}
    assert await opened_store.claimed(NOW) == [4]
    assert await opened_store.claimed(NOW + 60) == [2]


@pytest.mark.parametrize(
    ("how", "new"),
    [
        (Settlement.RETRY, None),
        (Settlement.ARCHIVE, trouble(1)),
        (Settlement.RETRY, trouble(1, State.ARCHIVED)),
        (Settlement.DONE, trouble(1)),
        (Settlement.RETRY, trouble(2)),
    ],
)
async def test_a_settle_without_a_fitting_trouble_is_refused(
    opened_store: OpenedStore, how: Settlement, new: Trouble | None
) -> None:
    await opened_store.trouble(trouble(1))
    [claim] = await opened_store.store.claim("crm", NOW, 1)

    with pytest.raises(ValueError) as caught:
        await opened_store.store.commit(Change(settles=(settle(claim, how, new),), counts={("sync:orders", "x"): 1}))

    assert str(caught.value) == f"settle {claim.trouble.id} ({how}): its trouble does not fit"
    assert await opened_store.sync_counts() == {}
    assert await opened_store.store.commit(Change(settles=(settle(claim, Settlement.DONE),))) == (True,)


async def test_who_waits_for_a_destination_is_told_when_it_is_due_earlier(opened_store: OpenedStore) -> None:
    store = opened_store.store
    told: list[str] = []
    store.on_due = told.append

    await opened_store.trouble(trouble(1, due_at=NOW + 9))
    await opened_store.trouble(trouble(2, due_at=NOW + 10))
    assert told == ["crm"]
    await opened_store.trouble(trouble(3, due_at=NOW + 8), trouble(4, destination="erp"))
    assert told == ["crm", "crm", "erp"]
    await store.ledger.retry(Selection(ids=(trouble(2).id,)), NOW)
    assert told == ["crm", "crm", "erp", "crm"]
    [claim] = await store.claim("crm", NOW, 1)
    await store.commit(Change(settles=(settle(claim, Settlement.RELEASE),)))
    assert told == ["crm", "crm", "erp", "crm", "crm"]
    await opened_store.trouble(trouble(5, State.ARCHIVED))
    assert len(told) == 5
