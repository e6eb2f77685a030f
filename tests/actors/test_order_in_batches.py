"""A destination that applies a batch in order may get several deliveries of one key in it; and none out of order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
import trio

import actors.sender
from engine.messages import Delivery, Reply
from engine.plugin import Item, by_status
from engine.runtime import turns
from engine.store.base import Selection
from plugins.destinations.webhook import Webhook
from tests.support.grown import Engine, always, each, grow, hang, inturn, reopened, unbalanced
from tests.support.order import Came, disorder
from tests.support.sink import Sink

BATCHED = """
[destinations.crm]
type = "desk"
batch = 8
in_order = true
concurrency = 3
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


def came(*engines: Engine) -> list[Came]:
    calls = [call for engine in engines for call in engine.desk().calls]
    return [Came(one.body().get("user"), one.key, one.position) for call in calls for one in call.batch]


def batches(engine: Engine) -> list[list[int]]:
    return [[one.position for one in call.batch] for call in engine.desk().calls]


async def held(engine: Engine, users: str) -> None:
    """Send one event for each letter while the destination is paused, then let it go on."""
    await engine.tree.operator.pause("destinations", "crm")
    for user in users:
        await engine.send(user=user)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")


@pytest.mark.parametrize(
    ("declared", "first"), [("in_order = true", [1, 3, 2, 4, 5, 6, 7]), ("in_order = false", [1, 3])]
)
async def test_several_of_a_key_stand_in_one_batch_if_it_is_applied_in_order(nursery, autojump_clock, declared, first):
    engine = await grow(nursery, BATCHED.replace("in_order = true", declared))
    await held(engine, "aabaaaa")
    status = await engine.settled()

    assert batches(engine)[0] == first
    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 7
    assert unbalanced(status) == []


async def test_a_batch_holds_no_more_than_it_may(nursery, autojump_clock):
    engine = await grow(nursery, BATCHED)
    await held(engine, "a" * 30)
    await engine.settled()

    assert batches(engine) == [list(range(first, min(first + 8, 31))) for first in range(1, 31, 8)]


async def test_behind_one_that_is_tried_again_the_rest_of_its_batch_waits_again(nursery, autojump_clock):
    engine = await grow(nursery, BATCHED)
    engine.desk().answer = inturn(always(503), always(200))
    await held(engine, "aaba")
    await trio.sleep(1)
    waiting = await engine.store.ledger.list(Selection())
    assert sorted(one.position for one in waiting) == [1, 3]
    status = await engine.settled()

    assert batches(engine)[0] == [1, 3, 2, 4]
    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 4
    assert engine.tree.places.free == engine.tree.places.capacity
    assert unbalanced(status) == []


async def test_one_that_is_archived_holds_up_none_of_its_batch(nursery, autojump_clock):
    engine = await grow(nursery, BATCHED)
    engine.desk().answer = each(lambda one: 400 if one.position == 1 else 200)
    await held(engine, "aaa")
    status = await engine.settled()

    assert batches(engine) == [[1, 2, 3]]
    assert (status.syncs[0].delivered, status.syncs[0].archived) == (2, 1)


async def test_the_second_half_of_a_divided_batch_waits_for_the_first(nursery, monkeypatch):
    bounds = Webhook.bounds
    monkeypatch.setattr(Webhook, "bounds", lambda self: msgspec.structs.replace(bounds(self), ordered_batch=True))
    sink, failures = Sink(), iter([503])
    sink.judge = lambda body: Reply(status=413 if body.count(b'"n"') > 2 else next(failures, 200))
    await nursery.start(sink.run)
    http = f'type = "webhook"\nurl = "http://127.0.0.1:{sink.port}/"\nallow_private = true\nbatch = 8'
    text = BATCHED.replace('type = "desk"\nbatch = 8\nin_order = true', http).replace("10s..1m", "50ms..50ms")
    engine = await grow(nursery, text)
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(7, user="a")
    await engine.tree.operator.resume("destinations", "crm")
    await sink.took(7)
    await engine.stop()

    assert disorder(Came("a", one.key, one.number) for one in sink.arrivals) == []
    assert [one.number for one in sink.arrivals if one.status == 503] == [1]
    assert (await engine.store.meta.counts())["sync:orders", "delivered"] == 7
    assert engine.tree.places.free == engine.tree.places.capacity


