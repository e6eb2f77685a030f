from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.observe.alerts import GRACE, Growth, Moment, Thresholds, Told, after, ailments, changes
from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus

NOW = 1_767_225_600.0
LIMITS = Thresholds(oldest_pending=3600.0, archived=100, within=3600.0, disk_free=1 << 30)
LATER = Moment(now=NOW, running=GRACE)


def status(
    *, crm: dict[str, Any] | None = None, orders: dict[str, Any] | None = None, shop: str = "running", **whole: Any
) -> Status:
    return Status(
        **({"running": True, "last": 9, "used": 0, "free": 1 << 40} | whole),
        sources=(SourceStatus(name="shop", state=shop, reason="no answer" if shop == "attention" else ""),),
        syncs=(SyncStatus(**({"name": "orders", "source": "shop", "destination": "crm"} | (orders or {}))),),
        destinations=(DestinationStatus(**({"name": "crm", "state": "closed"} | (crm or {}))),),
    )


def found(seen: Status, grown: dict[str, int] | None = None, told: dict[str, Told] | None = None) -> dict[str, str]:
    return {key: one.text for key, one in ailments(seen, LIMITS, grown or {}, told or {}).items()}


@pytest.mark.parametrize(
    ("seen", "grown", "told"),
    [
        (status(), {}, {}),
        (status(crm={"state": "paused"}, orders={"state": "paused"}), {"orders": 100}, {}),
        (status(crm={"state": "disabled"}), {}, {}),
        (status(crm={"state": "half_open"}), {}, {}),
        (
            status(crm={"state": "open", "reason": "20 failures in a row", "held": 1234}),
            {},
            {"destination_down crm": "destination 'crm' is down (20 failures in a row); 1,234 deliveries wait"},
        ),
        (
            status(crm={"state": "attention", "reason": "it refuses us"}),
            {},
            {"destination_needs_attention crm": "destination 'crm' needs attention: it refuses us"},
        ),
        (
            status(shop="attention"),
            {},
            {
                "function_needs_attention shop": (
                    "a function of source 'shop' needs attention, and its events wait: no answer"
                )
            },
        ),
        (
            status(crm={"state": "down"}, orders={"state": "down"}),
            {},
            {
                f"actor_given_up {actor}": (
                    f"{actor} died again and again and was given up: "
                    "its events wait in the store until the engine restarts"
                )
                for actor in ("router.orders", "sender.crm")
            },
        ),
        (
            status(),
            {"orders": 101},
            {"archive_growing orders": "sync 'orders': 101 deliveries were archived within 1.0 h"},
        ),
        (status(orders={"oldest_pending": 3600.0}), {}, {}),
        (
            status(orders={"oldest_pending": 5400.0}),
            {},
            {"pending_too_old orders": "sync 'orders': the oldest pending delivery has waited for 1.5 h"},
        ),
        (status(free=1 << 30), {}, {}),
        (status(free=900 << 20), {}, {"disk_low ": "the store's disk has 900 MiB left"}),
        (status(full="no room"), {}, {"store_full ": "events are refused: no room"}),
    ],
)
def test_what_is_not_well_is_said_in_a_sentence(seen, grown, told):
    assert found(seen, grown) == told


def steps(*looks: tuple[Status, dict[str, int], Moment]) -> list[list[tuple[str, str]]]:
    """Return what is told at each look, when everything that is told arrives."""
    told: dict[str, Told] = {}
    said = []
    for seen, grown, at in looks:
        here = ailments(seen, LIMITS, grown, told)
        alerts = changes(told, here, seen, at)
        for alert in alerts:
            told = after(told, alert, here)
        said.append([(alert.state, alert.alert) for alert in alerts])
    return said


def at(running: float) -> Moment:
    return Moment(now=NOW + running, running=running)


def test_a_change_is_told_once_and_its_end_once():
    down = status(crm={"state": "open", "reason": "x", "held": 3})
    probing = status(crm={"state": "half_open", "reason": "x", "held": 3})
    well = status(orders={"last_delivery": NOW})

    assert steps(
        *[(well, {}, at(200)), (down, {}, at(210)), (down, {}, at(220)), (probing, {}, at(230)), (down, {}, at(240))],
        *[(well, {}, at(250)), (well, {}, at(260)), (down, {}, at(270))],
    ) == [[], [("raised", "destination_down")], [], [], [], [("recovered", "destination_down")], [], [
        ("raised", "destination_down")
    ]]  # fmt: skip


