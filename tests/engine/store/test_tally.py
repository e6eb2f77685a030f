from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engine.lang.retry import RetryPolicy, Rules, Verdict
from engine.messages import Delivery, Due, Reply, Request, Settlement, State
from engine.plugin import Item, PluginError, by_status
from engine.store.outcome import Outcome
from engine.store.tally import Tally, Waits

NOW = 1000.0
POLICY = RetryPolicy()
DELIVERY = Delivery(
    key="0123456789abcdef" * 2, position=7, source="shop", sync="orders", event_type="purchase", type="custom",
    destination="crm", message_id="m1", received_at=NOW - 1, payload=b'{"a":1}',
)  # fmt: skip
REQUEST = Request(url="https://crm.example/", headers=(("x", "y"),), body=b'{"a":1}')


def due(**changes: object) -> Due:
    tried = msgspec.structs.replace(DELIVERY, **{"attempts": 1, "first_at": NOW - 10, **changes})
    return Due(delivery=tried, token=5, last_at=NOW - 5)


def answered(status: int, **reply: Any) -> Outcome:
    return Outcome(reply=Reply(status=status, **reply), request=REQUEST)


def settle(work, outcome, waits=Waits(), roll=0.5):  # noqa: B008 - frozen
    tally = Tally(POLICY, NOW, lambda: roll)
    (item,) = outcome.verdicts([DELIVERY])
    tally.add(work, item, outcome, waits)
    return tally.settled(None)


def test_an_arrival_closes_what_the_router_opened() -> None:
    settled = settle(DELIVERY, answered(204))

    assert settled.closed == (("orders", 7, DELIVERY.key),)
    assert settled.delivered == {"orders": 1}
    assert (settled.troubles, settled.settles, settled.places) == ((), (), 1)


def test_an_arrival_of_a_retry_ends_its_claim() -> None:
    settled = settle(due(), answered(200))

    assert [(one.id, one.token, one.how) for one in settled.settles] == [("7-0123456789ab", 5, Settlement.DONE)]
    assert (settled.closed, settled.delivered, settled.places) == ((), {}, 1)


@pytest.mark.parametrize(
    ("outcome", "state", "reason", "due_at", "attempts"),
    [
        (answered(503), State.RETRYING, "status_503", NOW + 2.5, 1),
        (answered(408), State.RETRYING, "status_408", NOW + 2.5, 1),
        (answered(501), State.ARCHIVED, "rejected_501", 0.0, 1),
        (answered(400), State.ARCHIVED, "rejected_400", 0.0, 1),
        (answered(302), State.ARCHIVED, "rejected_302", 0.0, 1),
        (answered(413), State.ARCHIVED, "rejected_413", 0.0, 1),
        (answered(403), State.RETRYING, "needs_attention", NOW + 30, 1),
        (Outcome(reply=Reply(error="ConnectError: refused")), State.RETRYING, "network", NOW + 2.5, 1),
        (Outcome(reply=Reply(error="ReadTimeout: late")), State.RETRYING, "timeout", NOW + 2.5, 1),
        (Outcome.broken(PluginError("no email")), State.ARCHIVED, "request_failed", 0.0, 1),
    ],
)
def test_the_first_failure(outcome, state, reason, due_at, attempts) -> None:
    (trouble,) = settle(DELIVERY, outcome).troubles

    assert (trouble.state, trouble.reason, trouble.due_at, trouble.attempts) == (state, reason, due_at, attempts)
    assert (trouble.id, trouble.payload, trouble.first_at) == ("7-0123456789ab", b'{"a":1}', NOW)


def test_a_failure_keeps_what_was_sent_and_what_came_back() -> None:
    (trouble,) = settle(DELIVERY, answered(400, headers=(("server", "crm"),), body=b"no such field")).troubles

    assert trouble.request == b'POST https://crm.example/\nx: y\n\n{"a":1}'
    assert trouble.response == b"400\nserver: crm\n\nno such field"


def test_a_retry_that_was_told_to_wait_does_not_count_and_is_not_early() -> None:
    (one,) = settle(due(), answered(429), Waits(told=60.0)).settles

    assert (one.trouble.attempts, one.trouble.due_at) == (1, NOW + 60)


@pytest.mark.parametrize(
    ("changes", "down", "reason"),
    [
        ({"attempts": 2, "first_at": NOW - 4 * 3600}, 0.0, "retries_exhausted"),
        ({"attempts": 1, "first_at": NOW - 4 * 3600}, 0.0, "status_503"),
        ({"attempts": 9, "first_at": NOW - 4 * 3600}, 60.0, "status_503"),
        ({"attempts": 9, "first_at": NOW - 4 * 3600, "excused": 60.0}, 0.0, "status_503"),
        ({"attempts": 0, "received_at": NOW - 73 * 3600}, 0.0, "too_old"),
    ],
)
def test_when_it_is_given_up(changes, down, reason) -> None:
    (one,) = settle(due(**changes), answered(503), Waits(down=down)).settles

    assert one.trouble.reason == reason
    assert one.how == (Settlement.RETRY if reason == "status_503" else Settlement.ARCHIVE)