async def test_what_one_holds_up_for_too_long_is_archived_with_it_though_it_was_in_its_batch(nursery, autojump_clock):
    policy = 'order_by = "properties.user"\norder_timeout = "30s"\non_order_timeout = "archive_key"'
    engine = await grow(nursery, BATCHED.replace('order_by = "properties.user"', policy))
    engine.desk().answer = always(503)
    await held(engine, "aaa")
    await trio.sleep(60)
    status = await engine.settled()

    assert Counter(one.reason for one in await engine.archived()) == {"order_timeout": 3}
    assert unbalanced(status) == []


async def test_of_what_a_dead_sender_had_in_hand_the_first_of_each_key_is_tried_again(
    nursery, autojump_clock, monkeypatch
):
    class Fragile(actors.sender.Sender):
        died = False

        async def _direct(self, deliveries: list[Delivery]):
            outcome = await super()._direct(deliveries)
            if not Fragile.died:
                Fragile.died = True
                raise ZeroDivisionError("after the request")
            return outcome

    monkeypatch.setattr(actors.sender, "Sender", Fragile)
    engine = await grow(nursery, BATCHED)
    await held(engine, "aabaabb")
    status = await engine.settled(600)

    assert disorder(came(engine)) == []
    assert status.syncs[0].delivered == 7
    assert engine.tree.places.free == engine.tree.places.capacity
    assert unbalanced(status) == []


@pytest.mark.parametrize("what", ["removed", "re-pointed"])
async def test_a_reload_that_takes_the_sync_elsewhere_leaves_nothing_of_its_batches_behind(
    nursery, autojump_clock, what
):
    other = BATCHED[: BATCHED.index("[syncs")]
    after = {"removed": other, "re-pointed": BATCHED + other.replace("crm", "erp")}[what]
    if what == "re-pointed":
        after = after.replace('destination = "crm"', 'destination = "erp"')
    engine = await grow(nursery, BATCHED)
    engine.desk().answer = hang
    await held(engine, "aaabbb")
    await trio.sleep(1)
    reloaded = await engine.reload(after)
    assert reloaded.refused == ""
    status = await engine.settled(600)
    counts = await engine.store.meta.counts()

    of_sync = {name: count for (scope, name), count in counts.items() if scope == "sync:orders"}
    assert of_sync["created"] == 6
    assert of_sync.get("archived", 0) + of_sync.get("delivered", 0) == 6
    assert unbalanced(status) == []


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_destination_answers_the_order_is_kept(nursery, autojump_clock, monkeypatch, seed):
    monkeypatch.setattr(turns.Turns.__init__, "__defaults__", (10, 30))
    chance = random.Random(seed)

    async def answer(batch: Sequence[Delivery]) -> Sequence[Item]:
        await trio.sleep(chance.random())
        if chance.random() < 0.2:
            return [by_status(chance.choice([503, 413, 400, 401]))] * len(batch)
        items: list[Item] = []
        stopped: set[object] = set()
        for one in batch:
            user = one.body()["user"]
            status = chance.choice([200] * 20 + [400, 503])
            items.append(by_status(503 if user in stopped else status))
            stopped |= {user} if items[-1].status == 503 else set()
        return items

    engines = [await grow(nursery, BATCHED, answers={"crm": answer})]
    for part in range(4):
        for _ in range(40):
            await engines[-1].send(user=chance.choice("abcdefgh"))
            if chance.random() < 0.3:
                await trio.sleep(chance.random() * 5)
        if part < 3:
            await engines[-1].crash()
            sent = engines[-1]._sent
            engines.append(await grow(nursery, BATCHED, reopened(engines[-1].store), answers={"crm": answer}))
            engines[-1]._sent = sent
    engines[-1].desk().answer = always(200)
    status = await engines[-1].settled(3600)

    assert disorder(came(*engines)) == []
    assert status.syncs[0].created == 160
    assert engines[-1].tree.places.free == engines[-1].tree.places.capacity
    assert [line for line in unbalanced(status) if line.startswith(("sync", "deliveries"))] == []
