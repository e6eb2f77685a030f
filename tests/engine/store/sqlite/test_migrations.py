"""Whoever ran the first release keeps what it had accepted: its store becomes today's, and nothing in it is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.messages import Attempt, Result, State
from engine.store.base import Cursor, Selection, Waiting
from engine.store.opening import open_store
from engine.store.sqlite import connect, migrations
from tests.support.stores import NOW, Disk, OpenedStore, event, progress, trouble

SCHEMA_1 = Path(__file__).with_name("schema_1.sql").read_text()


@pytest.fixture
def first_release(tmp_path: Path) -> Path:
    """Return a data folder as the first release left it."""
    file = sqlite3.connect(tmp_path / connect.FILE)
    file.executescript(SCHEMA_1)
    file.close()
    return tmp_path


async def opened(folder: Path) -> OpenedStore:
    one = OpenedStore(lambda: open_store("sqlite", folder), Disk())
    await one.open()
    return one


def layout(folder: Path) -> list[tuple[str, str, str]]:
    """Return everything that a store's tables and indexes are made of."""
    file = sqlite3.connect(folder / connect.FILE)
    found = file.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    marks = [(name, "", str(file.execute(f"PRAGMA {name}").fetchone())) for name in ("user_version", "application_id")]
    file.close()
    return [*found, *marks]


async def test_a_store_of_the_first_release_becomes_what_a_new_one_is(first_release: Path, tmp_path: Path):
    fresh = tmp_path / "fresh"
    for folder in (first_release, fresh):
        one = await opened(folder)
        await one.store.aclose()

    assert layout(first_release) == layout(fresh)


async def test_nothing_of_the_first_release_s_store_is_lost(first_release: Path):
    one = await opened(first_release)
    store = one.store
    waiting = trouble(1)
    archived = trouble(
        2,
        State.ARCHIVED,
        source="web",
        sync="visits",
        event=b'{"n":2}',
        request=b"POST / HTTP/1.1",
        response=b"HTTP/1.1 400",
    )

    assert store.last == 3
    assert await store.read("shop", 0, 3, 10) == [event(1), event(3, ip="192.0.2.7", sent_at="2026-01-01T00:00:00Z")]
    assert await store.read("web", 0, 3, 10) == [event(2, "web")]
    assert await store.results([1, 2, 3]) == {3: Result(position=3, outcome="dropped")}
    assert await store.meta.cursors() == [Cursor(source="shop", position=3), Cursor(source="web", position=2)]
    assert await store.meta.progress() == [progress(3, (3,)), progress(2, (), "visits", "web")]
    assert await store.meta.windows() == []
    assert await store.meta.counts() == {
        ("source:shop", "passed"): 2,
        ("sync:orders", "created"): 2,
        ("sync:orders", "matched"): 2,
        ("sync:visits", "archived"): 1,
        ("sync:visits", "created"): 1,
    }
    assert await store.meta.get("paused") == (b'{"syncs":["visits"],"destinations":[]}', 1)
    assert await store.ledger.list(Selection()) == [archived, waiting]
    assert await store.ledger.waiting() == {"orders": Waiting(count=1, since=NOW - 60)}
    sent = Attempt(destination="crm", at=NOW, seconds=0.1, status=500, positions=(1,), error="no")
    assert await store.ledger.attempts(1) == (sent,)
    assert await one.claimed() == [1]
    await one.fill(2)
    await store.aclose()


async def test_each_step_leaves_a_store_that_the_next_release_can_open(first_release: Path):
    known = len(migrations.MIGRATIONS)
    for steps in range(1, known + 1):
        file = connect.connect(first_release / connect.FILE, "rw")
        migrations.migrate(file, migrations.MIGRATIONS[:steps])
        assert migrations.schema(file) == steps
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()

    one = await opened(first_release)
    assert one.store.last == 3
    await one.store.aclose()
