"""How a replay makes its deliveries: by the plan of the day, through functions again, and only where there is room."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio

from engine.messages import State
from engine.store.base import Selection
from engine.store.erasing import Erasure
from engine.store.replays import Replay, Wish
from engine.store.revisions import Reached, keep_revision
from tests.support.grown import FUNCTION, ORDERS, Engine, always, at_once, grow, hang, reopened, unbalanced

OTHER = ORDERS.replace('{ n = "properties.n" }', '{ n = "properties.n", more = { value = 1 } }')
ELSEWHERE = OTHER.replace("crm", "erp")
DOUBLES = (
    "def transform_events(events):\n    return [e | {'properties': {'n': e['properties']['n'] * 2}} for e in events]\n"
)
TRIPLES = DOUBLES.replace("* 2", "* 3")
DROPS = "def transform_events(events):\n    return [e for e in events if e['properties']['n'] != 2]\n"


@pytest.fixture(autouse=True)
def compiled_here(monkeypatch):
    monkeypatch.setattr("actors.replayer._aside", at_once)  # while a thread did it, trio's clock would jump


async def known(engine: Engine) -> None:
    """Keep the plan in force as `headrace run` does at its start."""
    loaded = engine.tree.plan.loaded
    reached = Reached(syncs={name: mark.position for name, mark in engine.tree.routed.items()})
    clock = engine.tree.clock.wall()
    await keep_revision(
        engine.store, clock, digest=loaded.digest, text=loaded.text, tables=loaded.tables, reached=reached
    )


async def ended(engine: Engine, wish: Wish) -> dict[str, int]:
    """Run a replay to its end, and return what became of the sync's events."""
    number = (await engine.tree.operator.replay(wish)).number
    with trio.fail_after(3600):
        while (replay := await found(engine, number)).state == "running":  # noqa: ASYNC110 - trio's clock jumps
            await trio.sleep(1)
    became = replay.became.get("orders")
    return {name: getattr(became, name) for name in became.__struct_fields__ if getattr(became, name)} if became else {}


async def found(engine: Engine, number: int) -> Replay:
    return next(one for one in (await engine.tree.operator.replays()).kept if one.number == number)


def bodies(engine: Engine, name: str = "crm") -> list[object]:
    return [one.body() for call in engine.desk(name).calls for one in call.batch]


