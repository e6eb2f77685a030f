"""What every store must keep: looking back, and what a replay writes."""

from __future__ import annotations

import pytest

from engine.messages import Envelope, Logged, Result, Settlement, Stage, State
from engine.store.base import Change, Cursor, Retention, Selection
from engine.store.history import SEALED
from tests.support.stores import NOW, OpenedStore, changed, event, settle, trouble

ALL = Selection()


async def test_a_sweep_goes_through_rows_as_they_were_made_and_meets_none_twice(opened_store: OpenedStore) -> None:
    history = opened_store.store.history
    await opened_store.trouble(*[trouble(at, State.ARCHIVED) for at in (7, 3, 5, 1)])
    top = await history.newest()

    first = await history.sweep(ALL, (0, top), 2)
    await opened_store.trouble(trouble(9, State.ARCHIVED), changed(trouble(7, State.ARCHIVED), last_at=NOW + 99))
    rest = await history.sweep(ALL, (first[-1][0], top), 10)

    assert [row.position for _, row in first + rest] == [7, 3, 5, 1]
    assert [number for number, _ in first + rest] == sorted({number for number, _ in first + rest})
    assert await history.sweep(ALL, (top, top), 10) == []


async def test_a_sweep_takes_what_matches(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1, State.ARCHIVED), trouble(2), trouble(3, State.ARCHIVED, sync="refunds"))
    history = opened_store.store.history
    top = await history.newest()

    async def swept(**parts) -> list[int]:
        return [row.position for _, row in await history.sweep(Selection(**parts), (0, top), 10)]

    assert await swept(states=(State.ARCHIVED,)) == [1, 3]
    assert await swept(sync="refunds") == [3]
    assert await swept(ids=(trouble(3).id, trouble(1).id, "9-no")) == [1, 3]
    assert await swept(ids=(trouble(2).id,), states=(State.ARCHIVED,)) == []


async def test_rows_are_counted_by_state_and_reason(opened_store: OpenedStore) -> None:
    late = changed(trouble(3, State.ARCHIVED), reason="too_old")
    await opened_store.trouble(trouble(1, State.ARCHIVED), trouble(2, State.ARCHIVED), late, trouble(4))
    history = opened_store.store.history
    top = await history.newest()
    reason = trouble(1).reason

    every = {(State.ARCHIVED, reason): 2, (State.ARCHIVED, "too_old"): 1, (State.RETRYING, reason): 1}
    assert await history.tally(ALL, (0, top)) == every
    assert await history.tally(Selection(reason="too_old"), (0, top)) == {(State.ARCHIVED, "too_old"): 1}
    assert await history.tally(Selection(ids=(trouble(4).id, "9-no")), (0, top)) == {(State.RETRYING, reason): 1}
    assert await history.tally(ALL, (top - 1, top)) == {(State.RETRYING, reason): 1}
    assert await history.tally(ALL, (top, top)) == {}


async def test_events_and_rows_are_found_by_position(opened_store: OpenedStore) -> None:
    await opened_store.append(event(1), event(2, "app"), event(3))
    await opened_store.trouble(trouble(1), trouble(11), changed(trouble(1, key="f" * 32), sync="refunds"))
    history = opened_store.store.history

    assert await history.events([3, 2, 9]) == {2: event(2, "app"), 3: event(3)}
    assert [row.sync for row in await history.troubles([2, 1])] == ["orders", "refunds"]
    assert await history.troubles([2]) == []


async def test_an_event_is_located_by_any_id_that_it_has(opened_store: OpenedStore) -> None:
    store = opened_store.store
    odd = 'm"\\é\u2028'
    named = Logged(position=2, source="app", raw=b"{}", envelope=Envelope(message_id=odd, received_at=NOW))
    again = Logged(position=3, source="shop", raw=b"{}", envelope=Envelope(message_id="m1", received_at=NOW))
    await opened_store.append(event(1), named, again)
    made = (b'{"messageId":"m3"}', b'{"type":"track","messageId":"m3#1"}')
    store.keep([Result(position=3, outcome="passed", events=made)], lambda _: None)
    await opened_store.fill(1)

    assert await store.history.located("m1") == [1, 3]
    assert await store.history.located(odd) == [2]
    assert await store.history.located("m3#1") == [3]
    assert await store.history.located("m") == []
    assert await store.history.located("") == []


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_sealed_stretch_tells_the_same(opened_store: OpenedStore, *, sealed: bool) -> None:
    store = opened_store.store
    for start in range(0, SEALED + 10, 8192):
        upto = min(start + 8192, SEALED + 10)
        await opened_store.append(*[event(at, raw=b"{}", at=NOW) for at in range(start + 1, upto + 1)])
    store.keep([Result(position=5, outcome="passed", events=(b'{"messageId":"made"}',))], lambda _: None)
    assert await store.history.seal() == 0
    await store.commit(Change(cursors=(Cursor(source="shop", position=SEALED + 10),)))
    if sealed:
        assert await store.history.seal() in {0, SEALED}
        assert await store.history.seal() == 0

    for at in (1, 5, SEALED, SEALED + 1, SEALED + 10):
        assert await store.history.located(f"m{at}") == [at]
    assert await store.history.located("made") == [5]
    assert await store.history.located(f"m{SEALED + 11}") == []
    if sealed and store.caps.durable:  # trimming so much takes a while in memory
        while await store.trim(Retention(size=1), NOW):
            pass
        assert await store.history.located("m1") == []
        assert await store.history.located(f"m{SEALED + 10}") == [SEALED + 10]


