from __future__ import annotations

import pytest

from engine.observe.balance import Equation, equations
from engine.observe.status import SourceStatus, Status, SyncStatus

SHOP = SourceStatus(
    name="shop",
    read=12,
    refused={"id_required": 1, "type_missing": 1},
    duplicate=1,
    accepted=9,
    passed=8,
    derived=2,
    blocked=1,
    dropped=1,
    failed=1,
)
ORDERS = SyncStatus(
    name="orders",
    source="shop",
    filtered={"no_event_type": 2, "disabled": 1},
    matched=5,
    created=6,
    delivered=3,
    archived=1,
    discarded=1,
    erased=0,
    pending=1,
)
STATUS = Status(running=True, last=9, used=0, free=0, sources=(SHOP,), syncs=(ORDERS,))


def test_every_equation_of_the_books_is_told_with_its_numbers():
    assert [f"{line.scope}: {line.text()}" for line in equations(STATUS)] == [
        "door of shop: 12 read = 2 refused + 1 duplicate + 9 accepted",
        "log: 9 accepted = 9 positions",
        "source shop: 9 accepted + 2 derived = 1 blocked + 1 dropped + 1 failed + 8 passed",
        "sync orders: 8 passed = 3 filtered + 5 matched",
        "deliveries of orders: 6 created = 3 delivered + 1 archived + 1 discarded + 0 erased + 1 pending",
    ]
    assert all(line.balanced for line in equations(STATUS))


@pytest.mark.parametrize("difference", [-1, 1])
def test_one_event_too_many_or_too_few_is_seen(difference):
    line = Equation(scope="log", came=(("accepted", 1000),), went=(("positions", 1000 + difference),))

    assert not line.balanced
    assert line.text() == f"1,000 accepted ≠ {1000 + difference:,} positions"
