"""Every edit of a source, a destination or a sync, while the engine runs or does not: both come to the same."""

from __future__ import annotations

import pytest
import trio

from engine.messages import State
from engine.store.base import Selection
from tests.support.edited import WAYS, Edited, unbalanced_syncs
from tests.support.grown import ORDERS, always, each

WEB = '[sources.web]\nwrite_keys = ["web"]\n'
VISITS = """
[syncs.visits]
source = "web"
destination = "crm"
[[syncs.visits.event_types]]
mapping = { n = "properties.n" }
"""
ERP = '[destinations.erp]\ntype = "desk"\nconcurrency = 1\n'
LOST = ORDERS.replace("concurrency = 1", "concurrency = 1\n[destinations.crm.breaker]\nfailures = 9999\nratio = 1.0")
"""Its destination fails as often as it likes."""

pytestmark = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
async def edited(nursery, way, tmp_path):
    return Edited(nursery, way, tmp_path)


async def test_a_new_source_is_let_in_by_its_key_and_goes_to_its_syncs(autojump_clock, edited: Edited):
    await edited.begin(ORDERS)
    await edited.send(2)
    await edited.edit(ORDERS + WEB + VISITS)
    await edited.send(3, source="web")
    status = await edited.settled()

    assert edited.engine.tree.intake.door_for("web") is not None
    assert edited.positions(sync="visits") == [3, 4, 5]
    assert edited.positions() == [1, 2]
    assert unbalanced_syncs(status) == []


async def test_a_removed_source_is_shut_out_and_its_syncs_leave_what_waits_in_the_archive(
    autojump_clock, edited: Edited
):
    await edited.begin(LOST + WEB + VISITS, {"crm": each(lambda one: 500 if one.sync == "visits" else 200)})
    await edited.send(3, source="web")
    await edited.send(2)
    await trio.sleep(1)
    await edited.edit(LOST)
    await edited.settled()

    assert edited.engine.tree.intake.door_for("web") is None
    assert [one.position for one in await edited.archived("sync_removed")] == [1, 2, 3]
    assert await edited.counts("source:web") == {"passed": 3}
    assert await edited.counts("sync:visits") == {"matched": 3, "created": 3, "archived": 3}
    assert edited.positions() == [4, 5]


async def test_a_source_that_comes_back_begins_with_what_comes_then(autojump_clock, edited: Edited):
    await edited.begin(ORDERS + WEB + VISITS)
    await edited.send(3, source="web")
    await edited.settled()
    await edited.edit(ORDERS)
    await edited.send(2)
    await edited.edit(ORDERS + WEB + VISITS)
    await edited.send(2, source="web")
    status = await edited.settled()

    assert edited.positions(sync="visits") == [1, 2, 3, 6, 7]
    assert await edited.counts("source:web") == {"passed": 5}
    assert unbalanced_syncs(status) == []


async def test_a_source_of_another_name_is_another_one_and_its_sync_begins_anew(
    autojump_clock, edited: Edited, way: str
):
    await edited.begin(ORDERS + WEB + VISITS, {"crm": always(429, retry_after=30.0)})
    await edited.send(2, source="web")
    await trio.sleep(1)
    await edited.edit(
        (ORDERS + WEB + VISITS).replace("sources.web", "sources.site").replace('source = "web"', 'source = "site"')
    )
    await edited.send(2, source="site")
    await edited.settled()

    assert [one.position for one in await edited.archived("sync_removed")] == [1, 2]
    assert await edited.counts("sync:visits") == {"matched": 4, "created": 4, "archived": 2, "delivered": 2}
    assert {3, 4} <= set(edited.positions(sync="visits"))
    assert await edited.counts("source:site") == {"passed": 2}


@pytest.mark.parametrize("key", ['quota = "1000/s"', 'origins = ["https://shop.example"]', "enabled = true"])
async def test_what_only_the_door_of_a_source_knows_changes_nothing_behind_it(autojump_clock, edited: Edited, key: str):
    await edited.begin(ORDERS)
    await edited.send(2)
    await edited.edit(key + "\n" + ORDERS)
    await edited.send(2)
    await edited.settled()

    assert edited.positions() == [1, 2, 3, 4]


async def test_a_new_destination_with_a_new_sync_begins_now(autojump_clock, edited: Edited):
    await edited.begin(ORDERS)
    await edited.send(2)
    await edited.edit(
        ORDERS
        + ERP
        + ORDERS.partition("[syncs")[2].join(["[syncs", ""]).replace("orders", "books").replace("crm", "erp")
    )
    await edited.send(2)
    await edited.settled()

    assert edited.positions("erp", "books") == [3, 4]
    assert edited.positions() == [1, 2, 3, 4]


