from __future__ import annotations

from engine.cli.top import between, lines
from engine.observe.status import Status, SyncStatus


def status(last: int, *syncs: SyncStatus, **more: object) -> Status:
    return Status(running=True, last=last, used=0, free=0, syncs=syncs, **more)  # type: ignore[arg-type]


def orders(**changes: object) -> SyncStatus:
    facts = {"name": "orders", "source": "shop", "destination": "crm", "state": "running", "p50": 0.0012, "p99": 0.05}
    return SyncStatus(**(facts | changes))  # type: ignore[arg-type]


def told(before: Status, now: Status, seconds: float = 2.0) -> list[str]:
    return lines(between(before, now, seconds))[1:]


def test_rates_are_per_second_between_two_looks() -> None:
    before = status(100, orders(delivered=10, filtered={"a": 1}, pending=300))
    now = status(2100, orders(delivered=1010, filtered={"a": 3, "b": 4}, archived=2, pending=100, lag=100))

    assert told(before, now) == [
        "",
        "sync                state    delivered/s  filtered/s  archived/s  pending  +/s  done in     p50      p99",
        "orders: shop → crm  running          500           3           1      200  -50      4 s  1.2 ms  50.0 ms",
    ]


def test_what_grows_has_no_end_in_sight_and_what_is_new_counts_from_nothing() -> None:
    before = status(0, orders())
    now = status(10, orders(pending=10, p50=None, p99=None), orders(name="late", delivered=4), full="the disk is full")

    assert told(before, now) == [
        "EVENTS ARE REFUSED: the disk is full",
        "",
        "sync                state    delivered/s  filtered/s  archived/s  pending  +/s  done in     p50      p99",
        "orders: shop → crm  running            0           0           0       10   +5        -       -        -",
        "late: shop → crm    running            2           0           0        0   +0      0 s  1.2 ms  50.0 ms",
    ]


def test_restarts_are_told() -> None:
    look = between(status(0), status(5, restarts={"router.orders": 2}), 1.0)

    assert lines(look)[0].endswith("  5 events/s accepted, 2 restarts")


def test_without_an_engine_it_says_so(headrace, shop) -> None:
    shop.write_text('[console]\nlisten = "127.0.0.1:1"\n' + shop.read_text())

    said = headrace("top")

    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "no engine answers at 127.0.0.1:1 ([Errno 111] Connection refused)\n"
        "    start one with: headrace run -c config.toml\n"
    )
