"""Replay: back to pending once, counted, paced, and the books balance."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from engine.messages import State
from engine.observe.status import Status
from engine.store.base import Selection
from engine.store.replays import Refused, Replay, Wish
from tests.support.grown import FUNCTION, ORDERS, Engine, always, each, grow, reopened, unbalanced

CAST = ORDERS.replace('"properties.n" }', '"properties.n", total = "{{ row.properties.total | cast: \'number\' }}" }')
BROKEN = ORDERS.replace(
    '"properties.n" }', '"properties.n", total = { from = "properties.totl", when_missing = "fail" } }'
)
FIXED = ORDERS.replace(
    '"properties.n" }', '"properties.n", total = { from = "properties.total", when_missing = "fail" } }'
)
FILTERED = ORDERS.replace("mapping", "filter = 'properties.n > 2'\nmapping")
OTHER = ORDERS.replace('{ n = "properties.n" }', '{ n = "properties.n", more = { value = 1 } }')
CONTRACT = """
[contracts.shop]
sources = ["shop"]
on_undeclared_event = "block"
[[contracts.shop.events]]
type = "track"
name = "{name}"
schema = {{ type = "object" }}
"""


async def ended(engine: Engine, wish: Wish) -> Replay:
    """Run a replay to its end, and return what became of it."""
    number = (await engine.tree.operator.replay(wish)).number
    with trio.fail_after(3600):
        while True:
            replays = await engine.tree.operator.replays()
            found = next(one for one in replays.kept if one.number == number)
            if found.state != "running":
                return found
            await trio.sleep(1)


async def counted(engine: Engine, wish: Wish) -> Replay:
    """Count it only."""
    replay = Replay(wish=wish, at=0.0)
    while replay.state == "running":
        replay = await engine.tree.operator.count_replay(replay)
    return replay


def facts(replay: Replay, sync: str = "orders") -> dict[str, int]:
    """Return what became of a sync's events, without zeros."""
    became = replay.became.get(sync)
    names = became.__struct_fields__ if became else ()
    return {name: getattr(became, name) for name in names if getattr(became, name)}


def off(status: Status) -> list[str]:
    """Return the syncs' books that do not balance: the door counts since start."""
    return [line for line in unbalanced(status) if line.startswith(("sync", "deliveries"))]


def sent(engine: Engine) -> list[tuple[int, str]]:
    """Return position and key of every delivery that was tried."""
    return [(one.position, one.key) for call in engine.desk().calls for one in call.batch]


def bodies(engine: Engine) -> list[Any]:
    return [one.body() for call in engine.desk().calls for one in call.batch]


async def test_a_mapping_is_mended_and_its_archive_replayed(nursery, autojump_clock):
    broken = await grow(nursery, BROKEN)
    await broken.send(3, total=5)
    await broken.settled()
    assert [(one.reason, one.payload) for one in await broken.archived()] == [("mapping_failed", b"")] * 3
    await broken.stop()

    engine = await grow(nursery, FIXED, reopened(broken.store))
    assert facts(await counted(engine, Wish())) == {"sent": 3}
    assert facts(await ended(engine, Wish())) == {"sent": 3}
    status = await engine.settled()

    assert bodies(engine) == [{"n": n, "total": 5} for n in (1, 2, 3)]
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (3, 3, 0)
    assert off(status) == []
    assert facts(await ended(engine, Wish())) == {}
    assert len(bodies(engine)) == 3


async def test_what_fails_again_stays_in_the_archive_with_what_is_wrong_today(nursery, autojump_clock):
    broken = await grow(nursery, BROKEN)
    await broken.send(1)
    await broken.settled()
    await broken.stop()

    engine = await grow(nursery, FIXED, reopened(broken.store))
    assert facts(await ended(engine, Wish())) == {"failed": 1}

    [row] = await engine.archived()
    assert "properties.total" in row.error
    assert off(await engine.settled()) == []