async def test_a_renamed_destination_gets_what_waited_for_the_old_one(autojump_clock, edited: Edited):
    await edited.begin(ORDERS, {"crm": always(429, retry_after=30.0)})
    await edited.send(3)
    await trio.sleep(1)
    before = {key for _, _, key in edited.calls()}
    await edited.edit(ORDERS.replace("crm", "sap"))
    status = await edited.settled()

    assert sorted(edited.positions("sap")) == [1, 2, 3]
    assert before <= {key for _, _, key in edited.calls("sap")}
    assert (status.syncs[0].created, status.syncs[0].delivered) == (3, 3)
    assert unbalanced_syncs(status) == []


async def test_a_destination_that_comes_back_is_like_a_new_one(autojump_clock, edited: Edited):
    await edited.begin(ORDERS, {"crm": always(429, retry_after=30.0)})
    await edited.send(1)
    await trio.sleep(1)
    await edited.edit("")
    await edited.send(1)
    await edited.edit(ORDERS)
    await edited.send(1)
    status = await edited.settled()

    assert edited.positions()[-1] == 3
    assert 2 not in edited.positions()
    assert [one.position for one in await edited.archived("sync_removed")] == [1]
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (2, 1, 1)
    assert status.destinations[0].state == "closed"


@pytest.mark.parametrize("key", ["batch = 3", 'rate = "100/s"', "concurrency = 2", 'timeout = "3s"'])
async def test_a_changed_setting_of_a_destination_sends_what_is_retried_and_what_is_new_its_way(
    edited: Edited, key: str
):
    await edited.begin(ORDERS, {"crm": always(500)})
    await edited.send(3)
    await trio.sleep(1)
    await edited.edit(ORDERS.replace("concurrency = 1", key))
    await edited.send(3)
    status = await edited.settled()

    assert set(edited.positions()) == {1, 2, 3, 4, 5, 6}
    assert (status.syncs[0].created, status.syncs[0].delivered) == (6, 6)
    assert unbalanced_syncs(status) == []


async def test_a_removed_sync_leaves_what_waits_in_the_archive_and_begins_anew_when_it_comes_back(
    autojump_clock, edited: Edited
):
    await edited.begin(LOST, {"crm": always(500)})
    await edited.send(3)
    await trio.sleep(1)
    await edited.edit(LOST.partition("[syncs")[0])
    await edited.send(2)
    await edited.edit(LOST)
    await edited.send(2)
    status = await edited.settled()

    assert [one.position for one in await edited.archived("sync_removed")] == [1, 2, 3]
    assert set(edited.positions()) == {1, 2, 3, 6, 7}
    assert (status.syncs[0].created, status.syncs[0].delivered, status.syncs[0].archived) == (5, 2, 3)
    assert unbalanced_syncs(status) == []


async def test_what_a_sync_that_comes_back_makes_once_more_and_fails_again_counts_once_more(
    autojump_clock, edited: Edited
):
    await edited.begin(LOST, {"crm": always(500)})
    await edited.send(3)
    await trio.sleep(1)
    await edited.edit(LOST.partition("[syncs")[0])
    await edited.edit(LOST.replace("[[", 'start = "earliest"\n[['), {"crm": always(400)})
    await edited.send(1)
    status = await edited.settled()

    assert len(edited.positions()) == 7
    assert unbalanced_syncs(status) == []


async def test_an_entry_whose_destination_is_gone_stays_in_the_archive_when_somebody_retries_it(
    autojump_clock, edited: Edited
):
    await edited.begin(LOST, {"crm": always(500)})
    await edited.send(3)
    await trio.sleep(1)
    await edited.edit("")
    retried = await edited.engine.tree.operator.retry(Selection(states=(State.ARCHIVED,)))

    assert retried == 0
    assert [one.position for one in await edited.archived("sync_removed")] == [1, 2, 3]


async def test_a_renamed_sync_keeps_its_place_its_keys_and_its_counts(autojump_clock, edited: Edited):
    await edited.begin(LOST, {"crm": each(lambda one: 500 if one.position == 1 else 200)})
    await edited.send(3)
    await trio.sleep(1)
    before = {key for _, _, key in edited.calls()}
    await edited.edit(LOST.replace("syncs.orders", "syncs.sales").replace("[[", 'was = "orders"\n[['))
    await edited.send(1)
    status = await edited.settled()

    assert {key for _, _, key in edited.calls(sync="sales") if _ != 4} - before == {
        key for position, _, key in edited.calls(sync="sales") if position == 4
    }
    assert [(one.name, one.created, one.delivered) for one in status.syncs] == [("sales", 4, 4)]
    assert await edited.counts("sync:orders") == {}


