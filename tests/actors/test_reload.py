"""A reload of a running engine: what changes, and what is not touched."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import structlog
import trio

from actors.reloading import Reloader
from engine.runtime.supervisor import Child
from engine.store.base import Selection
from engine.store.opening import open_store
from tests.support.grown import ORDERS, Desk, Engine, always, at_once, each, grow, hang, shop_plan, unbalanced

OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")


def lives(engine: Engine) -> dict[str, int]:
    return {keeper.child.name: keeper.lives for keeper in engine.tree.supervisor._keepers}


async def test_a_new_sync_begins_now_and_nobody_else_is_touched(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(3)
    await engine.settled()
    before = {keeper.child.name: keeper for keeper in engine.tree.supervisor._keepers}
    made = await engine.reload(ORDERS + OTHERS)
    await engine.send(2)
    status = await engine.settled()

    assert made.changes == ("destination 'erp' is new", "sync 'others' is new")
    assert engine.desk("erp").positions == [4, 5]
    assert engine.desk().positions == [1, 2, 3, 4, 5]
    after = {keeper.child.name: keeper for keeper in engine.tree.supervisor._keepers}
    assert all(after[name] is keeper and keeper.lives == 1 for name, keeper in before.items())
    assert list(after) == [
        "archiver", "maintenance", "sender.crm", "sender.erp", "replayer", "retry", "router.orders", "router.others",
        "validator.shop", "receiver", "pulse", "alerts", "console", "reloader",
    ]  # fmt: skip
    assert [sync.delivered for sync in status.syncs] == [5, 2]


async def test_a_new_sync_begins_at_the_earliest_if_it_says_so(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(3)
    await engine.reload(ORDERS + OTHERS.replace("[[", 'start = "earliest"\n[['))
    await engine.send(2)
    await engine.settled()

    assert engine.desk("erp").positions == [1, 2, 3, 4, 5]


async def test_a_changed_mapping_takes_effect_at_once_and_the_sender_stays(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send()
    await engine.settled()
    desk = engine.desk()
    made = await engine.reload(ORDERS.replace("{ n =", "{ number ="))
    await engine.send()
    await engine.settled()

    assert made.changes == ("sync 'orders' is changed: event_types",)
    assert engine.desk() is desk
    assert [call.batch[0].payload for call in desk.calls] == [b'{"n":1}', b'{"number":2}']


async def test_a_removed_sync_finishes_what_is_in_flight_and_archives_the_rest(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    desk = engine.desk()

    async def slow(batch):
        await trio.sleep(3)
        return await always(500 if batch[0].position == 1 else 200)(batch)

    desk.answer = slow
    await engine.send(5)
    await trio.sleep(4)  # 1 failed and waits, 2 is in flight, 3 to 5 wait in the lane
    made = await engine.reload(OTHERS)
    status = await engine.settled()
    counts = await engine.store.meta.counts()
    archived = await engine.archived()

    assert made.changes == (
        "destination 'crm' is removed",
        "sync 'orders' is removed (5 pending go to the archive: sync_removed)",
    )
    assert [(trouble.position, trouble.reason) for trouble in archived] == [
        (position, "sync_removed") for position in (1, 3, 4, 5)
    ]
    assert {name: counts["sync:orders", name] for name in ("created", "delivered", "archived")} == {
        "created": 5,
        "delivered": 1,
        "archived": 4,
    }
    assert counts.get(("sync:orders", "discarded"), 0) == 0
    assert desk.closed == 1
    assert unbalanced(status) == []
    assert [page.sync for page in await engine.store.meta.progress()] == ["others"]


async def test_what_a_removed_sync_has_not_read_is_said(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    await engine.tree.operator.pause("syncs", "orders")
    await engine.send(5)
    await trio.sleep(1)
    made = await engine.reload(OTHERS)

    assert made.changes[1] == "sync 'orders' is removed (up to 5 events that it has not read are left out)"


async def test_a_sync_that_goes_elsewhere_takes_along_what_waits_and_what_is_retried(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    crm = engine.desk()
    crm.answer = always(429, retry_after=3000.0)
    await engine.send(5)
    await trio.sleep(1)
    made = await engine.reload((ORDERS + OTHERS).replace('destination = "crm"', 'destination = "erp"'))
    status = await engine.settled(86_400)

    assert made.changes == ("sync 'orders' no longer goes to 'crm' (5 pending go along)",)
    assert sorted({d.position for call in engine.desk("erp").calls for d in call.batch if d.sync == "orders"}) == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    assert [(sync.created, sync.delivered) for sync in status.syncs] == [(5, 5), (5, 5)]
    assert unbalanced(status) == []


async def test_a_renamed_sync_goes_on_where_it_stood_with_the_keys_it_had(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    desk = engine.desk()
    desk.answer = each(lambda delivery: 500 if delivery.position == 1 else 200)
    await engine.send(3)
    await trio.sleep(0.5)
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(2)
    await trio.sleep(0.5)
    renamed = ORDERS.replace("syncs.orders", "syncs.sales").replace("[[", 'was = "orders"\n[[')
    made = await engine.reload(renamed)
    desk.answer = always(200)
    await engine.tree.operator.resume("destinations", "crm")
    status = await engine.settled(86_400)

    assert made.changes == ("sync 'sales' was 'orders' (3 pending go along)",)
    assert [(sync.name, sync.created, sync.delivered) for sync in status.syncs] == [("sales", 5, 5)]
    keys = [delivery.key for call in desk.calls for delivery in call.batch]
    assert len(set(keys)) == 5
    assert unbalanced(status) == []


async def test_a_destination_that_changed_is_spoken_to_as_it_is_now_also_by_retries(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    old = engine.desk()
    old.answer = always(500)
    await engine.send(3)
    await old.called(3)
    made = await engine.reload(ORDERS.replace("concurrency = 1", "concurrency = 1\nbatch = 2"))
    new = engine.desk()
    status = await engine.settled(86_400)

    assert made.changes == ("destination 'crm' is changed: batch",)
    assert new is not old
    assert sorted(new.positions) == [1, 2, 3]
    assert old.closed == 1
    assert status.syncs[0].delivered == 3


async def test_a_destination_that_was_mended_gets_what_waits_at_once(nursery, autojump_clock):
    text = ORDERS + '[destinations.crm.retry]\nbackoff = "200s..200s"\n'
    engine = await grow(nursery, text)
    engine.desk().answer = always(500)
    await engine.send(3)
    await trio.sleep(1)
    began = trio.current_time()
    await engine.reload(text.replace("concurrency = 1", 'concurrency = 1\ntimeout = "9s"'))
    engine.desk().answer = always(200)
    await engine.settled()

    assert trio.current_time() - began < 5
    assert sorted(engine.desk().positions[-3:]) == [1, 2, 3]


async def test_a_destination_that_hangs_does_not_hold_up_the_reload(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS.replace("concurrency = 1", 'concurrency = 1\ntimeout = "1h"'))
    engine.desk().answer = hang
    await engine.send(3)
    await engine.desk().called(1)
    began = trio.current_time()
    await engine.reload(ORDERS)
    took = trio.current_time() - began
    await engine.settled(86_400)

    assert took < 10.0
    assert sorted(engine.desk().positions) == [1, 2, 3]


async def test_a_destination_that_does_not_let_go_does_not_hold_up_the_reload(nursery, autojump_clock, monkeypatch):
    async def stuck(_desk: Desk) -> None:
        await trio.sleep_forever()

    engine = await grow(nursery, ORDERS + OTHERS)
    monkeypatch.setattr(Desk, "aclose", stuck)
    began = trio.current_time()
    made = await engine.reload(ORDERS)
    monkeypatch.undo()

    assert made.refused == ""
    assert trio.current_time() - began < 10.0
    assert "erp" not in engine.tree.ports


async def test_a_status_that_is_asked_for_just_before_a_reload_is_told_all_the_same(
    nursery, autojump_clock, monkeypatch
):
    engine = await grow(nursery, ORDERS + OTHERS)
    await engine.tree.operator.pause("syncs", "others")
    await engine.send(5)
    await trio.sleep(1)
    read = engine.store.read

    async def late(*where: Any) -> object:
        monkeypatch.undo()
        await engine.reload(ORDERS)
        return await read(*where)

    monkeypatch.setattr(engine.store, "read", late)
    status = await engine.tree.operator.status()

    assert [sync.name for sync in status.syncs] == ["orders"]


async def test_no_reload_between_what_a_replay_reads_and_what_it_writes(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    async with trio.open_nursery() as asking, engine.tree.replayer.still:
        asking.start_soon(engine.reload, ORDERS)
        await trio.sleep(100)
        during = sorted(engine.tree.plan.syncs)

    assert during == ["orders", "others"]
    assert sorted(engine.tree.plan.syncs) == ["orders"]


async def test_what_is_retried_while_a_reload_takes_its_destination_away_stays_in_the_archive(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    engine.desk().answer = always(400)
    await engine.send(3)
    await engine.settled()
    retried: list[int] = []

    async def retry() -> None:
        retried.append(await engine.tree.operator.retry(Selection(sync="orders")))

    async with trio.open_nursery() as asking, engine.tree.replayer.still:  # the reload comes first
        asking.start_soon(engine.reload, OTHERS)
        await trio.sleep(1)
        asking.start_soon(retry)
        await trio.sleep(1)

    assert retried == [0]
    assert [one.position for one in await engine.archived()] == [1, 2, 3]


async def test_a_reload_that_cannot_begin_is_refused_and_the_engine_goes_on(nursery, autojump_clock, monkeypatch):
    engine = await grow(nursery, ORDERS + OTHERS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def broken() -> None:
        raise RuntimeError("the disk has gone")

    monkeypatch.setattr(engine.tree, "hold_status", broken)
    made = await engine.reload(ORDERS)
    monkeypatch.undo()
    again = await engine.reload(ORDERS)

    assert made.refused == "the reload could not begin: RuntimeError: the disk has gone"
    assert again.changes == ("destination 'erp' is removed", "sync 'others' is removed")


async def test_a_reload_that_breaks_off_half_way_is_told_and_ends_the_engine(nursery, autojump_clock, monkeypatch):
    engine = await grow(nursery, ORDERS + OTHERS)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def broken(*_arguments: object) -> None:
        raise RuntimeError("the store is not itself")

    monkeypatch.setattr("actors.reloading.swap.fit", broken)
    made = await engine.reload(ORDERS)
    with trio.fail_after(60):
        await engine.over.wait()

    assert made.refused == "it broke off half-way: the engine ends, and begins with this configuration"
    assert engine.failure is not None
    assert engine.failure.child == "reloader"


async def test_a_file_that_was_saved_while_the_engine_began_takes_effect(nursery, autojump_clock, tmp_path):
    engine = await grow(nursery, ORDERS, folder=tmp_path)  # nothing is in the folder: what was read is gone
    tree = engine.tree
    tree.reloader = Reloader(tree)
    tree.reloader.aside = at_once
    tree.reloader.reread = partial(shop_plan, ORDERS + OTHERS, tmp_path)
    await tree.supervisor.add(Child(name="watcher", start=tree.reloader.run, stop=tree.reloader.stop))
    await trio.sleep(10)

    assert sorted(tree.plan.syncs) == ["orders", "others"]


async def test_a_file_that_is_wrong_is_refused_whole_and_shown(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    before = lives(engine)
    broken = ORDERS.replace('source = "shop"', 'source = "shpo"') + OTHERS.replace('"desk"', '"dekc"')
    made = await engine.reload(broken)
    status = await engine.tree.operator.status()
    good = await engine.reload(ORDERS)
    after = await engine.tree.operator.status()

    assert "there is no source 'shpo'" in made.refused
    assert status.problems == made.refused
    assert (good.refused, after.problems) == ("", "")
    assert lives(engine) == before


async def test_a_removed_source_lets_through_what_it_has_accepted(nursery, autojump_clock):
    web = '[sources.web]\nwrite_keys = ["web"]\n'
    visits = ORDERS.replace('"shop"', '"web"').replace("orders", "visits").replace("crm", "log")
    engine = await grow(nursery, ORDERS + web + visits)
    desk = engine.desk("log")
    door = engine.tree.doors["web"]
    await engine.send(300, source="web")
    made = await engine.reload(ORDERS)

    assert [line for line in made.changes if "source" in line] == ["source 'web' is removed"]
    assert sorted(desk.positions) == list(range(1, 301))
    assert engine.tree.intake.door_for("web") is None
    assert not door.plan.enabled


async def test_a_lagging_sync_reads_events_by_the_plan_that_judged_them(nursery, autojump_clock, tmp_path):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return []\n")
    engine = await grow(nursery, ORDERS, folder=tmp_path)
    await engine.tree.operator.pause("syncs", "orders")
    for _ in range(12):
        await engine.send(256)
    await trio.sleep(1)
    text = '[functions.f]\nfile = "f.py"\nisolation = "inline"\n'
    made = await engine.reload(_with_function(text), tmp_path)
    await engine.send(10)
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled()

    assert made.changes == ("source 'shop' is changed: functions",)
    assert len(engine.desk().positions) == 12 * 256
    assert status.sources[0].dropped == 10
    assert unbalanced(status) == []


def _with_function(text: str) -> str:
    """Return a configuration whose source has one; `HEAD` ends in the source's table."""
    return f'functions = ["f"]\n{text}{ORDERS}'


