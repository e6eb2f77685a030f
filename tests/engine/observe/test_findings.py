from __future__ import annotations

import pytest

from engine.observe.findings import (
    Finding,
    of_books,
    of_clock,
    of_cursors,
    of_disk,
    of_engine,
    of_files,
    of_modes,
    of_versions,
)
from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus

MIB = 1 << 20


def told(*found: Finding) -> list[str]:
    """Return what a person reads of each."""
    return [f"{one.verdict} {one.what}: {one.text}" + (f" | {one.hint}" if one.hint else "") for one in found]


def status(**parts) -> Status:
    return Status(**({"running": True, "last": 7, "used": 0, "free": 0} | parts))


def test_an_engine_that_is_well_is_one_line() -> None:
    well = status(destinations=(DestinationStatus(name="crm", state="closed"),), sources=(SourceStatus(name="shop"),))

    assert told(*of_engine(well)) == ["ok engine: running, 7 events accepted"]
    assert told(*of_engine(status(running=False))) == ["ok engine: not running"]


def test_what_an_engine_suffers_from_is_told_with_what_to_do() -> None:
    ill = status(
        full="the disk has 5 bytes left",
        restarts={"router.orders": 2},
        forgotten=1200,
        sources=(SourceStatus(name="shop", state="attention", reason="'normalise' does not answer"),),
        destinations=(
            DestinationStatus(name="crm", state="attention", reason="401"),
            DestinationStatus(name="erp", state="open", reason="20 failures in a row"),
        ),
    )

    assert told(*of_engine(ill)) == [
        "bad engine: events are refused: the disk has 5 bytes left | make room; it goes on by itself",
        "warn engine: router.orders was started again 2 times | the tracebacks are in the log: actor.died",
        (
            "warn duplicates: 1,200 messageIds were forgotten before the window ended"
            " | raise [receiver.dedup] max, or shorten its window"
        ),
        "bad source: shop is attention: 'normalise' does not answer | its events wait in the log",
        (
            "bad destination: crm is attention: 401"
            " | deliveries wait; check its credentials and address, then: headrace resume destination NAME"
        ),
        "warn destination: erp does not answer: 20 failures in a row | it is tried again",
    ]


@pytest.mark.parametrize(
    ("pending", "expected"),
    [
        (2, "ok books: they balance, for each of 1 syncs"),
        (
            1,
            (
                "bad books: deliveries of orders: 5 created ≠ 3 delivered + 0 archived + 0 discarded + 0 erased"
                " + 1 pending | this is a bug; please report it with this line"
            ),
        ),
    ],
)
def test_books(pending, expected) -> None:
    orders = SyncStatus(name="orders", source="shop", created=5, delivered=3, pending=pending)

    assert told(*of_books(status(sources=(SourceStatus(name="shop"),), syncs=(orders,)))) == [expected]


def test_a_reader_that_stands_is_told_and_one_that_moves_is_not() -> None:
    def seen(passed: int, delivered: int, lag: int = 9) -> Status:
        sync = SyncStatus(
            name="orders", source="shop", destination="crm", state="running", pending=4, oldest_pending=3600.0,
            delivered=delivered,
        )  # fmt: skip
        return status(sources=(SourceStatus(name="shop", passed=passed, lag=lag),), syncs=(sync,))

    assert told(*of_cursors(seen(5, 5), seen(6, 6))) == ["ok cursors: every reader of the log moves or has read all"]
    assert told(*of_cursors(seen(5, 5), seen(5, 5))) == [
        (
            "warn cursors: the validator of shop stands, 9 events behind"
            " | look for it in the log; a function may take its time"
        ),
        (
            "warn cursors: orders: the oldest event has waited 3,600 s, 4 pending"
            " | sync running, see the destination crm; headrace errors list --sync orders"
        ),
    ]


def test_sources_that_come_and_go_between_two_looks_stand_for_nobody() -> None:
    one, other = SourceStatus(name="shop", lag=9), SourceStatus(name="web", lag=9)

    assert told(*of_cursors(status(sources=(one,)), status(sources=(other,)))) == [
        "ok cursors: every reader of the log moves or has read all"
    ]


def test_a_store_without_limit_is_never_too_big() -> None:
    found = list(of_disk(used=5 * MIB, free=1000 * MIB, reserve=64 * MIB, limit=0, log=0))

    assert told(found[1]) == ["ok store size: 5,242,880 bytes in use, without limit"]


@pytest.mark.parametrize(
    ("free", "used", "log", "verdicts"),
    [
        (1000 * MIB, 5 * MIB, 0, ["ok", "ok"]),
        (200 * MIB, 5 * MIB, 0, ["warn", "ok"]),
        (64 * MIB, 5 * MIB, 0, ["bad", "ok"]),
        (1000 * MIB, 11 * MIB, 0, ["ok", "warn"]),
        (1000 * MIB, 5 * MIB, 300 * MIB, ["ok", "ok", "warn"]),
    ],
)
def test_disk(free, used, log, verdicts) -> None:
    found = of_disk(used=used, free=free, reserve=64 * MIB, limit=10 * MIB, log=log)

    assert [one.verdict for one in found] == verdicts


@pytest.mark.parametrize(
    ("now", "newest", "verdict"), [(1e9, 0.0, "bad"), (1.8e9, 0.0, "ok"), (1.8e9, 1.8e9 + 3600, "warn")]
)
def test_clock(now, newest, verdict) -> None:
    assert of_clock(now, newest).verdict == verdict


@pytest.mark.parametrize(("hard", "verdict"), [(-1, "ok"), (20_000, "ok"), (1024, "warn")])
def test_open_files(hard, verdict) -> None:
    assert of_files(1024, hard, 10_000).verdict == verdict


def test_who_may_read_what() -> None:
    found = of_modes({"data": 0o755, "key.pem": 0o640, "token": 0o600, "logs": 0o777}, ["key.pem", "token"])

    assert told(*found) == [
        "warn permissions: data may be read by anybody (755): events are personal data | chmod o-rwx data",
        "bad permissions: key.pem may be read by others (640) | chmod 600 key.pem",
        "bad permissions: logs may be written by anybody (777) | chmod o-w logs",
    ]
    assert told(*of_modes({"data": 0o700}, [])) == ["ok permissions: 1 files and folders are for those who need them"]


def test_versions() -> None:
    asked = {"trio": "0.30", "httpx": "0.28", "h11": "0.16"}

    assert told(*of_versions(asked, {"trio": "0.9.1", "httpx": "0.28.1"})) == [
        "bad versions: trio 0.9.1 is older than 0.30 | install from requirements.lock",
        "bad versions: h11 is not installed | install from requirements.lock",
    ]
    assert told(*of_versions(asked, {"trio": "0.30.0", "httpx": "0.29", "h11": "1.0"})) == [
        "ok versions: 3 packages, none too old"
    ]
