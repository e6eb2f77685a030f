from __future__ import annotations

import functools
import os
import sqlite3
from pathlib import Path

import pytest
import trio

from engine.errors import StoreError
from engine.messages import State
from engine.store.base import Change, Cursor
from engine.store.opening import back_up, open_reader, open_store
from engine.store.sqlite import backup, connect
from tests.support.stores import Disk, OpenedStore, event, progress, trouble


def quiet(_done: int, _size: int) -> None:
    """Nobody looks."""


async def opened(folder: Path) -> OpenedStore:
    one = OpenedStore(lambda: open_store("sqlite", folder), Disk())
    await one.open()
    return one


async def test_a_copy_made_while_the_engine_writes_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(backup, "STEP", 4)
    one = await opened(tmp_path / "data")
    await one.append(*[event(at, raw=b'"' + b"x" * 4000 + b'"') for at in range(1, 201)])
    await one.store.commit(Change(cursors=(Cursor(source="shop", position=200),), progress=(progress(200, (7,)),)))
    token = trio.lowlevel.current_trio_token()
    steps: list[tuple[int, int]] = []

    def told(done: int, size: int) -> None:
        steps.append((done, size))
        trio.from_thread.run(one.fill, 3, trio_token=token)  # between two steps of the copy, every time

    copied = await trio.to_thread.run_sync(back_up, tmp_path / "data", tmp_path / "copy.db", told)
    await one.store.aclose()

    assert len(steps) > 20
    assert steps[-1] == (copied.size, copied.size)
    assert copied.last == 200
    assert one.store.last == 200 + 3 * len(steps)
    (tmp_path / "restored").mkdir()
    (tmp_path / "copy.db").rename(tmp_path / "restored" / connect.FILE)
    again = await opened(tmp_path / "restored")
    assert again.store.last == 200
    assert await again.store.meta.progress() == [progress(200, (7,))]
    assert await again.store.read("shop", 0, 200, 1000) == await again.store.read("shop", 0, 200, 1000)
    await again.store.aclose()


async def test_a_copy_of_a_store_that_nobody_uses_is_readable_by_its_owner_alone(tmp_path: Path):
    one = await opened(tmp_path / "data")
    await one.fill(3)
    await one.trouble(trouble(2, State.ARCHIVED))
    await one.store.aclose()
    copy = tmp_path / "copies" / connect.FILE
    copy.parent.mkdir()

    await trio.to_thread.run_sync(back_up, tmp_path / "data", copy, quiet)

    assert [path.name for path in copy.parent.iterdir()] == [connect.FILE]
    assert copy.stat().st_mode & 0o777 == 0o600
    with open_reader(copy.parent) as reader:
        assert reader.last() == 3
        assert reader.get(trouble(2).id) is not None


async def test_a_copy_that_is_ended_half_way_leaves_nothing(tmp_path: Path):
    one = await opened(tmp_path / "data")
    await one.fill(3)
    await one.store.aclose()

    def enough(_done: int, _size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await trio.to_thread.run_sync(back_up, tmp_path / "data", tmp_path / "copy.db", enough)

    assert os.listdir(tmp_path) == ["data"]  # noqa: PTH208 - names are all it takes


async def refusal(folder: Path, file: Path) -> str:
    with pytest.raises(StoreError) as caught:
        await trio.to_thread.run_sync(functools.partial(back_up, folder, file, quiet))
    return str(caught.value)


async def test_what_cannot_be_copied_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, file = tmp_path / "data", tmp_path / "copy.db"
    assert await refusal(folder, file) == (
        f"{folder}/headrace.db: there is no store yet; it is made when the engine first runs"
    )
    one = await opened(folder)
    await one.store.aclose()
    nowhere = tmp_path / "nowhere" / "copy.db"
    assert await refusal(folder, nowhere) == f"{nowhere}: No such file or directory; nothing was copied"
    size = (folder / connect.FILE).stat().st_size
    with monkeypatch.context() as full:
        full.setattr(backup, "free_bytes", lambda _: size - 1)
        assert await refusal(folder, file) == (
            f"{tmp_path}: the copy takes {size} bytes, and {size - 1} are free; nothing was copied"
        )
    file.write_text("mine")
    assert await refusal(folder, file) == f"{file}: exists already; a backup goes to a new file"
    assert file.read_text() == "mine"


async def test_a_damaged_store_makes_no_backup(tmp_path: Path):
    one = await opened(tmp_path)
    await one.fill(2000)
    await one.store.aclose()
    store = tmp_path / connect.FILE
    content = bytearray(store.read_bytes())
    middle = len(content) // 2 // connect.PAGE * connect.PAGE
    content[middle : middle + 200] = b"\xa5" * 200
    store.write_bytes(content)

    told = await refusal(tmp_path, tmp_path / "copy.db")

    assert "the store is damaged (" in told
    assert not any(name.startswith("copy") for name in os.listdir(tmp_path))  # noqa: PTH208 - as above


async def test_another_program_s_database_is_not_copied(tmp_path: Path):
    with sqlite3.connect(tmp_path / connect.FILE) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()

    assert await refusal(tmp_path, tmp_path / "copy.db") == (
        f"{tmp_path}/headrace.db: this database is not a Headrace store; use another folder"
    )