async def test_a_hundred_reloads_leave_nothing_behind(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.reload(ORDERS + OTHERS)
    await engine.reload(ORDERS)
    await engine.tree.console.address()
    await trio.sleep(5)
    children, tasks = list(lives(engine)), trio.lowlevel.current_statistics().tasks_living
    for number in range(50):
        await engine.reload(ORDERS.replace("{ n =", f"{{ n{number} =") + OTHERS)
        await engine.send()
        await engine.reload(ORDERS)
    await engine.settled()
    await trio.sleep(5)
    tree = engine.tree

    assert list(lives(engine)) == children
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert {len(part) for part in (tree.ports, tree.lanes, tree.offers, tree.gates, tree.routed, tree.reopened)} == {1}
    assert len(tree.fed["shop"]) == len(tree.books.syncs) == len(tree.eras["shop"]) == 1


async def test_no_reload_while_the_store_is_full(nursery, autojump_clock):
    free = 1 << 40
    store = await open_store("memory", Path(), reserve=1 << 20, free=lambda: free)
    engine = await grow(nursery, ORDERS, store)
    await engine.send(1)
    free = 0
    await trio.sleep(10)
    why = store.usage().full
    made = await engine.reload(ORDERS + OTHERS)
    before = lives(engine)
    free = 1 << 40
    await trio.sleep(10)
    again = await engine.reload(ORDERS + OTHERS)

    assert why
    assert made.refused == f"the store is full: {why}\n    reload when it has room again"
    assert "sender.erp" not in before
    assert again.refused == ""
