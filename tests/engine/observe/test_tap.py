from __future__ import annotations

import trio
import trio.testing

from engine.messages import Envelope, Logged
from engine.observe.tap import KEPT, Tap, Turned


def logged(position: int) -> Logged:
    envelope = Envelope(message_id=f"m{position}", received_at=0.0)
    return Logged(position=position, source="shop", raw=b"{}", envelope=envelope)


def test_what_came_is_shown_in_order_and_the_rest_later() -> None:
    tap = Tap()
    turned = Turned(message_id="m3", verdict="duplicate", at=0.0)
    tap.add([logged(1), logged(2)], [turned])

    assert tap.since(0, 2) == (0, [(1, logged(1)), (2, logged(2))])
    assert tap.since(2, 2) == (0, [(3, turned)])
    assert tap.since(3, 2) == (0, [])


def test_it_keeps_the_last_and_says_how_many_went() -> None:
    tap = Tap()
    for position in range(1, KEPT + 11):
        tap.add([logged(position)])

    missed, kept = tap.since(5, 3)

    assert (missed, [n for n, _ in kept]) == (5, [11, 12, 13])
    assert len(tap.since(0, 10_000)[1]) == KEPT


async def test_who_waits_is_woken_by_the_next_or_by_time(nursery: trio.Nursery, autojump_clock: object) -> None:
    tap = Tap()
    began = trio.current_time()
    await tap.wait(0, 5.0)
    assert trio.current_time() - began == 5.0

    nursery.start_soon(tap.wait, 0, 1e9)
    await trio.testing.wait_all_tasks_blocked()
    tap.add([logged(1)])
    await trio.testing.wait_all_tasks_blocked()
    assert nursery.child_tasks == frozenset()
