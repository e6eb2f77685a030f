"""Replay by what became of an event: each once, whatever its sync was called, and nothing that was not meant."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from engine.messages import State
from engine.store.base import Selection
from engine.store.replays import Place, Refused, Replay, Wish
from tests.actors.test_replay import CONTRACT, OTHER, counted, ended, facts, off, sent
from tests.support.grown import FUNCTION, ORDERS, Engine, always, at_once, each, grow, reopened, unbalanced

ALL = ORDERS.replace('destination = "crm"\n[[', 'destination = "crm"\nmatch = "all"\n[[')
BLOCKS, ALLOWS = CONTRACT.format(name="Other"), CONTRACT.format(name="Seen")
ANOTHER = """
[syncs.others]
source = "shop"
destination = "crm"
[[syncs.others.event_types]]
mapping = { n = "properties.n" }
"""


@pytest.fixture(autouse=True)
def compiled_here(monkeypatch):
    monkeypatch.setattr("actors.replayer._aside", at_once)  # while a thread did it, trio's clock would jump


def renamed(text: str) -> str:
    return text.replace("syncs.orders", "syncs.sales").replace('source = "shop"', 'source = "shop"\nwas = "orders"')


async def failed(nursery: trio.Nursery, text: str, count: int) -> Engine:
    """Return an engine that has so many refused deliveries in its archive."""
    engine = await grow(nursery, text, remember=True)
    engine.desk().answer = always(400)
    await engine.send(count)
    await engine.settled()
    return engine


async def test_what_was_archived_and_arrives_meanwhile_is_not_met_again_as_delivered(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS, remember=True)
    engine.desk().answer = each(lambda one: 400 if one.position == 1 else 200)
    await engine.send(2)
    await engine.settled()
    engine.desk().answer = always(200)

    assert facts(await ended(engine, Wish(fates=("archived", "delivered"), rate=1.0))) == {"sent": 2}

    status = await engine.settled()
    assert sorted(engine.desk().positions) == [1, 1, 2, 2]
    assert unbalanced(status) == []


@pytest.mark.parametrize("text", [ORDERS, ALL])
@pytest.mark.parametrize("plan", ["current", "stored"])
async def test_a_renamed_sync_replays_its_archive_by_the_keys_it_had(nursery, autojump_clock, text, plan):
    first = await failed(nursery, text, 2)
    await first.stop()
    engine = await grow(nursery, renamed(text), reopened(first.store), remember=True)

    assert facts(await ended(engine, Wish(fates=("delivered",), plan=plan)), "sales") == {}
    assert facts(await ended(engine, Wish(plan=plan)), "sales") == {"sent": 2}

    status = await engine.settled()
    assert sent(engine) == sent(first)
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (2, 2, 0)
    assert off(status) == []
    assert await engine.store.ledger.list(Selection()) == []


async def test_a_renamed_sync_replays_what_it_delivered_by_the_keys_it_had(nursery, autojump_clock):
    first = await grow(nursery, ORDERS, remember=True)
    await first.send(2)
    await first.settled()
    await first.stop()
    engine = await grow(nursery, renamed(ORDERS), reopened(first.store), remember=True)

    assert facts(await ended(engine, Wish(fates=("delivered",))), "sales") == {"sent": 2}

    assert off(await engine.settled()) == []
    assert sent(engine) == sent(first)


async def test_a_payload_that_changes_again_gets_one_number_and_its_row_one_id(nursery, autojump_clock):
    first = await failed(nursery, ORDERS, 1)
    await first.stop()
    second = await grow(nursery, OTHER, reopened(first.store), answers={"crm": always(400)}, remember=True)
    await ended(second, Wish())
    await second.settled()
    await second.stop()
    engine = await grow(nursery, ORDERS, reopened(second.store), answers={"crm": always(400)}, remember=True)

    await ended(engine, Wish())
    await engine.settled()

    [(_, key)] = sent(first)
    assert [*sent(second), *sent(engine)] == [(1, f"{key};r1"), (1, f"{key};r2")]
    [row] = await engine.archived()
    assert row.id == f"1-{key[:12]}"


async def test_what_a_contract_had_blocked_is_not_replayed_as_delivered(nursery, autojump_clock):
    engine = await grow(nursery, BLOCKS + ORDERS, remember=True)
    await engine.send(3)
    await engine.settled()
    await engine.reload(ALLOWS + ORDERS)

    assert facts(await ended(engine, Wish(fates=("delivered", "filtered")))) == {}
    assert facts(await ended(engine, Wish(fates=("blocked", "delivered")))) == {"sent": 3}

    status = await engine.settled()
    assert engine.desk().positions == [1, 2, 3]
    assert unbalanced(status) == []


async def test_delivered_events_are_found_though_their_source_has_a_function_since(nursery, autojump_clock, tmp_path):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    engine = await grow(nursery, ORDERS, folder=tmp_path, remember=True)
    await engine.send(2)
    await engine.settled()
    await engine.reload(FUNCTION + ORDERS, tmp_path)

    assert facts(await counted(engine, Wish(fates=("delivered",)))) == {"sent": 2}
    [traced] = await engine.tree.operator.trace("m1")
    assert (traced.fate, [one.fate for one in traced.syncs]) == ("passed", ["delivered"])


async def test_a_sync_that_is_new_has_delivered_nothing_of_before(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS, remember=True)
    await engine.send(3)
    await engine.settled()
    await engine.reload(ORDERS + ANOTHER)
    await engine.send(1)
    await engine.settled()

    found = await counted(engine, Wish(fates=("delivered", "filtered")))
    assert (facts(found), facts(found, "others")) == ({"sent": 4}, {"sent": 1})
    [traced] = await engine.tree.operator.trace("m1")
    assert [(one.sync, one.fate) for one in traced.syncs] == [("orders", "delivered")]


@pytest.mark.parametrize("functions", [False, True])
async def test_a_sync_that_lags_gets_what_passes_its_source_now(nursery, autojump_clock, tmp_path, functions):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    return events\n")
    text = (FUNCTION if functions else "") + ORDERS + ANOTHER
    engine = await grow(nursery, text + BLOCKS, folder=tmp_path, remember=True)
    await engine.tree.operator.pause("syncs", "orders")
    for _ in range(4):  # the router has some in hand, some wait for it, and some are in the log only
        await engine.send(2)
        await trio.sleep(1)
    await engine.reload(text + ALLOWS, tmp_path)

    became = await ended(engine, Wish())
    await trio.sleep(1)
    await engine.tree.operator.resume("syncs", "orders")
    status = await engine.settled()

    assert facts(became, "others") == {"sent": 8}
    [traced] = await engine.tree.operator.trace("m1")
    assert (traced.fate, {one.fate for one in traced.syncs}) == ("passed", {"delivered"})
    by_sync: dict[str, list[int]] = {"orders": [], "others": []}
    for call in engine.desk().calls:
        for one in call.batch:
            by_sync[one.sync].append(one.position)
    assert {name: sorted(found) for name, found in by_sync.items()} == {name: [*range(1, 9)] for name in by_sync}
    assert unbalanced(status) == []


@pytest.mark.parametrize(
    ("part", "found"),
    [({"text": "M2"}, {"sent": 1}), ({"reason": "rejected_400"}, {}), ({"reason": "no_event_type"}, {"filtered": 1})],
)
async def test_every_part_holds_for_events_of_the_log_too(nursery, autojump_clock, part: dict[str, Any], found):
    engine = await grow(nursery, ORDERS.replace("mapping", "filter = 'properties.n < 3'\nmapping"), remember=True)
    await engine.send(3)
    await engine.settled()

    assert facts(await counted(engine, Wish(fates=("delivered", "filtered"), **part))) == found


async def test_a_stage_means_no_event_that_went_well(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)

    with pytest.raises(Refused) as caught:
        await engine.tree.operator.replay(Wish(fates=("archived", "delivered"), stage="send"))

    assert str(caught.value) == (
        "stage 'send': events that were delivered or filtered failed at none\n"
        "    leave it out, or name archived, blocked or discarded"
    )


@pytest.mark.parametrize("read", [{"orders": 0}, {}, {"nobody": 5}])
async def test_a_count_that_says_it_stands_where_nothing_is_comes_to_an_end(nursery, autojump_clock, read):
    engine = await grow(nursery, ORDERS)
    await engine.send(3)
    await engine.settled()
    place = Place(read=read, upto={"orders": 1_000_000, "nobody": 9}, set=True)

    with trio.fail_after(1):
        found = await engine.tree.operator.count_replay(Replay(wish=Wish(fates=("delivered",)), at=0.0, place=place))

    assert (found.state, facts(found)) == ("done", {"sent": 3, "changed": 3})


async def test_an_entry_that_outlives_its_event_keeps_its_copy_whatever_is_tried(nursery, autojump_clock):
    first = await failed(nursery, ORDERS.replace("mapping", 'name = "a"\nmapping'), 1)
    await first.stop()
    store = reopened(first.store)
    kept = await store.ledger.list(Selection())
    store._contents.events.clear()
    text = ORDERS.replace("mapping", 'name = "b"\nmapping')
    engine = await grow(nursery, text, store, answers={"crm": always(400)}, remember=True)
    wanted = Selection(states=(State.ARCHIVED,))
    assert await engine.tree.operator.retry(wanted) == 1
    await engine.settled()

    assert facts(await ended(engine, Wish())) == {"sent": 1}
    await engine.settled()

    [former] = kept
    assert [(row.event_type, row.event) for row in await engine.archived()] == [("b", former.event)]


async def test_what_is_kept_of_a_sync_that_is_gone_is_traced(nursery, autojump_clock):
    engine = await failed(nursery, ORDERS, 1)
    await engine.reload(ORDERS.partition("[syncs")[0])

    [one] = await engine.tree.operator.trace("m1")

    assert [(each.sync, each.fate, each.reason) for each in one.syncs] == [("orders", "archived", "rejected_400")]


async def test_a_trace_tells_what_the_contract_of_the_day_said(nursery, autojump_clock):
    engine = await grow(nursery, ALLOWS + ORDERS, remember=True)
    await engine.send(1)
    await engine.settled()
    await engine.reload(BLOCKS + ORDERS)

    [one] = await engine.tree.operator.trace("m1")

    assert (one.fate, [each.fate for each in one.syncs]) == ("passed", ["delivered"])


async def test_what_came_while_an_operator_had_switched_a_sync_off_was_filtered(nursery, autojump_clock):
    first = await grow(nursery, ORDERS, remember=True)
    await first.send(1)
    await first.settled()
    await first.tree.operator.disable("syncs", "orders")
    await first.send(2)
    await first.settled()
    await first.tree.operator.enable("syncs", "orders")
    await first.send(1)
    await first.settled()
    await first.stop()
    engine = await grow(nursery, ORDERS, reopened(first.store), remember=True)

    assert facts(await counted(engine, Wish(fates=("delivered",)))) == {"sent": 2}
    assert facts(await ended(engine, Wish(fates=("filtered",), reason="disabled"))) == {"sent": 2}

    assert off(await engine.settled()) == []
    assert engine.desk().positions == [2, 3]
    assert len({key for _, key in sent(first) + sent(engine)}) == 4


async def test_a_plan_that_no_engine_has_run_with_decided_nothing(nursery, autojump_clock):
    filtering = ORDERS.replace("mapping", "filter = 'properties.n > 2'\nmapping")
    first = await grow(nursery, filtering, remember=True)
    await first.send(4)
    await first.settled()
    await first.stop()
    edited = await grow(nursery, OTHER, reopened(first.store))  # as headrace replay does where no engine runs

    assert facts(await counted(edited, Wish(fates=("filtered",)))) == {"sent": 2}
    assert facts(await counted(edited, Wish(fates=("delivered",)))) == {"sent": 2, "changed": 2}


async def test_a_sync_is_known_by_all_the_names_it_had(nursery, autojump_clock):
    first = await grow(nursery, ORDERS, remember=True)
    await first.send(2)
    await first.settled()
    await first.stop()
    second = await grow(nursery, renamed(ORDERS), reopened(first.store), remember=True)
    await second.stop()
    third = await grow(nursery, ORDERS.replace("syncs.orders", "syncs.sales"), reopened(second.store), remember=True)

    [traced] = await third.tree.operator.trace("m1")
    assert [(one.sync, one.fate) for one in traced.syncs] == [("sales", "delivered")]
    assert facts(await ended(third, Wish(fates=("delivered",))), "sales") == {"sent": 2}
    await third.settled()
    assert sent(third) == sent(first)