async def test_an_unchanged_payload_keeps_its_key_and_a_changed_one_gets_another(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    first.desk().answer = always(400)
    await first.send(2)
    await first.settled()
    keys = dict(sent(first))

    assert facts(await ended(first, Wish(sync="orders", reason="rejected_400"))) == {"sent": 2}
    await first.settled()
    assert sent(first)[2:] == list(keys.items())
    await first.stop()

    engine = await grow(nursery, OTHER, reopened(first.store))
    assert facts(await ended(engine, Wish())) == {"sent": 2, "changed": 2}
    status = await engine.settled()
    assert sent(engine) == [(at, f"{key};r2") for at, key in keys.items()]
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (2, 2, 0)


async def test_keys_can_be_kept_all_the_same(nursery, autojump_clock):
    first = await grow(nursery, ORDERS)
    first.desk().answer = always(400)
    await first.send(1)
    await first.settled()
    await first.stop()

    engine = await grow(nursery, OTHER, reopened(first.store))
    await ended(engine, Wish(same_keys=True))
    await engine.settled()

    assert sent(engine) == sent(first)


async def test_delivered_events_are_replayed_as_new_deliveries(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(5)
    await engine.settled()

    wish = Wish(fates=("delivered",), filter="properties.n >= 4")
    assert facts(await ended(engine, wish)) == {"sent": 2, "changed": 2}  # nobody kept the plan of the day
    status = await engine.settled()

    assert engine.desk().positions == [1, 2, 3, 4, 5, 4, 5]
    assert (status.syncs[0].created, status.syncs[0].delivered) == (7, 7)
    assert unbalanced(status) == []


async def test_filtered_events_are_replayed_once_the_filter_takes_them(nursery, autojump_clock):
    first = await grow(nursery, FILTERED)
    await first.send(4)
    await first.settled()
    await first.stop()

    engine = await grow(nursery, FILTERED.replace("> 2", "> 1"), reopened(first.store))
    assert facts(await counted(engine, Wish(fates=("filtered",)))) in ({"filtered": 1}, {"filtered": 1, "sent": 1}, {})
    await ended(engine, Wish(fates=("delivered", "filtered")))
    status = await engine.settled()

    assert engine.desk().positions == [2, 3, 4]
    assert sum(status.syncs[0].filtered.values()) == 2
    assert off(status) == []


async def test_a_contract_is_mended_and_blocked_events_go_on(nursery, autojump_clock):
    first = await grow(nursery, CONTRACT.format(name="Other") + ORDERS)
    await first.send(3)
    status = await first.settled()
    assert (status.sources[0].blocked, status.sources[0].passed) == (3, 0)
    await first.stop()

    engine = await grow(nursery, CONTRACT.format(name="Seen") + ORDERS, reopened(first.store))
    assert facts(await ended(engine, Wish())) == {"sent": 3}
    status = await engine.settled()

    assert (status.sources[0].blocked, status.sources[0].passed) == (0, 3)
    assert (status.syncs[0].matched, status.syncs[0].delivered) == (3, 3)
    assert off(status) == []
    assert await engine.store.ledger.list(Selection()) == []


async def test_events_that_the_contract_still_stops_stay_blocked(nursery, autojump_clock):
    engine = await grow(nursery, CONTRACT.format(name="Other") + ORDERS)
    await engine.send(3)
    await engine.settled()

    assert facts(await ended(engine, Wish()), "") == {"blocked": 3}
    assert unbalanced(await engine.settled()) == []


async def test_a_function_is_mended_and_runs_for_what_it_failed_on(nursery, autojump_clock, tmp_path):
    (tmp_path / "f.py").write_text("def transform_events(events):\n    raise ValueError('no')\n")
    first = await grow(nursery, FUNCTION + ORDERS, folder=tmp_path)
    await first.send(2)
    await first.settled()
    await first.stop()

    (tmp_path / "f.py").write_text(
        "def transform_events(events):\n    return [e for e in events for _ in range(e['properties']['n'])]\n"
    )
    engine = await grow(nursery, FUNCTION + ORDERS, reopened(first.store), folder=tmp_path)
    assert facts(await ended(engine, Wish(stage="function"))) == {"sent": 3}
    status = await engine.settled()

    source = status.sources[0]
    assert (source.failed, source.passed, source.derived) == (0, 3, 1)
    assert engine.desk().positions == [1, 2, 2]
    assert off(status) == []


async def test_what_waits_anyway_is_left_alone_and_counted(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = always(503)
    await engine.send(2)
    await engine.desk().called(2)
    await trio.sleep(1)

    assert facts(await ended(engine, Wish(fates=("delivered",)))) == {"pending": 2}
    engine.desk().answer = always(200)
    status = await engine.settled(7200)
    assert status.syncs[0].created == 2
    assert unbalanced(status) == []


async def test_the_same_replay_is_not_begun_twice(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(50)
    await engine.settled()
    wish = Wish(fates=("delivered",), rate=1.0)
    await engine.tree.operator.replay(wish)

    with pytest.raises(Refused) as caught:
        await engine.tree.operator.replay(Wish(fates=("delivered",), rate=100.0))

    assert str(caught.value) == (
        "replay 1 does just that, and has not ended\n"
        "    headrace replay list shows how far it is; headrace replay stop 1 ends it"
    )
    stopped = await engine.tree.operator.stop_replay(1)
    assert stopped is not None
    assert stopped.state == "stopped"
    assert await engine.tree.operator.stop_replay(9) is None


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(sync="order"), "no sync 'order'\n    did you mean 'orders'?"),
        (Wish(fates=()), "nothing is meant\n    name archived, blocked, discarded, delivered or filtered"),
    ],
)
async def test_what_means_nothing_is_refused(nursery, autojump_clock, wish, said):
    engine = await grow(nursery, ORDERS)

    with pytest.raises(Refused) as caught:
        await engine.tree.operator.replay(wish)

    assert str(caught.value) == said


async def test_a_replay_keeps_to_its_rate(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(100)
    await engine.settled()
    began = len(engine.desk().calls)

    await ended(engine, Wish(fates=("delivered",), rate=10.0))
    await engine.settled()

    again = engine.desk().times[began:]
    assert len(again) == 100
    assert again[-1] - again[0] >= 9.0


async def test_a_replay_that_waits_for_another_means_nothing_that_comes_later(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(10)
    await engine.settled()
    await engine.tree.operator.replay(Wish(fates=("delivered",), filter="properties.n < 9", rate=1.0))
    await trio.sleep(1.5)

    waiting = await engine.tree.operator.replay(Wish(fates=("delivered",), filter="properties.n >= 9"))
    await engine.send(10)
    with trio.fail_after(3600):
        while (found := (await engine.tree.operator.replays())).running:  # noqa: ASYNC110 - trio's clock jumps
            await trio.sleep(1)

    assert next(facts(one) for one in found.kept if one.number == waiting.number) == {"sent": 2, "changed": 2}
    await engine.settled()
    assert sorted(engine.desk().positions[10:]) == [*range(1, 11), *range(11, 21)]


async def test_a_replay_goes_on_where_it_stood_and_makes_nothing_twice(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = each(lambda one: 400)
    await engine.send(60)
    await engine.settled()
    await engine.tree.operator.replay(Wish(rate=5.0))
    engine.desk().answer = always(200)
    await engine.desk().called(60 + 17)
    await engine.crash()
    done = len(engine.desk().calls) - 60

    engine = await grow(nursery, ORDERS, reopened(engine.store))
    with trio.fail_after(3600):
        while (await engine.tree.operator.replays()).running:  # noqa: ASYNC110 - trio's clock jumps
            await trio.sleep(1)
    status = await engine.settled()

    assert status.syncs[0].archived == 0
    assert status.syncs[0].delivered == status.syncs[0].created == 60
    assert 60 <= done + len(engine.desk().calls) <= 63  # outcomes of the last quarter of a second were not written
    assert await engine.store.ledger.list(Selection(states=(State.RETRYING,))) == []
