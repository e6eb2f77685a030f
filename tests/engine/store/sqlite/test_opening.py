from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from engine.errors import StoreError
from engine.messages import State
from engine.store.base import Change, Cursor, Selection
from engine.store.opening import open_reader, open_store
from engine.store.sqlite import connect, migrations
from engine.store.sqlite.store import SqliteStore
from tests.support.stores import NOW, Disk, OpenedStore, event, progress, trouble

SECOND = (
    "ALTER TABLE log ADD COLUMN note TEXT",
    "UPDATE log SET note = 'from before'",
)


async def opened(folder: Path) -> OpenedStore:
    one = OpenedStore(lambda: open_store("sqlite", folder), Disk())
    await one.open()
    return one


async def refusal(folder: Path) -> str:
    with pytest.raises(StoreError) as caught:
        await open_store("sqlite", folder)
    return str(caught.value)


async def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        await open_store("postgres", tmp_path)

    assert str(caught.value) == "there is no store of kind 'postgres'; one of: memory, sqlite"


async def test_a_folder_is_made_and_has_one_owner(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    one = await opened(folder)

    told = await refusal(folder)

    assert told == f"{folder}/lock: the store is used by process {os.getpid()}; stop it, or use another folder"
    await one.fill(1)
    await one.again()
    assert one.store.last == 1
    await one.store.aclose()


async def test_a_clean_close_leaves_one_file(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    await one.fill(300)
    await one.store.read("shop", 0, 300, 10)
    await one.store.aclose()

    assert sorted(os.listdir(tmp_path)) == ["headrace.db", "lock"]  # noqa: PTH208 - names are all it takes


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)  # noqa: PTH101 - the async rules know paths only

    assert await refusal(tmp_path) == f"{tmp_path}: Permission denied; the data folder must be writable"


async def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.write_text("")

    assert await refusal(folder) == f"{folder}: File exists; the data folder must be writable"


async def test_a_file_that_is_no_database_is_named_and_let_go(tmp_path: Path) -> None:
    file = tmp_path / connect.FILE
    file.write_bytes(b"not a database at all" * 1000)
    wanted = (
        f"{file}: the store is damaged (file is not a database); keep a copy of the folder, then restore it from a "
        "backup or start with an empty one"
    )

    assert await refusal(tmp_path) == wanted
    assert await refusal(tmp_path) == wanted
    with pytest.raises(StoreError) as caught:
        open_reader(tmp_path)
    assert str(caught.value) == wanted


async def test_a_damaged_page_is_found_at_open(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    await one.fill(2000)
    await one.store.aclose()
    file = tmp_path / connect.FILE
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // connect.PAGE * connect.PAGE
    content[middle : middle + 200] = b"\xa5" * 200
    file.write_bytes(content)

    told = await refusal(tmp_path)

    assert told.startswith(f"{file}: the store is damaged (")
    assert told.endswith("); keep a copy of the folder, then restore it from a backup or start with an empty one")


async def test_another_program_s_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / connect.FILE
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    before = file.read_bytes()

    assert await refusal(tmp_path) == f"{file}: this database is not a Headrace store; use another folder"
    assert file.read_bytes() == before


async def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    await one.store.aclose()
    file = tmp_path / connect.FILE
    known = len(migrations.MIGRATIONS)
    with sqlite3.connect(file) as newer:
        newer.execute(f"PRAGMA user_version = {known + 1}")
    newer.close()
    wanted = (
        f"{file}: a newer Headrace wrote this store (schema {known + 1}, this version knows {known}); "
        "start that version, or use another folder"
    )

    assert await refusal(tmp_path) == wanted
    with pytest.raises(StoreError) as caught:
        open_reader(tmp_path)
    assert str(caught.value) == wanted


async def test_a_store_that_another_program_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "WAIT", 0.0)
    one = await opened(tmp_path)
    await one.store.aclose()
    file = tmp_path / connect.FILE
    browser = sqlite3.connect(file, isolation_level=None)
    browser.execute("PRAGMA locking_mode = EXCLUSIVE")
    browser.execute("BEGIN EXCLUSIVE")
    wanted = f"{file}: another program has locked the store (database is locked); close it and try again"

    assert await refusal(tmp_path) == wanted
    with pytest.raises(StoreError) as caught:
        open_reader(tmp_path)
    assert str(caught.value) == wanted
    browser.close()


async def test_a_store_of_schema_1_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / connect.FILE
    first = connect.connect(file, "rwc")
    migrations.migrate(first, migrations.MIGRATIONS[:1])
    first.execute("INSERT INTO sources VALUES (1, 'shop')")
    envelope = b'{"kind":"Envelope","message_id":"m1","received_at":1700000000.25}'
    first.execute("INSERT INTO log VALUES (1, 1, ?, ?, ?)", (NOW, envelope, b'{"n":1}'))
    first.close()

    one = await opened(tmp_path)

    assert await one.store.read("shop", 0, 1, 10) == [event(1)]
    await one.store.aclose()


def test_a_migration_is_made_once_and_keeps_what_was_there(tmp_path: Path) -> None:
    connection = connect.connect(tmp_path / connect.FILE, "rwc")
    migrations.migrate(connection)
    connection.execute("INSERT INTO log VALUES (1, 1, 1.0, x'', x'')")
    steps = (*migrations.MIGRATIONS, SECOND)

    migrations.migrate(connection, steps)
    migrations.migrate(connection, steps)

    assert migrations.schema(connection) == len(steps)
    assert connection.execute("SELECT position, note FROM log").fetchall() == [(1, "from before")]
    connection.close()


@pytest.mark.parametrize("broken", [("SELECT nothing",), (*SECOND, "CREATE TABLE log (again)")])
def test_a_migration_that_fails_changes_nothing(tmp_path: Path, broken: Sequence[str]) -> None:
    connection = connect.connect(tmp_path / connect.FILE, "rwc")
    migrations.migrate(connection)

    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(connection, (*migrations.MIGRATIONS, broken))

    assert migrations.schema(connection) == len(migrations.MIGRATIONS)
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(log)")]
    assert columns == ["position", "source", "received_at", "envelope", "raw"]
    connection.close()


def test_a_reader_before_the_first_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        open_reader(tmp_path / "data")

    assert str(caught.value) == (
        f"{tmp_path}/data/headrace.db: there is no store yet; it is made when the engine first runs"
    )


def test_a_reader_of_an_older_store_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / connect.FILE
    connect.connect(file, "rwc").close()

    with pytest.raises(StoreError) as caught:
        open_reader(tmp_path)

    assert str(caught.value) == (
        f"{file}: an older Headrace wrote this store; start the engine once to bring it up to date"
    )


async def test_a_reader_sees_what_a_running_engine_has_committed(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    with open_reader(tmp_path) as reader:
        assert (reader.last(), reader.list(Selection()), reader.counts()) == (0, [], {})
        await one.fill(3)
        await one.store.commit(
            Change(
                cursors=(Cursor(source="shop", position=3),),
                progress=(progress(3, (2,)),),
                troubles=(trouble(1), trouble(2, State.ARCHIVED, event=b"{}")),
            )
        )
        await one.store.meta.put("plan", b"one", 0)

        assert reader.last() == 3
        assert reader.cursors() == (Cursor(source="shop", position=3),)
        assert reader.progress() == (progress(3, (2,)),)
        assert reader.counts() == {("sync:orders", "archived"): 1}
        assert reader.list(Selection(states=(State.RETRYING,))) == [trouble(1)]
        assert reader.get(trouble(2).id) == trouble(2, State.ARCHIVED, event=b"{}")
        assert reader.get("9-none") is None
        assert reader.attempts(1) == ()
        assert reader.fact("plan") == (b"one", 1)
        assert reader.usage().used == one.store.usage().used
        await one.fill(1)
        assert reader.last() == 4
    await one.store.aclose()


async def test_a_reader_does_not_keep_an_engine_from_starting_writing_or_stopping(tmp_path: Path) -> None:
    one = await opened(tmp_path)
    await one.fill(1)
    with open_reader(tmp_path) as reader, trio.fail_after(30):
        assert reader.last() == 1
        await one.again()
        await one.fill(100)
        assert reader.last() == 101
        await one.store.aclose()
        assert reader.last() == 101


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    trio.run(_make, tmp_path)
    with open_reader(tmp_path) as reader, pytest.raises(StoreError, match="cannot be opened"):
        reader._ask(lambda connection: connection.execute("DELETE FROM log"))


async def _make(folder: Path) -> None:
    one = await opened(folder)
    await one.store.aclose()


async def test_a_commit_is_synced_to_the_disk(tmp_path: Path) -> None:
    store = await open_store("sqlite", tmp_path)
    assert isinstance(store, SqliteStore)
    wanted = {
        "synchronous": 2,
        "journal_mode": "wal",
        "page_size": 8192,
        "wal_autocheckpoint": 1000,
        "secure_delete": 2,
    }

    found = await store._writer.perform(
        lambda connection: {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted}
    )

    assert found == wanted
    await store.aclose()
