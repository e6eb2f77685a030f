"""Erasing a user from a running engine: nothing of theirs is sent any more, and the books balance."""

from __future__ import annotations

import msgspec
import pytest
import trio

from actors.receiver.frames import Frame
from engine.messages import State
from engine.store.base import Selection
from engine.store.erasing import Erasure, Tomb
from engine.store.replays import Wish
from tests.actors.test_replay import CONTRACT, ended, facts
from tests.support.grown import FUNCTION, NOW, ORDERS, Engine, always, at_once, each, grow, hang, reopened, unbalanced

TWO = """
[destinations.crm]
type = "desk"
concurrency = 1
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = { who = "userId", n = "properties.n" }
"""


async def let_in(engine: Engine, *users: str) -> None:
    """Let one event of each user in, in order, and wait until they are durable."""
    first = engine.store.last + 1
    items = tuple(
        msgspec.json.encode(
            {"type": "track", "event": "Seen", "userId": user, "messageId": f"m{n}", "properties": {"n": n}}
        )
        for n, user in enumerate(users, first)
    )
    durable = trio.Event()
    engine.tree.intake.submit(engine.tree.doors["shop"], [Frame(items=items)], lambda _: durable.set())
    await durable.wait()


async def erased(engine: Engine, user: str = "u1") -> Erasure:
    """Erase a user and return the report."""
    erasure = Erasure(kind="userId", value=user)
    while erasure.state != "done":
        erasure = await engine.tree.operator.erase(erasure)
    return erasure


def users(engine: Engine) -> list[str]:
    return [one.body()["who"] for call in engine.desk().calls for one in call.batch]


