from __future__ import annotations

import pytest

from engine.plan.cases import run_cases
from tests.support.plans import HEAD, plan_of

SYNCS = (
    HEAD
    + """
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
name = "order"
filter = 'event = "Order Completed"'
mapping = { customer = "userId", total = "{{ row.properties.total | cast: 'number' }}", at = "receivedAt" }
[[cases]]
name = "an order arrives"
"""
)
PAYLOAD = '{ customer = "u", total = 12.5, at = "2026-01-01T00:00:00.000Z" }'
ORDER = 'event = { type = "track", event = "Order Completed", userId = "u", properties = { total = "12.50" } }\n'
PAGE = 'event = { type = "page", userId = "u" }\n'
BROKEN = ORDER.replace("12.50", "many")


def findings(case: str) -> str:
    (result,) = run_cases(plan_of(SYNCS + case))
    assert result.ok is (not result.text)
    assert (result.name, result.file, result.line) == ("an order arrives", "config.toml", 14)
    return result.text


@pytest.mark.parametrize(
    "case",
    [
        ORDER + f'expect = [{{ sync = "orders", event_type = "order", payload = {PAYLOAD} }}]\n',
        ORDER + 'expect = [{ sync = "orders" }]\n',
        ORDER + 'fate = "deliver"\n',
        PAGE,
        PAGE + 'fate = "filtered"\n',
        BROKEN + 'fate = "archived"\n',
        'event = { type = "page" }\nfate = "blocked"\n',
    ],
)
def test_a_case_that_holds_finds_nothing(case: str) -> None:
    assert findings(case) == ""


@pytest.mark.parametrize(
    ("case", "text"),
    [
        (
            ORDER + 'expect = [{ sync = "orders", payload = { customer = "u", total = "12.5", extra = [1] } }]\n',
            (
                'orders/order: payload.total: expected "12.5", got 12.5\n'
                "orders/order: payload.extra: expected [1], got nothing\n"
                'orders/order: payload.at: expected nothing, got "2026-01-01T00:00:00.000Z"'
            ),
        ),
        (
            PAGE + 'expect = [{ sync = "orders", event_type = "order" }]\n',
            "orders/order: expected a delivery, got filtered (no_event_type)",
        ),
        (
            BROKEN + 'expect = [{ sync = "orders" }]\n',
            (
                "orders: expected a delivery, got order archived (mapping_failed: total: "
                "the template {{ row.properties.total | cast: 'number' }}: cannot cast \"many\" to a number)"
            ),
        ),
        (
            ORDER + 'expect = [{ sync = "orders" }, { sync = "orders" }]\n',
            "orders: expected a delivery, got no more than as order",
        ),
        (
            ORDER,
            (
                "orders/order: not expected, got a delivery of "
                '{"customer":"u","total":12.5,"at":"2026-01-01T00:00:00.000Z"}'
            ),
        ),
        (PAGE + 'fate = "blocked"\n', "expected the fate blocked, got filtered (orders: no_event_type)"),
        (PAGE + 'fate = "deliver"\n', "expected the fate deliver, got filtered (orders: no_event_type)"),
    ],
)
def test_a_case_that_does_not_hold_says_precisely_what_differs(case: str, text: str) -> None:
    assert findings(case) == text


def test_expected_deliveries_are_found_in_any_order() -> None:
    text = SYNCS.replace(
        "[[cases]]",
        """\
[[syncs.orders.event_types]]
name = "second"
mapping = { n = 2 }
[[cases]]
""",
    ).replace('destination = "crm"', 'destination = "crm"\nmatch = "all"')
    expect = f'expect = [{{ sync = "orders", payload = {{ n = 2 }} }}, {{ sync = "orders", payload = {PAYLOAD} }}]\n'

    (result,) = run_cases(plan_of(text + ORDER + expect))

    assert result.text == ""


def test_every_case_has_a_result_of_its_own() -> None:
    text = SYNCS + PAGE + '[[cases]]\nname = "second"\n' + ORDER

    assert [(result.name, result.ok) for result in run_cases(plan_of(text))] == [
        ("an order arrives", True),
        ("second", False),
    ]


WINDOW = (
    HEAD
    + """
[windows.budget]
source = "shop"
filter = 'event = "Impression"'
key = "properties.campaign"
every = "1d"
measure = "sum"
value = "properties.cost"
threshold = 10
event = "Budget Spent"
[syncs.ads]
source = "shop"
destination = "crm"
[[syncs.ads.event_types]]
name = "pause"
filter = 'event = "Budget Spent"'
mapping = { campaign = "properties.key", spent = "properties.value" }
[[cases]]
name = "a spent budget pauses the campaign"
event = { type = "track", event = "Impression", userId = "u", properties = { campaign = "c1", cost = 2 } }
"""
)
PAUSED = 'expect = [{ sync = "ads", payload = { campaign = "c1", spent = 10.0 } }]\n'
OTHER = '{ type = "track", event = "Impression", userId = "u", properties = { campaign = "CAMPAIGN", cost = 8 } }'


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("times = 5\n" + PAUSED, ""),
        ("times = 4\n", ""),
        ("times = 6\n", ""),
        (f"before = [{OTHER.replace('CAMPAIGN', 'c1')}]\n" + PAUSED, ""),
        (f"before = [{OTHER.replace('CAMPAIGN', 'c2')}]\n", ""),
        ("times = 4\n" + PAUSED, "ads: expected a delivery, got filtered (no_event_type)"),
        ("times = 5\n", 'ads/pause: not expected, got a delivery of {"campaign":"c1","spent":10.0}'),
    ],
)
def test_windows_count_what_came_before(case: str, text: str) -> None:
    (result,) = run_cases(plan_of(WINDOW + case))
    assert result.text == text