async def test_the_plan_of_the_day_maps_again_as_it_did_and_the_key_stays(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    await known(first)
    first.desk().answer = always(400)
    await first.send(2)
    await first.settled()
    keys = [one.key for call in first.desk().calls for one in call.batch]
    await first.stop()

    engine = await grow(nursery, ELSEWHERE, reopened(first.store))
    await known(engine)
    assert await ended(engine, Wish(plan="stored")) == {"sent": 2}
    status = await engine.settled()

    assert bodies(engine, "erp") == [{"n": 1}, {"n": 2}]
    assert [one.key for call in engine.desk("erp").calls for one in call.batch] == keys
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (2, 2, 0)


async def test_delivered_events_are_made_again_by_the_plan_of_their_own_day(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    await known(first)
    await first.send(1)
    await first.settled()
    await first.reload(OTHER)
    await first.send(1)
    await first.settled()
    made = [{"n": 1}, {"n": 2, "more": 1}]
    assert bodies(first) == made

    assert await ended(first, Wish(fates=("delivered",), plan="stored")) == {"sent": 2}
    status = await first.settled()

    assert bodies(first) == made * 2
    assert len({one.key for call in first.desk().calls for one in call.batch}) == 2
    assert unbalanced(status) == []


async def test_functions_run_again_only_if_that_is_asked_for(nursery, autojump_clock, tmp_path: Path):
    (tmp_path / "f.py").write_text(DOUBLES)
    first = await grow(nursery, FUNCTION + ORDERS, folder=tmp_path)
    first.desk().answer = always(400)
    await first.send(3)
    await first.settled()
    await first.stop()

    (tmp_path / "f.py").write_text(TRIPLES)
    engine = await grow(nursery, FUNCTION + ORDERS, reopened(first.store), folder=tmp_path)
    engine.desk().answer = always(400)
    assert (await ended(engine, Wish()))["sent"] == 3
    await engine.settled()
    assert bodies(engine) == [{"n": 2}, {"n": 4}, {"n": 6}]

    engine.desk().answer = always(200)
    assert (await ended(engine, Wish(through_functions=True)))["sent"] == 3
    status = await engine.settled()
    assert bodies(engine)[3:] == [{"n": 3}, {"n": 6}, {"n": 9}]
    assert (status.syncs[0].created, status.syncs[0].delivered) == (3, 3)


async def test_what_a_function_drops_now_is_gone_and_stays_in_the_archive(nursery, autojump_clock, tmp_path: Path):
    (tmp_path / "f.py").write_text(DOUBLES)
    first = await grow(nursery, FUNCTION + ORDERS, folder=tmp_path)
    first.desk().answer = always(400)
    await first.send(3)
    await first.settled()
    await first.stop()

    (tmp_path / "f.py").write_text(DROPS)
    engine = await grow(nursery, FUNCTION + ORDERS, reopened(first.store), folder=tmp_path)
    assert await ended(engine, Wish(through_functions=True)) == {"sent": 2, "changed": 2, "gone": 1}
    status = await engine.settled()

    assert bodies(engine) == [{"n": 1}, {"n": 3}]
    assert [one.position for one in await engine.archived()] == [2]
    assert [line for line in unbalanced(status) if line.startswith(("sync", "deliveries"))] == []


async def test_a_replay_holds_while_its_destination_has_no_room_and_goes_on_when_it_has(nursery, autojump_clock):
    many = 3000
    engine = await grow(nursery, ORDERS)
    await engine.send(many)
    await engine.settled()
    before = len(engine.desk().calls)
    engine.desk().answer = hang
    number = (await engine.tree.operator.replay(Wish(fates=("delivered",), rate=10_000.0))).number
    await trio.sleep(3)
    waiting = await found(engine, number)
    rows = len(await engine.store.ledger.list(Selection(states=(State.RETRYING,), limit=10_000)))
    assert (waiting.state, waiting.held) == ("running", "destination 'crm' has no room for more")
    assert 1024 <= rows < 1024 + 2 * 100
    engine.desk().answer = always(200)
    with trio.fail_after(3600):
        while (await found(engine, number)).state == "running":  # noqa: ASYNC110 - trio's clock jumps
            await trio.sleep(1)
    status = await engine.settled(600)

    assert sorted({one.position for call in engine.desk().calls[before:] for one in call.batch}) == list(
        range(1, many + 1)
    )
    assert (status.syncs[0].created, status.syncs[0].delivered) == (2 * many, 2 * many)
    assert unbalanced(status) == []


async def test_one_that_is_held_lets_those_behind_it_go(nursery, autojump_clock, monkeypatch):
    engine = await grow(nursery, ORDERS + ORDERS.replace("orders", "others").replace("crm", "erp"))
    await engine.send(20)
    await engine.settled()
    replayer = engine.tree.replayer
    full = msgspec.structs.replace(replayer._around, free=lambda: {"crm": 0, "erp": 1})
    monkeypatch.setattr(replayer, "_around", full)
    held = await engine.tree.operator.replay(Wish(fates=("delivered",), sync="orders", rate=5.0))

    await engine.tree.operator.replay(Wish(fates=("delivered",), sync="others", rate=5.0))
    await trio.sleep(10)

    first = await found(engine, held.number)
    assert (first.state, first.held, first.became["orders"].sent) == (
        "running",
        "destination 'crm' has no room for more",
        1,
    )
    assert len(engine.desk("erp").calls) == 40
    assert (await engine.tree.operator.stop_replay(held.number)) is not None


async def test_functions_that_take_long_hold_up_no_erasure(nursery, autojump_clock, tmp_path: Path, monkeypatch):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    raise ValueError('no')\n")
    engine = await grow(nursery, FUNCTION + ORDERS, folder=tmp_path)
    await engine.send(8)
    await engine.settled()
    run = engine.tree.replayer._run

    async def slowly(*about):
        await trio.sleep(2)
        return await run(*about)

    monkeypatch.setattr(engine.tree.replayer, "_run", slowly)
    number = (await engine.tree.operator.replay(Wish())).number
    await trio.sleep(1)

    with trio.fail_after(3):
        await engine.tree.operator.erase(Erasure(kind="userId", value="nobody"))

    assert (await found(engine, number)).state == "running"
    await trio.sleep(30)
    ended = await found(engine, number)
    assert (ended.state, ended.became[""].failed) == ("done", 8)
