"""Batches that are refused for what one of them is, accepted in part, or acknowledged by somebody else's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import pytest
import trio

from engine.messages import State
from engine.store.base import Selection
from tests.support.grown import Engine, grow, unbalanced
from tests.support.itemised import REGISTRY
from tests.support.rogue import NUMBER, OK, Rogue, answering, reply, well

TEN = """
[destinations.crm]
type = "{kind}"
url = "http://127.0.0.1:{port}/in"
allow_private = true
concurrency = 1
{more}
[syncs.orders]
source = "shop"
destination = "crm"
[[syncs.orders.event_types]]
mapping = {{ n = "properties.n" }}
"""
BAD = 13


@pytest.fixture(autouse=True)
def _itemised(monkeypatch: pytest.MonkeyPatch):
    """Let engines know a destination that answers for each item."""
    monkeypatch.setattr("tests.support.grown.REGISTRY", REGISTRY)


def numbers(request: bytes) -> list[int]:
    return [int(number) for number in NUMBER.findall(request)]


def blocking(status: int, bad: int = BAD) -> Callable[[bytes], bytes]:
    """Return the answers of a firewall that takes one payload for an attack."""
    return lambda request: reply(status, b"<html>Blocked</html>") if bad in numbers(request) else OK


async def started(
    nursery: trio.Nursery, kind: str, answer: bytes | Callable[[bytes], bytes], events: int
) -> tuple[Engine, Rogue]:
    """Return an engine that sends batches of ten, and their destination; it has all events before it sends any."""
    sink = Rogue(answering(answer))
    await nursery.start(sink.run)
    more = "batch = 10" if kind == "webhook" else ""
    engine = await grow(nursery, TEN.format(kind=kind, port=sink.port, more=more))
    await engine.unwatched()
    await engine.tree.operator.pause("destinations", "crm")
    await engine.send(events)
    await trio.sleep(1)
    await engine.tree.operator.resume("destinations", "crm")
    return engine, sink


@pytest.mark.parametrize("status", [400, 406, 422])
async def test_a_firewall_that_refuses_one_payload_costs_a_bisection(nursery, jumping_clock, status):
    engine, sink = await started(nursery, "webhook", blocking(status), 30)
    told = await engine.settled()

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason, trouble.attempts) == (BAD, f"rejected_{status}", 1)
    assert (told.syncs[0].delivered, told.syncs[0].archived) == (29, 1)
    # 11 to 20, halved: 11-15 11-12 13-15 13 14-15, and 16-20; no batch but the bad one's is touched.
    sizes = [len(numbers(request)) for request in sink.requests]
    assert sizes == [10, 10, 5, 2, 3, 1, 2, 5, 10]
    assert Counter(
        n for request in sink.requests if BAD not in numbers(request) for n in numbers(request)
    ) == dict.fromkeys(set(range(1, 31)) - {BAD}, 1)
    assert unbalanced(told) == []


@pytest.mark.parametrize("events", [20, 30])
@pytest.mark.parametrize("bad", [11, BAD])
async def test_a_firewall_that_says_403_is_told_from_bad_credentials(nursery, jumping_clock, events, bad):
    engine, sink = await started(nursery, "webhook", blocking(403, bad), events)
    told = await engine.settled(600)

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason) == (bad, "rejected_403")
    assert (told.syncs[0].delivered, told.syncs[0].archived) == (events - 1, 1)
    assert told.destinations[0].state == "closed"
    assert len(sink.requests) <= events // 10 + 2 + 9  # two probes, of one delivery each, and a bisection of ten
    assert unbalanced(told) == []


async def test_items_of_a_batch_fare_each_on_its_own(nursery, jumping_clock):
    seen: Counter[int] = Counter()

    def answer(request: bytes) -> bytes:
        own = numbers(request)
        seen.update(own)
        first = {3: 400, 5: 500, 7: 429}
        return reply(200, msgspec.json.encode({"items": [first.get(n, 200) if seen[n] == 1 else 200 for n in own]}))

    engine, _ = await started(nursery, "itemised", answer, 10)
    told = await engine.settled()

    [trouble] = await engine.archived()
    assert (trouble.position, trouble.reason) == (3, "rejected_400")
    assert seen == Counter(range(1, 11)) + Counter([5, 7])
    assert (told.syncs[0].delivered, told.syncs[0].archived) == (9, 1)
    assert told.destinations[0].state == "closed"
    assert unbalanced(told) == []


async def test_what_is_said_of_each_item_may_be_long(nursery, jumping_clock):
    def answer(request: bytes) -> bytes:
        own = numbers(request)
        return reply(
            200, msgspec.json.encode({"items": [200] * len(own), "said": ["created: " + "x" * 5000] * len(own)})
        )

    engine, sink = await started(nursery, "itemised", answer, 30)
    told = await engine.settled()

    assert (told.syncs[0].delivered, len(sink.requests)) == (30, 3)
    assert unbalanced(told) == []


LIES = {
    "a page": (b"<html>Please log in</html>", "text/html"),
    "garbage": (b"\x00\xff{{{", "application/json"),
    "nothing": (b"", "application/json"),
    "an error": (b'{"error":"no such tenant"}', "application/json"),
    "too few": (b'{"items":[200]}', "application/json"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_200_that_says_nothing_of_the_items_is_no_receipt(nursery, jumping_clock, lie):
    body, kind = LIES[lie]
    engine, sink = await started(nursery, "itemised", reply(200, body, kind=kind), 30)
    await trio.sleep(300)
    waiting = await engine.store.ledger.list(Selection(states=(State.RETRYING,)))
    status = await engine.tree.operator.status()
    assert {one.reason for one in waiting} == {"reply_unreadable"}
    assert (status.syncs[0].delivered, status.syncs[0].pending) == (0, 30)
    assert len(sink.requests) <= 3 + 3 * 8  # three batches at first, then by the schedule

    sink.behave(answering(lambda request: reply(200, msgspec.json.encode({"items": [200] * len(numbers(request))}))))
    told = await engine.settled(3600)
    assert told.syncs[0].delivered == 30
    assert len(sink.keys) == 30
    assert unbalanced(told) == []


async def test_what_a_firewall_refuses_stays_refused_beside_a_second_one(nursery, jumping_clock):
    bad: Sequence[int] = (4, 11, 12, 27)

    def answer(request: bytes) -> bytes:
        return reply(403) if set(bad) & set(numbers(request)) else OK

    engine, sink = await started(nursery, "webhook", answer, 40)
    told = await engine.settled(3600)

    assert [one.position for one in await engine.archived()] == list(bad)
    assert {one.reason for one in await engine.archived()} == {"rejected_403"}
    assert told.syncs[0].delivered == 36
    sink.behave(well)
    await engine.send(10)
    assert (await engine.settled()).syncs[0].delivered == 46
    assert unbalanced(await engine.settled()) == []