async def test_delivered_events_are_forgotten_and_the_books_stay(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    await let_in(engine, "u1", "u2", "u1")
    await engine.settled()

    report = await erased(engine)

    assert (report.events, report.remembered, report.in_flight, report.scrubbed) == (2, 2, 0, True)
    log = await engine.store.read("shop", 0, 3, 10)
    assert [bool(one.raw) for one in log] == [False, True, False]
    assert unbalanced(await engine.settled()) == []
    again = await erased(engine)
    assert (again.events, again.remembered) == (0, 0)


async def test_what_waits_and_what_is_archived_is_erased(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    engine.desk().answer = each(lambda one: 400 if one.position == 1 else 503)
    await let_in(engine, "u1", "u1", "u2")
    await engine.desk().called(3)
    await trio.sleep(1)

    report = await erased(engine)

    assert report.rows_erased == {"archived": 1, "retrying": 1}
    engine.desk().answer = always(200)
    status = await engine.settled(7200)
    sync = status.syncs[0]
    assert (sync.created, sync.delivered, sync.archived, sync.erased) == (3, 1, 0, 2)
    assert unbalanced(status) == []
    assert users(engine)[-1] == "u2"


async def test_what_waits_for_its_sender_goes_nowhere_and_what_it_has_in_hand_leaves_no_row(nursery, autojump_clock):
    engine = await grow(nursery, TWO.replace("concurrency = 1", 'concurrency = 1\ntimeout = "1s"'))
    engine.desk().answer = hang
    await let_in(engine, "u1", "u1", "u2", "u1")
    await engine.desk().called(1)
    await trio.sleep(0.5)

    report = await erased(engine)

    assert (report.taken, report.in_flight) == (2, 1)
    engine.desk().answer = always(503)
    await engine.desk().called(2)
    engine.desk().answer = always(200)
    status = await engine.settled(7200)
    assert set(users(engine)[1:]) == {"u2"}
    assert (status.syncs[0].delivered, status.syncs[0].erased) == (1, 3)
    assert unbalanced(status) == []


ORDERED = TWO.replace('destination = "crm"\n', 'destination = "crm"\norder_by = "userId"\n')


async def test_what_waits_behind_a_request_of_its_key_is_not_sent_after_it(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    mended = trio.Event()

    async def late(batch):
        await mended.wait()
        return await always(200)(batch)

    engine.desk().answer = late
    await let_in(engine, "u1", "u1", "u2", "u1", "u1")
    await engine.desk().called(1)
    await trio.sleep(1)

    report = await erased(engine)

    assert (report.taken, report.in_flight) == (3, 1)
    mended.set()
    status = await engine.settled()
    assert users(engine) == ["u1", "u2"]
    assert (status.syncs[0].delivered, status.syncs[0].erased) == (2, 3)
    assert unbalanced(status) == []


async def test_what_waits_behind_one_that_is_tried_again_is_not_sent_in_its_place(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 else 200)
    await let_in(engine, "u1", "u1", "u2", "u1", "u1")
    await engine.desk().called(2)
    await trio.sleep(1)

    report = await erased(engine)

    assert (report.taken, report.in_flight, report.rows_erased) == (3, 0, {"retrying": 1})
    status = await engine.settled(7200)
    assert users(engine) == ["u1", "u2"]
    assert (status.syncs[0].delivered, status.syncs[0].erased) == (1, 4)
    assert unbalanced(status) == []
    await let_in(engine, "u1")  # the key is free again
    assert (await engine.settled()).syncs[0].delivered == 2


async def test_what_waits_for_the_rate_goes_nowhere(nursery, autojump_clock):
    limits = 'concurrency = 2\nrate = "1/h"\nburst = 1'
    engine = await grow(nursery, TWO.replace("concurrency = 1", limits))
    await let_in(engine, "u2", "u1", "u1", "u1")
    await trio.sleep(5)

    report = await erased(engine)

    assert (report.taken, report.in_flight) == (3, 0)
    await trio.sleep(4 * 3600)
    assert users(engine) == ["u2"]
    assert unbalanced(await engine.settled()) == []


async def test_a_sync_that_lags_filters_what_was_erased(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    await engine.tree.operator.pause("syncs", "orders")
    for _ in range(6):
        await let_in(engine, *["u1", "u2"] * 100)
    await trio.sleep(1)

    report = await erased(engine)
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled()

    assert (report.events, report.in_flight) == (600, 0)
    sync = status.syncs[0]
    assert users(engine) == ["u2"] * 600  # the router let go of what it had taken before it met the shut gate
    assert (sync.filtered, sync.delivered) == ({"erased": 600}, 600)
    assert unbalanced(status) == []


async def test_a_router_that_reads_again_takes_nothing_that_a_replay_sends(nursery, autojump_clock, monkeypatch):
    monkeypatch.setattr("actors.replayer._aside", at_once)  # while a thread did it, trio's clock would jump
    engine = await grow(nursery, CONTRACT.format(name="Other") + TWO, remember=True)
    await engine.tree.operator.pause("syncs", "orders")
    await let_in(engine, "u1", "u2", "u1", "u3")
    await trio.sleep(1)
    await engine.reload(CONTRACT.format(name="Seen") + TWO)

    # The router stands at the gate with none of them in hand: they were blocked.
    assert facts(await ended(engine, Wish())) == {"sent": 4}
    report = await erased(engine)
    assert report.in_flight == 0
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled()

    assert sorted(users(engine)) == ["u2", "u3"]  # sent by the replay, which waited for the sync as well
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].erased) == (4, 2, 2)
    assert unbalanced(status) == []


@pytest.mark.parametrize("order", ["", 'order_by = "userId"'])
async def test_what_a_router_holds_for_want_of_room_is_read_again(nursery, autojump_clock, monkeypatch, order):
    monkeypatch.setattr("actors.tree.LANE_PLACES", 2)
    engine = await grow(nursery, TWO.replace('destination = "crm"', f'destination = "crm"\n{order}'))
    await engine.tree.operator.pause("destinations", "crm")
    await let_in(engine, "u2", "u3")
    await trio.sleep(1)
    await let_in(engine, "u1", "u4", "u1")
    await trio.sleep(1)

    report = await erased(engine)
    assert (report.taken, report.in_flight) == (0, 0)

    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled()
    assert users(engine) == ["u2", "u3", "u4"]
    assert status.syncs[0].filtered == {"erased": 2}
    assert unbalanced(status) == []


async def test_what_a_router_opens_again_for_want_of_room_is_read_again(nursery, autojump_clock, monkeypatch):
    engine = await grow(nursery, TWO)
    await engine.tree.operator.pause("destinations", "crm")
    await let_in(engine, "u2", "u3", "u1", "u4")
    await trio.sleep(1)
    await engine.stop()
    monkeypatch.setattr("actors.tree.LANE_PLACES", 2)
    monkeypatch.setattr("actors.router.RUN", 2)
    again = await grow(nursery, TWO, reopened(engine.store))
    await trio.sleep(1)

    report = await erased(again)
    assert report.taken == 0

    await again.tree.operator.resume("destinations", "crm")
    status = await again.settled()
    assert users(again) == ["u2", "u3", "u4"]
    [sync] = status.syncs
    assert sync.created == sync.delivered + sync.discarded + sync.erased == 4


async def test_what_was_open_at_a_crash_is_not_sent_after_it(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    engine.desk().answer = hang
    await let_in(engine, "u1", "u2")
    await engine.desk().called(1)
    await trio.sleep(1)
    await erased(engine)
    await engine.crash()

    again = await grow(nursery, TWO, reopened(engine.store))
    status = await again.settled()

    assert users(again) == ["u2"]
    sync = status.syncs[0]
    assert sync.created == sync.delivered + sync.discarded + sync.erased == 2


async def test_events_of_a_lagging_source_are_dropped_before_functions_see_nothing(nursery, autojump_clock, tmp_path):
    (tmp_path / "f.py").write_text(
        "def transform_events(events):\n    return [{**e, 'x': e['userId']} for e in events]\n"
    )
    engine = await grow(nursery, FUNCTION + TWO, folder=tmp_path)
    await let_in(engine, "u1", "u2")
    await engine.settled()
    report = await erased(engine)
    assert report.results == 1
    await engine.stop()

    again = await grow(
        nursery,
        FUNCTION
        + TWO
        + TWO[TWO.index("[syncs") :]
        .replace("orders", "late")
        .replace('source = "shop"', 'source = "shop"\nstart = "earliest"'),
        reopened(engine.store),
        folder=tmp_path,
    )
    status = await again.settled()

    assert status.syncs[1].filtered == {"erased": 1}
    assert status.syncs[1].delivered == 1


async def test_a_copy_that_comes_again_is_a_new_event(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(1)
    await engine.settled()
    assert (await erased(engine, "u")).events == 1

    engine._sent = 0
    await engine.send(1)

    assert engine.store.last == 2
    assert await engine.store.ledger.list(Selection(states=(State.ARCHIVED,))) == []


async def test_what_was_erased_before_it_was_written_holds_up_nobody_of_its_key(nursery, autojump_clock):
    engine = await grow(nursery, TWO.replace('source = "shop"', 'source = "shop"\norder_by = "userId"'))
    engine.desk().answer = always(503)
    await let_in(engine, "u1")
    await engine.desk().called(1)
    await erased(engine)
    engine.desk().answer = always(200)
    await let_in(engine, "u1")
    status = await engine.settled()

    assert engine.desk().positions == [1, 2]
    assert (status.syncs[0].delivered, status.syncs[0].erased) == (1, 1)


async def test_one_that_says_it_began_beyond_the_end_of_the_log_does_not_wait_for_it(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(3)
    await engine.settled()
    with trio.fail_after(1):
        step = await engine.tree.operator.erase(Erasure(kind="userId", value="u", below=3, last=1_000_000))

    assert (step.events, step.below) == (2, 1)


@pytest.mark.parametrize("fate", ["archived", "delivered"])
async def test_what_a_replay_has_just_read_is_not_brought_back(nursery, autojump_clock, fate):
    engine = await grow(nursery, TWO)
    engine.desk().answer = always(400 if fate == "archived" else 200)
    await let_in(engine, "u1", "u1")
    await engine.settled()
    engine.desk().answer = always(503)
    await engine.tree.operator.replay(Wish(fates=(fate,), rate=1000.0))

    await erased(engine)
    await trio.sleep(3)

    assert await engine.store.ledger.list(Selection()) == []
    assert unbalanced(await engine.tree.operator.status()) == []


@pytest.mark.parametrize("before", [True, False])
async def test_what_a_former_contract_said_of_an_erased_event_holds_for_a_sync_that_lags(
    nursery, autojump_clock, before
):
    contract = CONTRACT.format(name="Other")
    engine = await grow(nursery, (contract if before else "") + TWO, remember=True)
    await engine.tree.operator.pause("syncs", "orders")
    for _ in range(5):
        await let_in(engine, "u1", "u2")
        await trio.sleep(1)
    await engine.reload(("" if before else contract) + TWO)

    await erased(engine)
    await engine.tree.operator.resume("syncs", "orders")

    assert unbalanced(await engine.settled()) == []


async def test_what_a_function_has_in_hand_leaves_no_result(nursery, autojump_clock, tmp_path, monkeypatch):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    text = FUNCTION + TWO
    engine = await grow(nursery, text, folder=tmp_path)
    runner = engine.tree.runners["shop"]
    run = runner.run

    async def slowly(batch):
        await trio.sleep(2)
        return await run(batch)

    monkeypatch.setattr(runner, "run", slowly)
    await let_in(engine, "u1", "u2")
    await trio.sleep(1)

    report = await erased(engine)

    assert (report.events, report.results) == (1, 1)
    made = await engine.store.results([1, 2])
    assert [b"u1" in raw for result in made.values() for raw in result.events] == [False, False]
    status = await engine.settled()
    assert users(engine)[-1] == "u2"
    assert unbalanced(status) == []


async def test_what_an_erasure_that_was_cut_off_has_left_goes_with_the_next(nursery, autojump_clock):
    engine = await grow(nursery, TWO)
    engine.desk().answer = each(lambda one: 400 if one.position == 1 else 503)
    await let_in(engine, "u1", "u1", "u2")
    await engine.desk().called(3)
    await trio.sleep(1)
    tombs = [Tomb(position=at, source="shop", received_at=NOW) for at in (1, 2)]
    assert await engine.store.eraser.bury(tombs) == 2  # and then the engine was killed

    report = await erased(engine)

    assert (report.events, report.rows_erased) == (0, {"archived": 1, "retrying": 1})
    engine.desk().answer = always(200)
    status = await engine.settled(7200)
    assert users(engine)[3:] == ["u2"]
    assert unbalanced(status) == []