@pytest.mark.parametrize(
    ("refused", "attempts", "last_success", "reason"),
    [
        (True, 1, 0.0, "needs_attention"),
        (True, 1, NOW - 1, "rejected_403"),
        (False, 1, NOW - 1, "needs_attention"),
        (True, 2, 0.0, "rejected_403"),
    ],
)
def test_a_403_is_its_own_if_others_arrive_or_it_alone_was_probed_three_times(
    refused, attempts, last_success, reason
) -> None:
    work = msgspec.structs.replace(due(attempts=attempts), refused=refused)
    (one,) = settle(work, answered(403), Waits(last_success=last_success)).settles

    assert one.trouble.reason == reason


def test_items_of_a_batch_have_their_own_fates() -> None:
    outcome = Outcome(
        reply=Reply(status=207),
        request=REQUEST,
        items=(Item(verdict=Verdict.DELIVERED), Item(verdict=Verdict.ARCHIVE, reason="bad_email", message="no @")),
    )
    tally = Tally(POLICY, NOW, lambda: 0.0)
    other = msgspec.structs.replace(DELIVERY, position=8)
    for work, item in zip((DELIVERY, other), outcome.verdicts([DELIVERY, other]), strict=True):
        tally.add(work, item, outcome, Waits())
    settled = tally.settled(None)

    assert settled.delivered == {"orders": 1}
    assert [(one.position, one.reason, one.error) for one in settled.troubles] == [(8, "bad_email", "no @")]
    assert not outcome.divisible


def test_a_destination_s_rules_count_for_the_reply_and_for_items_with_a_status_of_their_own() -> None:
    own = Item(verdict=Verdict.ARCHIVE, reason="bad_email")
    outcome = Outcome(reply=Reply(status=409), request=REQUEST, items=(by_status(409), by_status(400), own))
    ruled = outcome.ruled(Rules(retry=frozenset({409})))

    assert ruled.verdict == (Verdict.RETRY, "status_409")
    assert [(item.verdict, item.reason) for item in ruled.items or ()] == [
        (Verdict.RETRY, "status_409"),
        (Verdict.ARCHIVE, "rejected_400"),
        (Verdict.ARCHIVE, "bad_email"),
    ]


@pytest.mark.parametrize(("status", "divisible"), [(413, True), (400, True), (503, False), (200, False), (401, False)])
def test_which_replies_to_a_batch_are_answered_by_halves(status, divisible) -> None:
    assert answered(status).divisible is divisible


def test_a_dead_senders_deliveries_are_tried_again_with_the_same_key() -> None:
    tally = Tally(POLICY, NOW, lambda: 0.5)
    tally.sender_died(DELIVERY, 0.0)
    tally.sender_died(due(excused=2.0), 3.0)
    settled = tally.settled(None)

    (fresh,), (old,) = settled.troubles, settled.settles
    assert (fresh.reason, fresh.attempts, fresh.key) == ("sender_died", 1, DELIVERY.key)
    assert old.trouble
    assert (old.how, old.trouble.attempts, old.trouble.excused) == (Settlement.RETRY, 2, 5.0)


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "7", 7.0),
        (503, "Thu, 01 Jan 1970 00:17:00 GMT", 20.0),
        (500, "7", 0.0),
        (429, "soon", 0.0),
        (429, "", 0.0),
    ],
)
def test_who_may_ask_for_a_pause(status, header, seconds) -> None:
    assert answered(status, headers=(("retry-after", header),)).asked_wait(NOW) == seconds


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, 0.0), (0.0, 0.0), (7.5, 7.5), (-7.0, 0.0), (1e12, 3600.0), (float("inf"), 3600.0), (float("nan"), 0.0)],
)
def test_an_item_may_ask_for_an_hour_at_most(asked, seconds) -> None:
    items = (Item(verdict=Verdict.RETRY, retry_after=asked), Item(verdict=Verdict.RETRY))
    assert Outcome(reply=Reply(), items=items).asked_wait(NOW) == seconds


def test_what_a_batch_met_is_kept_once_for_all_of_it() -> None:
    batch = [msgspec.structs.replace(DELIVERY, position=position) for position in (1, 2)]
    outcome = answered(500, body=b"x" * 20_000)
    tally = Tally(POLICY, NOW, lambda: 0.5)
    for work, item in zip(batch, outcome.verdicts(batch), strict=True):
        tally.add(work, item, outcome, Waits())
    first, second = tally.settled(None).troubles
    assert (first.request is second.request, first.response is second.response) == (True, True)
    assert len(first.response) == 10 * 1024