@pytest.mark.parametrize("state", ["half_open", "paused", "disabled", "restarting"])
def test_a_destination_that_nobody_asks_has_not_recovered(state: str):
    down = status(crm={"state": "open", "held": 3}, orders={"last_delivery": NOW})
    held = status(crm={"state": state, "held": 3}, orders={"last_delivery": NOW})
    well = status(orders={"last_delivery": NOW})

    assert steps((down, {}, at(200)), (held, {}, at(210)), (down, {}, at(220)), (well, {}, at(230))) == [
        [("raised", "destination_down")],
        [],
        [],
        [("recovered", "destination_down")],
    ]


def test_a_destination_that_fails_in_another_way_is_told_anew():
    down = status(crm={"state": "open"}, orders={"last_delivery": NOW})
    refusing = status(crm={"state": "attention"}, orders={"last_delivery": NOW})

    assert steps((down, {}, at(200)), (refusing, {}, at(210))) == [
        [("raised", "destination_down")],
        [("raised", "destination_needs_attention"), ("recovered", "destination_down")],
    ]


def test_what_sways_at_its_threshold_is_told_once():
    looks = [(status(), {"orders": many}, at(200 + many)) for many in (99, 101, 90, 101, 51, 50, 99)]

    assert [bool(said) for said in steps(*looks)] == [False, True, False, False, False, True, False]


def told_before(seen: Status) -> dict[str, Told]:
    here = ailments(seen, LIMITS, {}, {})
    return {key: Told(ailment=one, since=NOW - 60) for key, one in here.items()}


@pytest.mark.parametrize(
    ("running", "crm", "orders", "recovered"),
    [
        (1.0, {}, {}, False),
        (GRACE - 1, {}, {"last_delivery": NOW}, False),
        (GRACE, {"held": 5}, {}, False),
        (GRACE, {"held": 5}, {"last_delivery": NOW}, True),
        (GRACE, {}, {}, True),
        (1.0, {"state": "open"}, {}, False),
    ],
)
def test_after_a_restart_an_outage_is_over_when_something_arrives_or_nothing_waits(running, crm, orders, recovered):
    told = told_before(status(crm={"state": "open", "reason": "x"}))
    seen = status(crm=crm, orders=orders)
    alerts = changes(told, ailments(seen, LIMITS, {}, told), seen, Moment(now=NOW, running=running))

    assert [alert.state for alert in alerts] == (["recovered"] if recovered else [])


def test_an_alert_has_the_same_id_at_every_attempt_and_says_since_when():
    seen = status(crm={"state": "open", "reason": "x"})
    here = ailments(seen, LIMITS, {}, {})
    first, again = changes({}, here, seen, LATER)[0], changes({}, here, seen, LATER)[0]
    told = after({}, first, here)
    well = status()
    over = changes(told, {}, well, Moment(now=NOW + 60, running=GRACE + 60))[0]

    assert first == again
    assert (over.since, over.at, over.text) == (NOW, NOW + 60, "over: destination 'crm' is down (x)")
    assert over.id != first.id
    assert msgspec.json.decode(msgspec.json.encode(told), type=dict[str, Told]) == told
    assert after(told, over, {}) == {}


def test_growth_is_counted_within_a_while_and_an_archive_that_shrinks_has_not_grown():
    growth = Growth()

    assert growth.look({"a": 500}, 0.0, 60.0) == {"a": 0}
    assert growth.look({"a": 520, "b": 7}, 30.0, 60.0) == {"a": 20, "b": 0}
    assert growth.look({"a": 510, "b": 9}, 60.0, 60.0) == {"a": 10, "b": 0}
    assert growth.look({"a": 510, "b": 9}, 61.0, 60.0) == {"a": 0, "b": 2}
    for second in range(100, 10_000):
        growth.look({"a": 510}, float(second), 60.0)
    assert len(growth._looks) <= 101