async def test_a_sync_that_goes_elsewhere_takes_along_what_waits(autojump_clock, edited: Edited):
    await edited.begin(LOST + ERP, {"crm": always(500)})
    await edited.send(3)
    await trio.sleep(1)
    await edited.edit((LOST + ERP).replace('destination = "crm"', 'destination = "erp"'))
    await edited.send(1)
    status = await edited.settled()

    assert sorted(edited.positions("erp")) == [1, 2, 3, 4]
    assert (status.syncs[0].created, status.syncs[0].delivered) == (4, 4)
    assert unbalanced_syncs(status) == []


async def test_a_changed_mapping_maps_what_comes_and_sends_what_is_retried_as_it_was_made(
    autojump_clock, edited: Edited
):
    await edited.begin(LOST, {"crm": always(500)})
    await edited.send(2)
    await trio.sleep(1)
    await edited.edit(LOST.replace("{ n =", "{ number ="), {"crm": always(200)})
    await edited.send(1)
    await edited.settled()

    assert {position: payload for position, payload, _ in edited.calls()} == {
        1: b'{"n":1}',
        2: b'{"n":2}',
        3: b'{"number":3}',
    }
    assert len({key for _, _, key in edited.calls()}) == 3


async def test_a_changed_filter_is_asked_about_what_comes(autojump_clock, edited: Edited):
    await edited.begin(ORDERS)
    await edited.send(2)
    await edited.settled()
    await edited.edit(
        ORDERS.replace("[[syncs.orders.event_types]]", "[[syncs.orders.event_types]]\nfilter = 'properties.n > 3'")
    )
    await edited.send(2)
    status = await edited.settled()

    assert edited.positions() == [1, 2, 4]
    assert (status.syncs[0].filtered, status.syncs[0].created) == ({"no_event_type": 1}, 3)


CONTRACT = """
contract = "kept"
[contracts.kept]
[[contracts.kept.events]]
type = "track"
name = "Seen"
schema.properties.properties.properties.n = {{ type = "{n}" }}
"""


async def test_a_contract_judges_what_comes_and_nothing_that_was_judged_before(autojump_clock, edited: Edited):
    mild, strict = CONTRACT.format(n="integer"), CONTRACT.format(n="string")
    await edited.begin(mild + LOST)
    await edited.engine.tree.operator.pause("syncs", "orders")
    for _ in range(12):  # more than a router holds: the rest is read from the log again
        await edited.send(256)
    await trio.sleep(1)
    await edited.edit(strict + LOST)
    await edited.send(5)
    await edited.engine.tree.operator.resume("syncs", "orders")
    status = await edited.settled()

    assert sorted(edited.positions()) == list(range(1, 12 * 256 + 1))
    assert await edited.counts("source:shop") == {"passed": 12 * 256, "blocked": 5}
    assert unbalanced_syncs(status) == []


WINDOW = """
[windows.often]
source = "shop"
key = "userId"
every = "1d"
threshold = {threshold}
event = "Often"
"""
FIRED = ORDERS.replace("[[syncs.orders.event_types]]", "[[syncs.orders.event_types]]\nfilter = 'event = \"Often\"'")


@pytest.mark.parametrize(("threshold", "fired"), [(4, [4]), (9, [])])
async def test_a_window_with_another_threshold_goes_on_counting(
    autojump_clock, edited: Edited, threshold: int, fired: list[int]
):
    await edited.begin(WINDOW.format(threshold=5) + FIRED)
    await edited.send(3)
    await edited.settled()
    await edited.edit(WINDOW.format(threshold=threshold) + FIRED)
    await edited.send(3)
    await edited.settled()

    assert edited.positions() == fired


async def test_a_new_window_counts_what_comes_and_a_removed_one_fires_no_more(autojump_clock, edited: Edited):
    await edited.begin(FIRED)
    await edited.send(3)
    await edited.settled()
    await edited.edit(WINDOW.format(threshold=3) + FIRED)
    await edited.send(4)
    await edited.settled()
    await edited.edit(FIRED)
    await edited.send(9)
    await edited.settled()

    assert edited.positions() == [6]
