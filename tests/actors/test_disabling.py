"""Disabled is not paused: further events are filtered, and nothing of them is sent later."""

from __future__ import annotations

import pytest
import trio

from engine.errors import HeadraceError
from engine.observe.shown import Looking, Tapping
from tests.support.grown import ORDERS, always, grow, reopened, unbalanced

OTHERS = ORDERS.replace("orders", "others").replace("crm", "erp")
KINDS = pytest.mark.parametrize(("kind", "name"), [("syncs", "orders"), ("destinations", "crm")])


def states(engine_status) -> tuple[str, str]:
    return engine_status.syncs[0].state, engine_status.destinations[0].state


@KINDS
async def test_what_is_disabled_takes_no_events_until_it_is_enabled(nursery, autojump_clock, kind, name):
    engine = await grow(nursery, ORDERS + OTHERS)
    await engine.send(3)
    await engine.settled()
    assert await engine.tree.operator.disable(kind, name)
    await engine.send(5)
    status = await engine.settled()
    assert states(status) == ("disabled", "disabled" if kind == "destinations" else "closed")
    assert await engine.tree.operator.enable(kind, name)
    await engine.send(2)
    status = await engine.settled()

    assert engine.desk("crm").positions == [1, 2, 3, 9, 10]
    assert engine.desk("erp").positions == list(range(1, 11))
    assert [sync.filtered for sync in status.syncs] == [{"disabled": 5}, {}]
    assert states(status) == ("running", "closed")
    assert unbalanced(status) == []


@KINDS
async def test_what_is_disabled_stays_so_over_a_restart(nursery, autojump_clock, kind, name):
    first = await grow(nursery, ORDERS)
    await first.tree.operator.disable(kind, name)
    await first.send(2)
    await first.settled()
    await first.crash()
    second = await grow(nursery, ORDERS, reopened(first.store))
    second._sent = 2  # else they would be duplicates
    await second.send(2)
    status = await second.settled()
    assert (second.desk().calls, status.syncs[0].filtered) == ([], {"disabled": 4})
    await second.tree.operator.enable(kind, name)
    await second.send(1)
    await second.settled()

    assert second.desk().positions == [5]


async def test_what_a_disabled_sync_had_made_is_still_sent(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + '[destinations.crm.retry]\nbackoff = "10s..10s"')
    engine.desk().answer = always(503)
    await engine.send(2)
    await engine.desk().called(2)
    await engine.tree.operator.disable("syncs", "orders")
    engine.desk().answer = always(200)
    status = await engine.settled()

    assert sorted(engine.desk().positions) == [1, 1, 2, 2]
    assert status.syncs[0].delivered == 2


async def test_what_waits_for_a_disabled_destination_waits_until_it_is_enabled(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + '[destinations.crm.retry]\nbackoff = "10s..10s"')
    engine.desk().answer = always(503)
    await engine.send(2)
    await engine.desk().called(2)
    await engine.tree.operator.disable("destinations", "crm")
    engine.desk().answer = always(200)
    await trio.sleep(3600)
    status = await engine.tree.operator.status()
    crm = status.destinations[0]
    assert (len(engine.desk().calls), crm.held, crm.oldest, crm.max_age) == (2, 2, 3600.0, 72 * 3600.0)
    await engine.tree.operator.enable("destinations", "crm")
    status = await engine.settled()

    assert status.syncs[0].delivered == 2
    assert unbalanced(status) == []


