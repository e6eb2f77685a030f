from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.messages import Event
from engine.plan.windows import SWEEP, View, Windows
from engine.results import WindowState
from tests.support.plans import NOW, plan_of, problems_of

TEXT = """
[sources.ads]
write_keys = ["k"]
[windows.budget]
source = "ads"
filter = 'event = "Ad Impression"'
key = "properties.campaign"
every = "1d"
threshold = 3
event = "Budget Spent"
"""
SUM = TEXT.replace("threshold = 3", 'threshold = 1.5\nmeasure = "sum"\nvalue = "properties.cost"')
DISTINCT = TEXT.replace("threshold = 3", 'threshold = 2\nmeasure = "distinct"\nvalue = "userId"')


def windows(text: str = TEXT, *states: WindowState) -> Windows:
    return Windows(plan_of(text).sources["ads"].windows, states)


def seen(at: int, campaign: Any = "c1", *, received_at: float = NOW, user: str = "u", **properties: Any) -> Event:
    body = {
        "type": "track",
        "event": "Ad Impression",
        "userId": user,
        "messageId": f"m{at}",
        "properties": {"campaign": campaign, **properties},
    }
    return Event(position=at, message_id=f"m{at}", received_at=received_at, body=body)


def fired(view: View, *events: Event) -> list[tuple[int, str]]:
    return [(event.position, body["messageId"]) for event in events for body in view.count(event)]


FIRST = "window:budget:c1:2026-01-01T00:00:00.000Z"


def test_a_count_fires_once_at_the_event_that_reaches_the_threshold() -> None:
    view = windows().view()

    assert fired(view, *[seen(at) for at in range(1, 10)]) == [(3, FIRST)]


def test_what_fires_says_what_was_counted_of_what() -> None:
    view = windows().view()
    [body] = [body for at in range(1, 4) for body in view.count(seen(at))]

    assert body == {
        "type": "track",
        "event": "Budget Spent",
        "messageId": FIRST,
        "userId": "u",
        "properties": {
            "window": "budget",
            "key": "c1",
            "measure": "count",
            "value": 3.0,
            "threshold": 3.0,
            "start": "2026-01-01T00:00:00.000Z",
            "end": "2026-01-02T00:00:00.000Z",
            "cause": "m3",
        },
        "timestamp": "2026-01-01T00:00:00.000Z",
        "originalTimestamp": "2026-01-01T00:00:00.000Z",
        "sentAt": "2026-01-01T00:00:00.000Z",
        "receivedAt": "2026-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    ("text", "events", "at"),
    [
        (SUM, [seen(1, cost=1), seen(2, cost="9"), seen(3, cost=True), seen(4), seen(5, cost=0.5)], [5]),
        (DISTINCT, [seen(1), seen(2), seen(3, user="v"), seen(4, user="w")], [3]),
        (TEXT, [seen(at, f"c{at % 2}") for at in range(1, 7)], [5, 6]),
        (TEXT, [seen(at, received_at=NOW + 86400 * (at // 3)) for at in range(1, 6)], [5]),
        (TEXT, [seen(1, None), seen(2, []), seen(3, 7), seen(4, 7), seen(5, 7)], [5]),
        (TEXT, [msgspec.structs.replace(seen(at), message_id=f"window:x:{at}") for at in range(1, 9)], []),
        (TEXT.replace("Ad Impression", "Other"), [seen(at) for at in range(1, 9)], []),
    ],
)
def test_each_measure_counts_what_it_says_per_key_and_stretch(text: str, events: list[Event], at: list[int]) -> None:
    assert [position for position, _ in fired(windows(text).view(), *events)] == at


def test_nothing_is_counted_before_it_is_settled() -> None:
    made = windows()
    view = made.view()
    fired(view, seen(1), seen(2))

    assert fired(made.view(), seen(1), seen(2)) == []
    made.settle(view)
    assert fired(made.view(), seen(3)) == [(3, FIRST)]


def test_a_state_that_was_stored_goes_on_and_one_that_has_fired_does_not() -> None:
    state = WindowState(window="budget", key="c1", start=NOW, value=2.0)

    assert fired(windows(TEXT, state).view(), seen(3)) == [(3, FIRST)]
    assert fired(windows(TEXT, msgspec.structs.replace(state, fired=True)).view(), seen(3), seen(4)) == []


def test_what_is_over_is_forgotten() -> None:
    state = WindowState(window="budget", key="c1", start=NOW, value=2.0)
    made = windows(TEXT, state)
    view = made.view()
    view.count(seen(3, "c2", received_at=NOW + 3 * 86400 + SWEEP))

    [new, old] = view.states()
    made.settle(view)

    assert (new.key, old) == ("c2", msgspec.structs.replace(state, gone=True))
    assert list(made.states) == [("budget", "c2", NOW + 3 * 86400)]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('key = "properties.campaign"', 'key = "a..b"'), "7: windows.budget.key: "),
        (("Ad Impression\"'", "'"), "6: windows.budget.filter: "),
        (("threshold = 3", 'threshold = 3\nmeasure = "sum"'), "10: windows.budget.measure: 'sum' needs a value"),
        (("threshold = 3", 'threshold = 3\nvalue = "userId"'), "4: windows.budget.measure: 'count' takes no value"),
    ],
)
def test_a_window_that_cannot_be_counted_is_told(change: tuple[str, str], problem: str) -> None:
    [told] = problems_of(TEXT.replace(*change))

    assert told.startswith(problem)
