from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.messages import Result
from engine.plan.functions import Call, Functions
from plugins.functions.python import Python

Events = list[dict[str, Any]]


class Inline:
    """A function made of a Python one; counts its calls."""

    def __init__(self, make: Callable[[Events], Any]) -> None:
        self.make = make
        self.sizes: list[int] = []

    def transform(self, events: Events) -> Events:
        self.sizes.append(len(events))
        made: Events = self.make(events)
        return made


def run(*functions: Callable[[Events], Any], ids: str = "abc") -> list[Result]:
    events = [(at, {"messageId": name, "type": "track"}) for at, name in enumerate(ids, 1)]
    return Functions("shop", [Inline(function) for function in functions]).transform(events)


def told(results: list[Result]) -> list[tuple[int, str, list[str]]]:
    return [
        (result.position, result.outcome, [msgspec.json.decode(raw)["messageId"] for raw in result.events])
        for result in results
    ]


def without(name: str) -> Callable[[Events], Events]:
    return lambda events: [event for event in events if event["messageId"] != name]


def twice(events: Events) -> Events:
    return [copy for event in events for copy in (event, dict(event))]


def test_an_event_that_comes_out_is_the_event_that_went_in() -> None:
    assert told(run(lambda events: events)) == [(1, "passed", ["a"]), (2, "passed", ["b"]), (3, "passed", ["c"])]


def test_an_event_that_is_left_out_is_dropped() -> None:
    assert told(run(without("b"))) == [(1, "passed", ["a"]), (2, "dropped", []), (3, "passed", ["c"])]


def test_the_second_time_an_id_comes_out_it_is_numbered() -> None:
    assert told(run(twice, ids="ab")) == [(1, "passed", ["a", "a#1"]), (2, "passed", ["b", "b#1"])]


def test_a_number_never_takes_the_id_of_an_event_that_went_in() -> None:
    functions = Functions("shop", [Inline(lambda events: [events[0], events[0], events[1]])])

    results = functions.transform([(1, {"messageId": "a"}), (2, {"messageId": "a#1"})])

    assert told(results) == [(1, "passed", ["a", "a#2"]), (2, "passed", ["a#1"])]


def test_ids_stay_unique_through_several_functions() -> None:
    assert told(run(twice, twice, ids="a")) == [(1, "passed", ["a", "a#2", "a#1", "a#1#1"])]


def test_an_unknown_id_is_kept_and_belongs_to_the_event_before_it() -> None:
    results = run(lambda events: [events[0], {"messageId": "new", "type": "track"}, events[1]], ids="ab")

    assert told(results) == [(1, "passed", ["a", "new"]), (2, "passed", ["b"])]


def test_an_event_without_an_id_is_called_after_its_content() -> None:
    results = run(lambda _events: [{"type": "track", "n": 1}, {"n": 1, "type": "track"}, {"n": 2}], ids="a")
    again = run(lambda _events: [{"type": "track", "n": 1}], ids="z")

    (first, repeated, other) = told(results)[0][2]
    assert first.startswith("shop:")
    assert len(first) == len("shop:") + 32
    assert repeated == f"{first}#1"
    assert other != first
    assert told(again)[0][2] == [first]


def test_one_event_that_fails_is_found_and_the_others_pass() -> None:
    def picky(events: Events) -> Events:
        for event in events:
            if event["messageId"] == "f":
                raise ValueError("no f here")
        return events

    function = Inline(picky)
    events = [(at, {"messageId": name}) for at, name in enumerate("abcdefgh", 1)]

    results = Functions("shop", [function]).transform(events)

    assert [result.outcome for result in results] == ["passed"] * 5 + ["failed"] + ["passed"] * 2
    assert function.sizes == [8, 4, 4, 2, 1, 1, 2]


def test_what_a_failed_call_wrote_into_its_events_is_gone() -> None:
    def spoils(events: Events) -> Events:
        for event in events:
            event["seen"] = event.get("seen", 0) + 1
        if len(events) > 1:
            raise RuntimeError("too many")
        return events

    results = run(spoils, ids="ab")

    assert [msgspec.json.decode(result.events[0])["seen"] for result in results] == [1, 1]


def test_a_failure_shows_the_users_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text('def transform_events(events):\n    return events[0]["properties"]\n')

    (result,) = Functions("shop", [Python(path, "broken.py")]).transform([(1, {"messageId": "a"})])

    assert result == Result(
        position=1,
        outcome="failed",
        error="Traceback (most recent call last):\n"
        f'  File "{path}", line 2, in transform_events\n'
        '    return events[0]["properties"]\n'
        "           ~~~~~~~~~^^^^^^^^^^^^^^\n"
        "KeyError: 'properties'",
    )


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (None, "a function returns a list of events, this one returned None"),
        ({"type": "track"}, "a function returns a list of events, this one returned a dict"),
        (["x"], "a function returns a list of events (objects), in this one is a str"),
        ([{"messageId": 5}], "a messageId is text, in an event that came out it is a int"),
        ([{"x": object()}], "Encoding objects of type object is unsupported"),
    ],
)
def test_a_wrong_return_value_fails_the_event(made: Any, said: str) -> None:
    (result,) = run(lambda _events: made, ids="a")

    assert result.outcome == "failed"
    assert result.error.splitlines()[-1] == f"TypeError: {said}"


def test_an_event_that_fails_in_the_second_function_brings_nothing_out() -> None:
    def refuses_copies(events: Events) -> Events:
        for event in events:
            if "#" in event["messageId"] and event["messageId"].startswith("a"):
                raise ValueError("a copy of a")
        return events

    results = run(twice, refuses_copies, ids="ab")

    assert told(results) == [(1, "failed", []), (2, "passed", ["b", "b#1"])]


def test_an_event_that_comes_out_ten_thousand_times_is_numbered_ten_thousand_times() -> None:
    (result,) = run(lambda events: events * 10_000, ids="a")

    assert msgspec.json.decode(result.events[-1])["messageId"] == "a#9999"


def test_what_an_inline_function_prints_is_kept_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def chatty(events: Events) -> Events:
        print(f"saw {len(events)}")  # noqa: T201 - what is tested
        return events

    def failing(events: Events) -> Events:
        print("about to fail")  # noqa: T201
        raise ValueError("no")

    call = Call(step=0, raws=(b'{"messageId":"a"}',), seconds=1.0)

    assert Functions("shop", [Inline(chatty)]).inline(call).printed == "saw 1\n"
    assert Functions("shop", [Inline(failing)]).inline(call).printed == "about to fail\n"
    assert Functions("shop", [Inline(lambda events: events)]).inline(call).printed == ""
    assert capsys.readouterr().out == ""
