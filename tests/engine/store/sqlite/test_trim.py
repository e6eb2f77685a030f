"""What broke contracts is kept within bounds, and takes no room from events."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from engine.store.base import Change, Retention
from engine.store.opening import open_store
from engine.violated import Wanted
from tests.conformance.store_violations import violated
from tests.support.stores import NOW, Disk, OpenedStore

MIB = 1 << 20
ALL = Wanted(limit=10_000)


@pytest.fixture
async def one(tmp_path: Path):
    opened = OpenedStore(partial(open_store, "sqlite", tmp_path), Disk())
    await opened.open()
    yield opened
    await opened.store.aclose()


async def test_broken_contracts_take_a_tenth_of_the_archive_s_size_the_newest_stay(one: OpenedStore) -> None:
    bulky = b'"' + b"x" * 10_000 + b'"'
    await one.store.commit(Change(violated=tuple(violated(at, event=bulky) for at in range(1, 501))))

    await one.store.trim(Retention(archive_size=10 * MIB), NOW)

    left = [entry.position for entry in await one.store.violations.list(ALL)]
    assert 80 <= len(left) <= MIB // 10_000
    assert left == list(range(500, 500 - len(left), -1))


async def test_without_a_size_they_stay_until_they_are_too_old(one: OpenedStore) -> None:
    await one.store.commit(Change(violated=tuple(violated(at) for at in range(1, 501))))

    await one.store.trim(Retention(), NOW)
    before = len(await one.store.violations.list(ALL))
    await one.store.trim(Retention(archive_age=100.0), NOW + 401)

    assert (before, len(await one.store.violations.list(ALL))) == (500, 200)


async def test_they_are_no_part_of_retention_s_size(one: OpenedStore) -> None:
    bulky = b'"' + b"x" * 10_000 + b'"'
    await one.fill(50)
    await one.store.commit(Change(violated=tuple(violated(at, event=bulky) for at in range(1, 501))))
    used = one.store.usage().used

    await one.store.trim(Retention(size=used - 4 * MIB), NOW)

    assert used > 5 * MIB
    assert (one.store.usage().full, one.store.usage().pinned) == ("", False)
