"""The whole machine on one page: what is connected to what, and what a thousand events cost."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import trio

from actors.archiver import PLACES
from actors.tree import LANE_PLACES, REPORTS
from engine.runtime.channel import Inbox
from engine.store.opening import open_store
from engine.store.sqlite.store import SqliteStore
from tests.support.grown import ORDERS, grow
from tests.support.sink import Sink

EVERYTHING = """
[sources.web]
write_keys = ["web-key"]
[destinations.crm]
type = "desk"
[destinations.erp]
type = "desk"
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
[syncs.visits]
source = "web"
destination = "crm"
[[syncs.visits.event_types]]
[syncs.ledger]
source = "shop"
destination = "erp"
[[syncs.ledger.event_types]]
"""
WEBHOOK = """
[destinations.crm]
type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_private = true
batch = 100
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""


BESIDE = {"maintenance", "replayer", "pulse", "alerts", "console", "reloader"}
"""Actors that no channel leads to, or from."""


async def test_no_channel_leads_back(nursery, autojump_clock):
    engine = await grow(nursery, EVERYTHING)
    fed_by: dict[str, set[str]] = {}
    for feeder, fed in engine.tree.wires:
        fed_by.setdefault(fed, set()).add(feeder)

    order = list(TopologicalSorter(fed_by).static_order())  # raises CycleError
    assert order[-1] == "archiver"
    assert set(order) == engine.tree.supervisor.states().keys() - BESIDE


async def test_every_channel_is_in_the_graph(nursery, autojump_clock):
    engine = await grow(nursery, EVERYTHING)

    assert sorted(engine.tree.wires) == sorted(
        [
            ("receiver", "validator.shop"),
            ("receiver", "validator.web"),
            ("validator.shop", "router.orders"),
            ("validator.shop", "router.ledger"),
            ("validator.web", "router.visits"),
            ("router.orders", "sender.crm"),
            ("router.visits", "sender.crm"),
            ("router.ledger", "sender.erp"),
            ("retry", "sender.crm"),
            ("retry", "sender.erp"),
            ("retry", "archiver"),
            *[
                (feeder, "archiver")
                for feeder in (
                    "validator.shop", "validator.web", "router.orders", "router.visits", "router.ledger",
                    "sender.crm", "sender.erp",
                )
            ],
        ]
    )  # fmt: skip


async def test_every_actor_of_the_plan_runs_sinks_first(nursery, autojump_clock):
    engine = await grow(nursery, EVERYTHING)
    states = engine.tree.supervisor.states()

    assert list(states) == [
        "archiver",
        "maintenance",
        "sender.crm",
        "sender.erp",
        "replayer",
        "retry",
        "router.orders",
        "router.visits",
        "router.ledger",
        "validator.shop",
        "validator.web",
        "receiver",
        "pulse",
        "alerts",
        "console",
        "reloader",
    ]
    assert {state.condition for state in states.values()} == {"running"}
    place = {name: number for number, name in enumerate(states)}
    assert all(place[feeder] > place[fed] for feeder, fed in engine.tree.wires)


def test_an_outcome_with_a_place_never_waits_for_the_archiver():
    assert PLACES < REPORTS
    assert PLACES + LANE_PLACES <= 4096  # what a progress row may hold open


async def test_a_thousand_events_cost_a_handful_of_commits_requests_and_messages(nursery, tmp_path: Path):
    sink = Sink()
    await nursery.start(sink.run)
    store = await open_store("sqlite", tmp_path)
    assert isinstance(store, SqliteStore)
    executed: list[str] = []
    store._writer._connection.set_trace_callback(  # sqlite's own count: what the writer really executes
        lambda statement: executed.append(" ".join(statement.split()[:3]))
    )
    engine = await grow(nursery, WEBHOOK.format(port=sink.port), store)
    for _ in range(10):
        await engine.send(100)
    await sink.took(1000)
    await engine.stop()
    inboxes: list[Inbox[Any]] = [engine.tree.reports, *engine.tree.spans.values(), *engine.tree.offers.values()]
    requests = len({each.at for each in sink.arrivals})
    await store.aclose()

    assert len(sink.arrivals) == 1000
    # Ten frames: each is one commit, one message to the validator, one to the router, and two reports at most.
    assert requests <= 20
    assert sum(inbox.statistics().offered for inbox in inboxes) <= 4 * 10 + requests
    assert executed.count("COMMIT") <= 10 + 10
    assert executed.count("INSERT INTO log") == 2 * 10  # of 96 rows, and of 4


async def test_a_quiet_engine_does_nothing(nursery, autojump_clock):
    engine = await grow(nursery, ORDERS)
    await engine.send(10)
    await engine.settled()
    before = engine.tree.reports.statistics()
    await trio.sleep(24 * 3600)

    assert engine.tree.reports.statistics() == before
    assert engine.tree.supervisor.states()["archiver"].restarts == 0
