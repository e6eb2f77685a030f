"""An event's own word on who may have it: asked when it is routed, and again before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from engine.store.base import Selection
from engine.store.replays import Wish
from tests.support.grown import ORDERS, Engine, always, at_once, grow, inturn, reopened, unbalanced

ASKING = ORDERS.replace(
    'type = "desk"', 'type = "desk"\nintegration = "Braze"\nconsent = ["advertising"]\nretry = { backoff = "1s..1s" }'
)
PLAIN = ORDERS.replace('type = "desk"', 'type = "desk"\nretry = { backoff = "1s..1s" }')
OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")

SAYS: tuple[dict[str, Any], ...] = (
    {},
    {"integrations": {"All": False}},
    {"integrations": {"All": False, "Braze": {"id": 1}}},
    {"context": {"consent": {"categoryPreferences": {"advertising": False}}}},
    {"context": {"consent": {"categoryPreferences": {"advertising": True}}}},
)
"""Position 1 to 5; of these 2 and 4 are withheld."""


async def send(engine: Engine, *said: dict[str, Any]) -> None:
    for each in said:
        await engine.say(each)


async def test_an_event_goes_only_where_it_may(nursery, autojump_clock):
    engine = await grow(nursery, ASKING + OTHERS)
    await send(engine, *SAYS)
    status = await engine.settled()

    assert engine.desk("crm").positions == [1, 3, 5]
    assert sorted(engine.desk("erp").positions) == [1, 2, 3, 4, 5]
    assert [sync.filtered for sync in status.syncs] == [{"integrations": 1, "consent": 1}, {}]
    assert unbalanced(status) == []


async def test_who_asks_for_nothing_carries_nothing(nursery, autojump_clock):
    engine = await grow(nursery, ASKING + OTHERS)
    await send(engine, *SAYS)
    await engine.settled()

    assert {each.batch[0].permits for each in engine.desk("erp").calls} == {None}
    assert [each.batch[0].permits for each in engine.desk("crm").calls] == [
        b"",
        b'{"integrations":{"All":false,"Braze":true}}',
        b'{"consent":{"advertising":true}}',
    ]


@pytest.mark.parametrize("before", [ASKING.replace("advertising", "analytics"), PLAIN], ids=["other", "nothing"])
async def test_what_waits_to_be_tried_again_is_asked_as_the_destination_asks_today(nursery, autojump_clock, before):
    first = await grow(nursery, before)
    first.desk().answer = always(503)
    allowed = {"integrations": {"Braze": True}}
    both = {"context": {"consent": {"categoryPreferences": {"advertising": False, "analytics": True}}}}
    await send(first, both, allowed)
    await first.desk().called(2)
    await trio.sleep(0.5)
    await first.crash()
    second = await grow(nursery, ASKING, reopened(first.store))
    status = await second.settled()

    [trouble] = await second.archived()
    assert (trouble.position, trouble.reason, trouble.attempts) == (1, "consent", 1)
    assert trouble.error == (
        "the event's context.consent.categoryPreferences do not allow advertising\n"
        "it was not sent, and a replay asks again"
    )
    assert second.desk().positions == [2]
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (2, 1, 1)


@pytest.mark.parametrize("wish", [Wish(), Wish(plan="stored"), Wish(fates=("delivered",)), None], ids=str)
async def test_a_replay_and_a_retry_ask_what_the_destination_asks_today(nursery, autojump_clock, monkeypatch, wish):
    monkeypatch.setattr("actors.replayer._aside", at_once)
    first = await grow(nursery, PLAIN, remember=True)
    first.desk().answer = always(200 if wish and "delivered" in wish.fates else 400)
    await send(first, *SAYS)
    await first.settled()
    await first.stop()
    engine = await grow(nursery, ASKING, reopened(first.store), remember=True)

    if wish:
        await engine.tree.operator.replay(wish)
    else:
        await engine.tree.operator.retry(Selection())
    await trio.sleep(5)
    status = await engine.settled()

    assert engine.desk().positions == [1, 3, 5]
    assert [one.position for one in await engine.archived()] == ([] if wish and "delivered" in wish.fates else [2, 4])
    assert [line for line in unbalanced(status) if line.startswith(("sync", "deliveries"))] == []


async def test_an_event_that_is_gone_is_given_to_nobody_who_asks(nursery, autojump_clock):
    first = await grow(nursery, PLAIN)
    first.desk().answer = always(400)
    await send(first, {})
    await first.settled()
    await first.stop()
    store = reopened(first.store)
    store._contents.events.clear()
    second = await grow(nursery, ASKING, store)
    await store.ledger.retry(Selection(), second.tree.clock.wall())
    status = await second.settled()

    [trouble] = await second.archived()
    assert (trouble.reason, second.desk().calls) == ("consent", [])
    assert (status.syncs[0].created, status.syncs[0].archived) == (1, 1)


async def test_what_to_do_when_the_object_is_missing_reaches_the_plugin_at_every_attempt(nursery, autojump_clock):
    text = PLAIN.replace("mapping", 'when_missing_object = "update_only"\nmapping')
    engine = await grow(nursery, text)
    engine.desk().answer = inturn(always(503), always(200))
    await engine.send()
    await engine.settled()

    assert [call.batch[0].when_missing for call in engine.desk().calls] == ["update_only", "update_only"]
