from __future__ import annotations

import pytest

from engine.store.base import Cursor
from engine.store.pins import Pins, old_ones, pins
from tests.support.stores import progress


@pytest.mark.parametrize(
    ("cursors", "syncs", "floors", "opened"),
    [
        ({}, [], {}, set()),
        ({"shop": 7}, [], {"shop": 7}, set()),
        ({"shop": 7}, [progress(5, (2,)), progress(6, (2, 4), "refunds")], {"shop": 5}, {2, 4}),
        ({"shop": 7, "app": 3}, [progress(9, (), "orders", "app")], {"shop": 7, "app": 3}, set()),
        ({}, [progress(9, (8,))], {}, {8}),
    ],
)
def test_the_slowest_reader_of_a_source_holds_its_events(cursors, syncs, floors, opened):
    given = [Cursor(source=source, position=position) for source, position in cursors.items()]

    assert pins(given, syncs) == Pins(floors=floors, open=frozenset(opened))


def test_the_old_are_those_before_the_first_young_one_of_their_source():
    rows = [(1, "shop", 5.0), (2, "app", 20.0), (3, "shop", 9.0), (4, "app", 1.0), (5, "shop", 10.0), (6, "shop", 2.0)]

    assert list(old_ones(rows, 10.0)) == [1, 3]
