from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from engine.lang.keys import delivery_key
from engine.messages import Event, Logged, Result, Stage, State, Trouble, trouble_id
from engine.plan import SourcePlan
from tests.support.plans import NOW, logged, plan_of

CONTRACT = """
[sources.shop]
write_keys = ["key"]
contract = "promise"
[contracts.promise]
on_undeclared_event = "block"
[[contracts.promise.events]]
type = "track"
name = "Order Completed"
schema = { properties = { properties = { required = ["total"], properties = { total = { type = "number" } } } } }
"""


def order(**properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "userId": "u", "properties": properties}


def shop(text: str = CONTRACT, folder: Path | None = None) -> SourcePlan:
    return plan_of(text, folder=folder).sources["shop"]


def with_function(folder: Path, body: str) -> SourcePlan:
    (folder / "f.py").write_text(f"def transform_events(events):\n    {body}\n")
    text = '[sources.shop]\nwrite_keys = ["k"]\nfunctions = ["f"]\n[functions.f]\nfile = "f.py"\nisolation = "inline"\n'
    return shop(text, folder)


def examined(source: SourcePlan, row: Logged) -> dict[str, Any]:
    body = source.examine(row, NOW)
    assert isinstance(body, dict)
    return body


def test_an_event_that_keeps_its_contract_goes_on_normalised() -> None:
    body = examined(shop(), logged(order(total=5)))

    assert body == {
        **order(total=5),
        "messageId": "m1",
        "receivedAt": "2026-01-01T00:00:00.000Z",
        "sentAt": "2026-01-01T00:00:00.000Z",
        "originalTimestamp": "2026-01-01T00:00:00.000Z",
        "timestamp": "2026-01-01T00:00:00.000Z",
    }


def test_undeclared_fields_are_left_out() -> None:
    assert examined(shop(), logged(order(total=5, extra=1)))["properties"] == {"total": 5}


def test_an_event_that_breaks_its_contract_is_blocked_with_every_violation() -> None:
    row = logged({**order(total="5"), "userId": 7}, position=3)

    trouble = shop(CONTRACT.replace("schema = {", 'schema = { required = ["anonymousId"],')).examine(row, NOW)

    key = delivery_key("shop", "m1", "", "contract")
    assert trouble == Trouble(
        id=trouble_id(3, key),
        state=State.BLOCKED,
        stage=Stage.CONTRACT,
        reason="contract_violation",
        source="shop",
        position=3,
        key=key,
        message_id="m1",
        received_at=NOW,
        first_at=NOW,
        last_at=NOW,
        error="/: 'anonymousId' is a required property\n/properties/total: '5' is not of type 'number'",
        event=row.raw,
    )


def test_an_event_that_is_not_declared_is_blocked_for_that() -> None:
    trouble = shop().examine(logged({"type": "track", "event": "Other"}), NOW)

    assert isinstance(trouble, Trouble)
    assert (trouble.state, trouble.reason) == (State.BLOCKED, "undeclared_event")
    assert trouble.error == "/: the contract declares no event track 'Other'"


def test_bytes_that_are_no_event_are_archived_with_a_traceback() -> None:
    row = msgspec.structs.replace(logged({}), raw=b'{"type": ')

    trouble = shop().examine(row, NOW)

    assert isinstance(trouble, Trouble)
    assert (trouble.state, trouble.stage, trouble.reason) == (State.ARCHIVED, Stage.CONTRACT, "contract_failed")
    assert trouble.error == "the event could not be examined: DecodeError: Input data was truncated"
    assert trouble.trace.startswith("Traceback (most recent call last):")
    assert trouble.event == b'{"type": '


def test_without_functions_the_event_itself_goes_on() -> None:
    source, row = shop(), logged(order(total=5), position=4)
    body = examined(source, row)

    assert not source.has_functions
    assert source.events(row, body) == (Event(position=4, message_id="m1", received_at=NOW, body=body),)


def test_what_a_function_made_comes_back_from_its_stored_result(tmp_path: Path) -> None:
    source = with_function(tmp_path, "return [e for e in events for _ in range(2)]")
    rows = [logged(order(), position=at, message_id=f"m{at}") for at in (1, 2)]
    batch = [(row, examined(source, row)) for row in rows]

    results = source.transform(batch)
    events = source.restored(rows[1], results[1])

    assert source.has_functions
    assert [result.position for result in results] == [1, 2]
    assert [(event.position, event.n, event.message_id) for event in events] == [(2, 0, "m2"), (2, 1, "m2#1")]
    assert events[0].body == batch[1][1]
    assert events[1].body == {**batch[1][1], "messageId": "m2#1"}


def test_a_dropped_event_has_nothing_to_restore(tmp_path: Path) -> None:
    source, row = with_function(tmp_path, "return []"), logged(order())

    (result,) = source.transform([(row, examined(source, row))])

    assert result == Result(position=1, outcome="dropped")
    assert source.restored(row, result) == ()


def test_an_event_on_which_a_function_fails_is_archived_with_the_user_s_traceback(tmp_path: Path) -> None:
    source, row = with_function(tmp_path, "return events[0]['nothing']"), logged(order(), position=6)

    (result,) = source.transform([(row, examined(source, row))])
    trouble = source.failed(row, result, NOW)

    key = delivery_key("shop", "m1", "", "function")
    assert (trouble.id, trouble.key) == (trouble_id(6, key), key)
    assert (trouble.state, trouble.stage, trouble.reason) == (State.ARCHIVED, Stage.FUNCTION, "function_failed")
    assert trouble.error == (
        "a function of source 'shop' failed: KeyError: 'nothing'\nmend the function, then replay the event"
    )
    assert trouble.trace == result.error
    assert trouble.event == row.raw
    assert source.restored(row, result) == ()


def test_a_function_gets_no_part_that_others_share(tmp_path: Path) -> None:
    source = with_function(tmp_path, "events[0]['context']['seen'] = True; return events")
    context = {"library": "x"}
    row = logged(order())
    shared = msgspec.structs.replace(row, envelope=msgspec.structs.replace(row.envelope, context=context))

    source.transform([(shared, examined(source, shared))])

    assert context == {"library": "x"}
