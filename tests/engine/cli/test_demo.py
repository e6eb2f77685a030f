from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.cli import House
from engine.cli.common import shipped
from engine.cli.demo import Demo, prepared
from engine.cli.screen import ledger, standing
from engine.cli.standin import BUSY, UNWANTED, StandIn
from engine.client.send import Progress
from engine.config.load import load
from engine.observe.balance import Equation
from engine.observe.status import SourceStatus, Status, SyncStatus
from engine.plan import Plan, compile_plan
from engine.registry import Registry
from engine.units import Rate
from plugins import BUILTIN
from tests.support.commands import HOUSE

FOLDER = Path("/nowhere/at/all")


def test_the_demo_stays_on_this_machine_and_in_its_folder():
    loaded = prepared(load(shipped("config.toml"), env={}), "http://127.0.0.1:5", FOLDER)

    plan = compile_plan(loaded, Registry(BUILTIN))
    settings = {name: each.destination.settings for name, each in plan.destinations.items()}
    assert (settings["crm"].url, settings["team"].url) == ("http://127.0.0.1:5/crm", "http://127.0.0.1:5/team")
    assert settings["events"].path == str(FOLDER / "events.ndjson")
    assert (plan.config.receiver.listen, plan.config.console.listen) == ("127.0.0.1:0", "127.0.0.1:0")
    assert loaded.folder / plan.config.store.path == FOLDER
    assert plan.destinations["crm"].policy.cap == 1.0


async def test_read_again_it_stays_there_too(monkeypatch, tmp_path):
    served: list[Plan] = []

    async def serve(plan: Plan, _registry: Registry, _house: House, _beside: Any, reread: Callable[[], Plan]) -> None:
        await trio.lowlevel.checkpoint()
        served.extend((plan, reread()))

    monkeypatch.setattr("engine.cli.serve.serve", serve)
    await Demo(HOUSE, tmp_path, Rate("100/s"), keep=True).run()

    for plan in served:
        urls = [plan.destinations[name].destination.settings.url for name in ("crm", "team")]
        assert all(url.startswith("http://127.0.0.1:") for url in urls)
        assert plan.loaded.folder / plan.config.store.path == tmp_path
    assert len(served) == 2


def test_what_is_shipped_is_not_changed():
    loaded = load(shipped("config.toml"), env={})
    before = json.dumps(loaded.tables, default=str)

    prepared(loaded, "http://127.0.0.1:5", FOLDER)

    assert json.dumps(loaded.tables, default=str) == before


def post(port: int, paths: list[tuple[str, str]]) -> list[int]:
    statuses = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        for path, key in paths:
            connection.request("POST", path, b"{}", {"Idempotency-Key": key})
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    return statuses


@pytest.mark.parametrize(
    ("name", "unwell"), [("crm", {BUSY: 503, 2 * BUSY: 503, UNWANTED: 400}), ("team", {1: 429, BUSY: 503})]
)
async def test_the_stand_in_is_unwell_at_fixed_requests(nursery, name, unwell):
    standin = StandIn()
    port = await nursery.start(standin.run)
    last = max(unwell)

    asked = [(f"/{name}", f"key-{number}") for number in range(1, last + 1)]
    statuses = await trio.to_thread.run_sync(post, port, asked)

    assert statuses == [unwell.get(number, 200) for number in range(1, last + 1)]
    assert standin.arrived(name) == last - len(unwell)


async def test_the_stand_in_counts_what_comes_twice_once(nursery):
    standin = StandIn()
    port = await nursery.start(standin.run)

    await trio.to_thread.run_sync(post, port, [("/crm", "a"), ("/crm", "a"), ("/crm", "b")])

    assert (standin.arrived("crm"), standin.arrived("team")) == (2, 0)


def test_the_screen_shows_every_fate_and_the_latencies():
    status = Status(
        running=True,
        last=1417,
        used=0,
        free=0,
        sources=(SourceStatus(name="shop", read=1418, accepted=1417, blocked=3, failed=1),),
        syncs=(
            SyncStatus(
                name="orders",
                source="shop",
                destination="crm",
                filtered={"no_event_type": 9},
                delivered=1400,
                archived=2,
                pending=1,
                lag=2,
                p50=0.0025,
                p99=1.0386,
            ),
            SyncStatus(name="leads", source="shop", destination="team"),
        ),
    )

    assert standing(status, Progress(acked=1410)) == [
        "received  acked  blocked  filtered  delivered  archived  pending",
        "   1,418  1,410        3         9      1,400         3        3",
        "",
        "sync    to    delivered  filtered  archived  pending     p50         p99",
        "orders  crm       1,400         9         2        3  2.5 ms  1,038.6 ms",
        "leads   team          0         0         0        0       -           -",
    ]


def test_the_ledger_says_which_line_does_not_balance():
    books = [
        Equation(scope="log", came=(("accepted", 10),), went=(("positions", 10),)),
        Equation(scope="door of shop", came=(("read", 10),), went=(("refused", 1), ("accepted", 8))),
    ]

    assert ledger(books) == [
        "log           10 accepted = 10 positions        balanced",
        "door of shop  10 read ≠ 1 refused + 8 accepted  NOT BALANCED",
    ]
