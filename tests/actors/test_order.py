"""`order_by`: of the events with one key one is sent at a time, in order, whatever happens to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import trio

from actors.ordering import Ordering, Orderings
from engine.messages import Delivery, State
from engine.plugin import Item, by_status
from engine.runtime import turns
from engine.runtime.bell import Bell
from engine.store.base import Selection
from engine.store.order import Moved
from tests.support.deliveries import delivery
from tests.support.grown import Engine, always, each, grow, hang, reopened, shop_plan, unbalanced
from tests.support.order import Came, disorder

ORDERED = """
[destinations.crm]
type = "desk"
concurrency = 4
[destinations.crm.retry]
backoff = "10s..1m"
[destinations.crm.breaker]
failures = 9999
ratio = 1.0
[syncs.orders]
source = "shop"
destination = "crm"
order_by = "properties.user"
[[syncs.orders.event_types]]
mapping = { n = "properties.n", user = "properties.user" }
"""


@pytest.fixture
def small(monkeypatch):
    """Let little stand in memory, so that a few hundred events are many."""
    monkeypatch.setattr(turns.Turns.__init__, "__defaults__", (10, 30))


def came(*engines: Engine) -> list[Came]:
    calls = [call for engine in engines for call in engine.desk().calls]
    return [Came(one.body().get("user"), one.key, one.position) for call in calls for one in call.batch]


def positions(engine: Engine, user: str) -> list[int]:
    return [one.place for one in came(engine) if one.turn == user]


def slow(seconds: float, then: Callable[[Delivery], int] = lambda _: 200):
    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        await trio.sleep(seconds)
        return [by_status(then(delivery)) for delivery in batch]

    return answer


async def test_of_one_key_one_is_in_flight_and_of_several_as_many_as_may(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    flying: list[set[object]] = [set()]

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        users = {delivery.body()["user"] for delivery in batch}
        assert not users & flying[-1]
        flying.append(flying[-1] | users)
        await trio.sleep(1)
        flying.append(flying[-1] - users)
        return [by_status(200)] * len(batch)

    engine.desk().answer = answer
    for _ in range(5):
        for user in ("a", "b", "c"):
            await engine.send(4, user=user)
    status = await engine.settled()

    assert disorder(came(engine)) == []
    assert max(map(len, flying)) == 3
    assert status.syncs[0].delivered == 60
    assert unbalanced(status) == []


async def test_those_behind_one_that_is_tried_again_wait_and_others_do_not(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    failures = iter([500, 500, 500])
    engine.desk().answer = each(lambda one: next(failures, 200) if one.body()["user"] == "a" else 200)
    await engine.send(5, user="a")
    await engine.send(5, user="b")
    await trio.sleep(1)
    assert (positions(engine, "a"), positions(engine, "b")) == ([1], [6, 7, 8, 9, 10])

    status = await engine.settled(600)
    assert positions(engine, "a") == [1, 1, 1, 1, 2, 3, 4, 5]
    assert unbalanced(status) == []


async def test_what_has_no_key_is_not_ordered_and_counted(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 and not one.attempts else 200)
    await engine.send(3)
    await engine.send(2, user="a")
    await engine.settled(600)

    assert [one.place for one in came(engine) if one.turn is None] == [1, 2, 3, 1]
    assert engine.tree.orderings.of("orders").unkeyed == 3


async def test_one_that_is_archived_at_once_lets_the_next_go(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 400 if one.position == 2 else 200)
    await engine.send(3, user="a")
    status = await engine.settled()

    assert positions(engine, "a") == [1, 2, 3]
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (2, 1)


@pytest.mark.parametrize(
    ("policy", "delivered", "archived"),
    [("release", [2, 3, 4, 5], [1]), ("archive_key", [4, 5], [1, 2, 3])],
)
async def test_one_that_holds_up_its_key_for_too_long_is_archived(nursery, autojump_clock, policy, delivered, archived):
    text = ORDERED.replace("order_by", f'order_timeout = "2m"\non_order_timeout = "{policy}"\norder_by')
    engine = await grow(nursery, text)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 else 200)
    await engine.send(3, user="a")
    await engine.desk().called(1)
    await trio.sleep(125)
    await engine.send(2, user="a")
    status = await engine.settled()

    assert [one.place for one in came(engine) if one.place > 1] == delivered
    last = [call.at for call in engine.desk().calls if call.batch[0].position == 1][-1]
    assert 120 <= last < 121
    troubles = await engine.archived()
    assert [(one.position, one.reason) for one in troubles] == [(at, "order_timeout") for at in archived]
    assert engine.tree.orderings.of("orders").turns.lines == {}
    assert unbalanced(status) == []


async def test_time_that_a_destination_was_down_is_not_held_against_a_key(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED.replace("9999", "1").replace("order_by", 'order_timeout = "2m"\norder_by'))
    engine.desk().answer = always(500)
    await engine.send(3, user="a")
    await trio.sleep(3600)
    engine.desk().answer = always(200)
    status = await engine.settled()

    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 3


async def test_a_batch_holds_one_of_each_key(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED.replace("concurrency = 4", "concurrency = 2\nbatch = 50"))
    engine.desk().answer = slow(0.5)
    for number in range(60):
        await engine.send(1, user=f"u{number % 7}")
    status = await engine.settled()

    batches = [[one.body()["user"] for one in call.batch] for call in engine.desk().calls]
    assert all(len(set(users)) == len(users) for users in batches)
    assert max(map(len, batches)) >= 5
    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 60


async def test_a_hot_key_is_parked_beyond_its_bounds_and_comes_back_in_order(nursery, autojump_clock, small):
    engine = await grow(nursery, ORDERED)
    stood: list[int] = []

    def judge(one: Delivery) -> int:
        stood.append(engine.tree.orderings.of("orders").turns.standing)
        return 500 if one.position == 1 and one.attempts < 3 else 200

    engine.desk().answer = each(judge)
    await engine.send(1, user="a")
    await engine.desk().called(1)
    await engine.send(600, user="a")
    await engine.send(50, user="b")
    await trio.sleep(1)
    status = await engine.tree.operator.status()
    order = engine.tree.orderings.of("orders")

    assert positions(engine, "a") == [1]
    assert len(positions(engine, "b")) == 50
    assert order.turns.standing == 10
    assert order.turns.parked == 590
    rows = await engine.store.ledger.list(Selection(reason="parked", limit=1000))
    assert len(rows) == 590
    assert status.syncs[0].pending == 601
    assert unbalanced(status) == []

    status = await engine.settled(600)
    assert disorder(came(engine)) == []
    assert positions(engine, "a") == [1, 1, 1, *range(1, 602)]
    assert unbalanced(status) == []
    assert max(stood) == 10  # what is fetched stands in memory, too
    assert order.turns.lines == {}
    assert (order.turns.parked, order.turns.standing) == (0, 0)


async def test_all_keys_together_have_a_bound_too(nursery, autojump_clock, small):
    engine = await grow(nursery, ORDERED)
    bad = {f"u{number}" for number in range(20)}
    engine.desk().answer = each(lambda one: 500 if one.body()["user"] in bad and one.attempts < 2 else 200)
    for _ in range(5):
        for user in sorted(bad):
            await engine.send(1, user=user)
        await trio.sleep(1)
    order = engine.tree.orderings.of("orders")
    assert order.turns.standing == 30
    assert order.turns.parked == 50

    status = await engine.settled(600)
    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 100
    assert unbalanced(status) == []


async def test_archive_key_takes_what_is_parked_too_and_nothing_that_comes_later(nursery, autojump_clock, small):
    text = ORDERED.replace("order_by", 'order_timeout = "2m"\non_order_timeout = "archive_key"\norder_by')
    engine = await grow(nursery, text)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 else 200)
    await engine.send(301, user="a")
    await trio.sleep(130)
    await engine.send(5, user="a")
    status = await engine.settled()

    assert [one.place for one in came(engine) if one.place > 1] == list(range(302, 307))
    assert (status.syncs[0].archived, status.syncs[0].delivered) == (301, 5)
    assert engine.tree.orderings.of("orders").turns.lines == {}
    assert unbalanced(status) == []


async def test_a_dead_destination_makes_an_ordered_sync_lag_and_parks_nothing(nursery, autojump_clock, small):
    engine = await grow(nursery, ORDERED.replace("9999", "3"))
    engine.desk().answer = always(503)
    for number in range(3):
        await engine.send(1, user=f"u{number}")
    await trio.sleep(5)
    await engine.send(5000, user="u1")
    await trio.sleep(3600)
    status = await engine.tree.operator.status()

    assert len(await engine.store.ledger.list(Selection())) == 3
    assert status.syncs[0].lag >= 4000
    engine.desk().answer = always(200)
    status = await engine.settled(3600)
    assert disorder(came(engine)) == []
    assert unbalanced(status) == []


async def test_two_that_are_refused_for_what_they_are_do_not_hold_up_all_others(nursery, autojump_clock, small):
    engine = await grow(nursery, ORDERED)
    await engine.unwatched()
    engine.desk().answer = each(lambda delivery: 403 if delivery.body()["n"] <= 2 else 200)
    await engine.send(1, user="anna")
    await engine.send(1, user="bert")
    for _ in range(5):
        await engine.send(10, user="anna")
        await engine.send(10, user="bert")
    await engine.send(1, user="carl")
    status = await engine.settled(3600)

    assert [(one.position, one.reason) for one in await engine.archived()] == [(1, "rejected_403"), (2, "rejected_403")]
    assert status.syncs[0].delivered == 101
    assert disorder(came(engine)) == []
    assert unbalanced(status) == []


async def test_the_order_holds_over_a_crash(nursery, autojump_clock, small):
    first = await grow(nursery, ORDERED)
    first.desk().answer = each(lambda one: 500 if one.position % 5 == 1 and one.attempts < 2 else 200)
    for number in range(200):
        await first.send(1, user=f"u{number % 4}")
    await trio.sleep(3)
    await first.crash()
    second = await grow(nursery, ORDERED, reopened(first.store))
    second.desk().answer = first.desk().answer
    for _ in range(3):
        await trio.sleep(2)
        await second.crash()
        third = await grow(nursery, ORDERED, reopened(second.store))
        third.desk().answer = first.desk().answer
        third.desk().calls[:0] = second.desk().calls
        second = third
    status = await second.settled(3600)

    assert disorder(came(first, second)) == []
    assert sorted({one.place for one in came(first, second)}) == list(range(1, 201))
    assert status.syncs[0].delivered == 200


async def test_a_hanging_one_holds_up_its_key_only(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        return await (hang if batch[0].position == 1 else always(200))(batch)

    engine.desk().answer = answer
    await engine.send(3, user="a")
    await engine.send(300, user="b")
    await trio.sleep(5)

    assert positions(engine, "a") == [1]
    assert len(positions(engine, "b")) == 300


async def test_a_discarded_head_lets_the_next_go(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 else 200)
    await engine.send(3, user="a")
    await trio.sleep(1)
    assert positions(engine, "a") == [1]
    await engine.store.ledger.discard(Selection(sync="orders"), 0.0)
    status = await engine.settled()

    assert positions(engine, "a") == [1, 2, 3]
    assert status.syncs[0].discarded == 1
    assert unbalanced(status) == []


async def test_one_that_is_discarded_while_it_stands_behind_others_is_not_sent_and_holds_up_nobody(
    nursery, autojump_clock, small
):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 and not one.attempts else 200)
    await engine.send(1, user="a")
    await engine.desk().called(1)
    await engine.send(30, user="a")
    engine.desk().answer = slow(5, lambda one: 500 if one.position == 15 else 200)
    while 12 not in positions(engine, "a"):  # the first of those that were parked: others came back with it
        await engine.desk().called(len(engine.desk().calls) + 1)
    [row] = [one for one in await engine.store.ledger.list(Selection(limit=100)) if one.position == 15]
    assert (row.state, row.reason) == (State.RETRYING, "parked")

    assert await engine.tree.operator.discard(Selection(ids=(row.id,))) == 1
    status = await engine.settled(3600)

    assert positions(engine, "a") == [1, *range(1, 15), *range(16, 32)]
    assert (status.syncs[0].delivered, status.syncs[0].discarded) == (30, 1)
    assert unbalanced(status) == []
    assert engine.tree.orderings.of("orders").turns.lines == {}


async def test_one_that_is_discarded_in_flight_and_fails_holds_up_nobody(nursery, autojump_clock):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position == 1 else 200)
    await engine.send(3, user="a")
    await engine.desk().called(1)
    engine.desk().answer = slow(5, lambda one: 500 if one.position == 1 else 200)
    await engine.desk().called(2)

    assert await engine.tree.operator.discard(Selection(sync="orders")) == 1
    status = await engine.settled(3600)

    assert positions(engine, "a") == [1, 1, 2, 3]
    assert (status.syncs[0].delivered, status.syncs[0].discarded) == (2, 1)
    assert unbalanced(status) == []


async def reload(engine: Engine, text: str) -> None:
    plan = shop_plan(text)
    engine.tree.reloader.reread = lambda: plan
    made = await engine.tree.reloader.reload()
    assert made.refused == ""


@pytest.mark.parametrize("how", ["changed mapping", "re-pointed", "renamed"])
async def test_the_order_holds_over_a_reload(nursery, autojump_clock, small, how):
    engine = await grow(nursery, ORDERED)
    engine.desk().answer = each(lambda one: 500 if one.position % 50 == 1 and one.attempts < 3 else 200)
    for number in range(40):
        await engine.send(10, user=f"u{number % 3}")
    await trio.sleep(1)
    assert engine.tree.orderings.of("orders").turns.parked > 100
    before = engine.desk()
    text = {
        "changed mapping": ORDERED.replace("{ n =", "{ m = { value = 1 }, n ="),
        "re-pointed": ORDERED.replace("crm", "erp"),
        "renamed": ORDERED.replace("[syncs.orders", "[syncs.renamed").replace("[[syncs.orders", "[[syncs.renamed"),
    }[how]
    if how == "renamed":
        text = text.replace("order_by", 'was = "orders"\norder_by')
    await reload(engine, text)
    desks = {id(desk): desk for desk in (before, *map(engine.desk, engine.tree.plan.destinations))}
    for desk in desks.values():
        desk.answer = before.answer
    for number in range(10):
        await engine.send(10, user=f"u{number % 3}")
    status = await engine.settled(3600)

    calls = [call for desk in desks.values() for call in desk.calls]
    arrived = [Came(one.body()["user"], one.key, one.position) for call in calls for one in call.batch]
    assert disorder(arrived) == []
    assert sorted({one.place for one in arrived}) == list(range(1, 501))
    assert status.syncs[0].pending == 0


async def test_a_sync_without_order_pays_nothing_for_it(nursery, autojump_clock, monkeypatch):
    asked: list[str] = []
    for owner, name in ((Orderings, "settled"), (Orderings, "patience"), (Ordering, "admit"), (Ordering, "room")):
        monkeypatch.setattr(owner, name, lambda *_arguments, name=name: asked.append(name))
    engine = await grow(nursery, ORDERED.replace('order_by = "properties.user"', ""))
    await engine.send(1000, user="a")
    status = await engine.settled()

    assert status.syncs[0].delivered == 1000
    assert (asked, engine.tree.orderings.by_sync) == ([], {})


def test_nobody_looks_again_for_what_is_parked_before_it_is_written():
    bell = Bell()
    ordering = Ordering("orders", lambda _sync: None, bell)
    ordering.turns.per_key, ordering.turns.again = 0, False
    ordering.turns.found("first", "a", 1)
    assert ordering.turns.admit("second", "a", 2, delivery(2)) is turns.Turn.PARK
    ordering.turns.ended("first")
    [line] = ordering.wishes()
    ordering.fetched(line, [], [])
    assert not bell._event.is_set()
    ordering.moved(Moved(parked=(("orders", "a"),)))

    assert bell._event.is_set()