async def test_a_destination_that_is_paused_and_disabled_goes_on_when_both_have_ended(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    operator = engine.tree.operator
    await operator.pause("destinations", "crm")
    await engine.send()
    await trio.sleep(1)
    await operator.disable("destinations", "crm")
    await operator.enable("destinations", "crm")
    await trio.sleep(60)
    assert engine.desk().calls == []
    await operator.disable("destinations", "crm")
    await operator.resume("destinations", "crm")
    await trio.sleep(60)
    assert engine.desk().calls == []
    await operator.enable("destinations", "crm")
    await engine.settled()

    assert engine.desk().positions == [1]


async def test_nobody_disables_what_is_not_there(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)

    assert not await engine.tree.operator.disable("syncs", "crm")
    assert not await engine.tree.operator.enable("sources", "shop")


async def test_a_destination_that_was_told_to_wait_says_for_how_long(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    engine.desk().answer = always(429, retry_after=600.0)
    await engine.send()
    await engine.desk().called(1)
    await trio.sleep(100)
    crm = (await engine.tree.operator.status()).destinations[0]
    assert crm.told_to_wait == pytest.approx(500.0, abs=1.0)
    engine.desk().answer = always(401)
    await engine.desk().called(2)
    await trio.sleep(10)
    crm = (await engine.tree.operator.status()).destinations[0]

    assert (crm.state, crm.held) == ("attention", 1)
    assert crm.probe_in == pytest.approx(20.0, abs=1.0)


async def test_what_the_configuration_disables_is_enabled_there(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS.replace('source = "shop"', 'source = "shop"\nenabled = false'))

    with pytest.raises(HeadraceError) as caught:
        await engine.tree.operator.enable("syncs", "orders")
    assert str(caught.value) == (
        "sync 'orders' is disabled in config.toml\n    take enabled = false out there, and reload"
    )
    assert (await engine.tree.operator.status()).syncs[0].state == "disabled"


async def test_who_asks_what_would_become_of_an_event_hears_that_it_is_disabled(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS + OTHERS)
    operator = engine.tree.operator
    event = {"type": "track", "event": "Seen", "userId": "u", "properties": {"n": 1}}
    await operator.disable("destinations", "crm")
    told = await operator.explain(event, None)
    assert [(walk.sync, walk.fate, walk.reason, walk.tried) for walk in told.syncs][:1] == [
        ("orders", "filtered", "disabled", ())
    ]
    assert told.syncs[1].fate == "deliver"
    await operator.enable("destinations", "crm")

    assert [walk.fate for walk in (await operator.explain(event, None)).syncs] == ["deliver", "deliver"]


@KINDS
async def test_the_debugger_shows_which_events_met_what_was_disabled(nursery, autojump_clock, kind, name):
    engine = await grow(nursery, ORDERS)
    operator = engine.tree.operator
    await engine.send(1)
    await engine.settled()
    await operator.disable(kind, name)
    await engine.send(2)
    await engine.settled()
    await operator.enable(kind, name)
    await engine.send(1)
    await engine.settled()
    looks = await operator.look("shop", Looking(limit=10))
    page = await operator.tap("syncs", "orders", Tapping(limit=10))

    verdicts = [("deliver", ""), ("filtered", "disabled"), ("filtered", "disabled"), ("deliver", "")]
    assert looks is not None
    assert page is not None
    assert [(one.took[0].verdict, one.took[0].reason) for one in looks.looked] == verdicts
    assert [(one.verdict, one.reason) for one in page.seen] == verdicts
    assert sum((await operator.hits("shop")).values()) == 2


async def test_a_sync_that_takes_another_name_stays_paused_and_disabled_as_it_was(nursery, autojump_clock):
    renamed = ORDERS.replace("orders", "sales").replace('source = "shop"', 'source = "shop"\nwas = "orders"')
    first = await grow(nursery, ORDERS + OTHERS)
    await first.tree.operator.pause("syncs", "orders")
    await first.tree.operator.disable("syncs", "orders")
    await first.reload(renamed + OTHERS)
    assert first.tree.gates["sales"].shut
    assert first.tree.switches.off(first.tree.plan.syncs["sales"])
    await first.crash()
    second = await grow(nursery, renamed + OTHERS, reopened(first.store))

    assert second.tree.gates["sales"].shut
    assert second.tree.switches.named().syncs == ("sales",)


async def test_a_sync_that_was_renamed_while_no_engine_ran_stays_as_it_was_also_later(nursery, autojump_clock):
    renamed = ORDERS.replace("orders", "sales").replace('source = "shop"', 'source = "shop"\nwas = "orders"')
    first = await grow(nursery, ORDERS)
    await first.tree.operator.pause("syncs", "orders")
    await first.tree.operator.disable("syncs", "orders")
    await first.crash()
    store = first.store
    for _ in range(2):
        engine = await grow(nursery, renamed, reopened(store))
        assert engine.tree.gates["sales"].shut
        assert engine.tree.switches.named().syncs == ("sales",)
        await engine.crash()
        store = engine.store


async def test_enabling_says_what_keeps_it_off_all_the_same(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    operator = engine.tree.operator
    await operator.disable("syncs", "orders")
    await operator.disable("destinations", "crm")
    await operator.enable("syncs", "orders")
    assert (
        operator.still_off("syncs", "orders") == "its destination 'crm' is disabled, so its events are filtered still"
    )
    await operator.disable("syncs", "orders")
    await operator.enable("destinations", "crm")
    assert operator.still_off("destinations", "crm") == "disabled by themselves, and so still: orders"
    await operator.enable("syncs", "orders")

    assert (operator.still_off("syncs", "orders"), operator.still_off("destinations", "crm")) == ("", "")


@KINDS
async def test_what_was_filtered_while_disabled_is_traced_as_that(nursery, autojump_clock, kind, name):
    engine = await grow(nursery, ORDERS)
    await engine.send(1)
    await engine.settled()
    await engine.tree.operator.disable(kind, name)
    await engine.send(1)
    await engine.settled()
    await engine.tree.operator.enable(kind, name)
    await engine.settled()

    told = [(await engine.tree.operator.trace(f"m{at}"))[0].syncs[0] for at in (1, 2)]

    assert [(one.fate, one.reason, len(one.attempts)) for one in told] == [
        ("delivered", "", 1),
        ("filtered", "disabled", 0),
    ]