async def test_a_user_s_events_are_found_backwards(opened_store: OpenedStore) -> None:
    bodies = [
        b'{"userId":"u1"}',
        b'{"userId":"u2","traits":{"friend":"u1"}}',
        b'{"userId":"\\u00751","anonymousId":"a"}',
        b'{"previousId":"u1","userId":"u9"}',
        b'{"userId":7}',
        b"[]",
    ]
    await opened_store.append(*[event(at, raw=raw) for at, raw in enumerate(bodies, 1)])
    history = opened_store.store.history

    async def found(kind: str, value: str, below: int = 99, limit: int = 1000) -> tuple[list[int], int]:
        events, low = await history.of_user((kind, value), below, limit)
        return [one.position for one in events], low

    assert await found("userId", "u1") == ([4, 3, 1], 1)
    assert await found("userId", "u1", below=4, limit=2) == ([3], 2)
    assert await found("userId", "7") == ([5], 1)
    assert await found("anonymousId", "a") == ([3], 1)
    assert await found("anonymousId", "u1") == ([], 1)


async def test_what_a_replay_makes_waits_and_is_counted(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(5)
    await opened_store.trouble(trouble(1, State.ARCHIVED), trouble(2, payload=b"old"), trouble(3, State.DISCARDED))
    again = [changed(trouble(at), reason="replayed", payload=b"new") for at in (1, 2, 3, 4)]
    failed = changed(trouble(5, State.ARCHIVED), reason="mapping_failed", stage=Stage.MAPPING, payload=b"")

    await store.commit(Change(again=(*again, failed)))

    assert await opened_store.sync_counts() == {"created": 2, "archived": 1}
    assert sorted(await opened_store.claimed()) == [1, 2, 3, 4]
    rows = {row.position: row.payload for row in await store.ledger.list(ALL)}
    assert rows == {1: b"new", 2: b"old", 3: b"new", 4: b"new", 5: b""}
    await store.commit(Change(again=(*again, failed)))
    assert await opened_store.sync_counts() == {"created": 2, "archived": 1}


async def test_a_replay_of_a_row_in_flight_changes_nothing(opened_store: OpenedStore) -> None:
    await opened_store.trouble(trouble(1))
    [claim] = await opened_store.store.claim("crm", NOW, 1)

    await opened_store.store.commit(Change(again=(changed(trouble(1), payload=b"new"),)))

    assert await opened_store.store.commit(Change(settles=(settle(claim, Settlement.DONE),))) == (True,)
    assert await opened_store.sync_counts() == {"delivered": 1}


async def test_a_row_of_the_source_s_stages_goes_when_its_event_went_on(opened_store: OpenedStore) -> None:
    store = opened_store.store
    blocked = changed(trouble(1, State.BLOCKED), sync="", destination="", stage=Stage.CONTRACT)
    await opened_store.trouble(blocked, trouble(2, State.ARCHIVED))

    counts = {("source:shop", "blocked"): -1, ("source:shop", "passed"): 1}
    await store.commit(Change(ended=(blocked.id, trouble(2).id, "9-no"), counts=counts))

    assert [row.position for row in await store.ledger.list(ALL)] == [2]
    assert await opened_store.sync_counts() == {"archived": 1}


async def test_facts_and_results_of_a_change_are_written_with_it(opened_store: OpenedStore) -> None:
    store = opened_store.store
    await opened_store.fill(1)
    store.keep([Result(position=1, outcome="failed", error="Traceback …")], lambda _: None)
    await store.meta.put("replays", b"one", 0)
    passed = Result(position=1, outcome="passed", events=(b"{}",))

    await store.commit(Change(results=(passed,), facts={"replays": b"two", "other": b"new"}))

    assert await store.results([1]) == {1: passed}
    assert await store.meta.get("replays") == (b"two", 2)
    assert await store.meta.get("other") == (b"new", 1)
