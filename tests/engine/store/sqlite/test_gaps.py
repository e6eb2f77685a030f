"""Copies of moved rows in the unused middle of pages: found, overwritten, and not written again."""

from __future__ import annotations

import pathlib
import random
import sqlite3
from functools import partial

import pytest

from engine.messages import State
from engine.store.opening import open_store
from engine.store.sqlite import gaps
from engine.store.sqlite.gaps import Gaps
from tests.support.stores import Disk, OpenedStore, trouble

SECRET = b"person-4711@shop.example"
ROWS = 300


def body(number: int, size: int) -> bytes:
    return (SECRET if number < ROWS // 2 else b"somebody-else") + b"x" * size


async def erased(folder: pathlib.Path, seed: int) -> OpenedStore:
    """Write rows and let them grow, so that pages are laid out anew; then erase those with the secret."""
    made = OpenedStore(partial(open_store, "sqlite", folder), Disk())
    store = await made.open()
    roll = random.Random(seed)
    numbers = list(range(ROWS))
    roll.shuffle(numbers)
    for some in (numbers, roll.sample(numbers, ROWS // 3)):
        for at in some:
            size = roll.randint(100, 300) if some is numbers else roll.randint(500, 1500)
            await made.trouble(trouble(at + 1, State.ARCHIVED, event=body(at, size)))
    await store.eraser.erase_rows([trouble(at + 1).id for at in range(ROWS // 2)])
    return made


def kept(folder: pathlib.Path) -> bool:
    return any(SECRET in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("seed", range(5))
async def test_no_copy_of_a_row_that_had_moved_is_left_or_comes_back(tmp_path, seed):
    made = await erased(tmp_path, seed)

    assert await made.store.eraser.scrub()
    assert not kept(tmp_path)
    for at in range(ROWS // 2, ROWS):  # every page is written again, from what the writer remembers of it
        await made.trouble(trouble(at + 1, State.ARCHIVED, event=body(at, 400)))
    await made.store.aclose()
    assert not kept(tmp_path)
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_what_is_overwritten_was_there(tmp_path):
    await (await erased(tmp_path, 0)).store.aclose()

    pages = Gaps(tmp_path / "headrace.db", 8192)
    found = pages.find()
    assert found
    pages.overwrite(found)
    assert pages.find() == []
    pages.close()


async def test_a_file_of_more_pages_than_can_be_told_apart_is_not_touched(tmp_path, monkeypatch):
    store = await open_store("sqlite", tmp_path)
    monkeypatch.setattr(gaps, "TELLING", 1)

    assert not await store.eraser.scrub()
    await store.aclose()


@pytest.mark.parametrize(
    ("page", "gap"),
    [
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"\0\0\0\7" + b"a" * 60, None, id="of a long row"),
        pytest.param(b"\x0d\0\0\0\0\0\x10\0" + b"\0" * 8 + b"cellcell", None, id="clean"),
        pytest.param(b"\x0d\0\0\0\1\0\x10\0" + b"\0\x10" + b"secret" + b"cellcell", range(10, 16), id="leaf"),
        pytest.param(b"\x05\0\0\0\1\0\x10\0" + b"\0\0\0\2\0\x10" + b"ab" + b"cellcell", range(14, 16), id="interior"),
        pytest.param(b"\x0a\0\0\0\0\0\0\0" + b"secret", range(8, 14), id="empty, of 64 KiB"),
        pytest.param(b"\x0d\0\0\x7f\xff\0\x10\0" + b"secret" * 2, None, id="damaged"),
    ],
)
def test_the_gap_of_a_page(page, gap):
    assert gaps.filled(page) == gap
