from __future__ import annotations

import json

import trio

from engine.store.opening import open_reader, open_store
from tests.support.stores import Disk, OpenedStore


async def _filled(folder) -> None:
    one = OpenedStore(lambda: open_store("sqlite", folder), Disk())
    await one.open()
    await one.fill(3)
    await one.store.aclose()


def test_a_backup_says_where_it_is_and_how_to_restore_it(headrace, shop, tmp_path):
    trio.run(_filled, tmp_path / "data")

    said = headrace("backup", "copy/headrace.db")

    assert (said.code, said.err) == (1, "copy/headrace.db: No such file or directory; nothing was copied\n")
    (tmp_path / "copy").mkdir()
    said = headrace("backup", "copy/headrace.db")
    size = (tmp_path / "copy/headrace.db").stat().st_size
    assert said.code == 0
    assert said.out == f"copy/headrace.db: {size:,} bytes, 3 events accepted until then\n"
    assert said.err == "    to restore it: headrace backup --help\n"
    with open_reader(tmp_path / "copy") as reader:
        assert reader.last() == 3


def test_a_backup_can_be_told_to_machines(headrace, shop, tmp_path):
    trio.run(_filled, tmp_path / "data")

    said = headrace("backup", "copy.db", "--json")

    size = (tmp_path / "copy.db").stat().st_size
    assert json.loads(said.out) == {"file": "copy.db", "size": size, "last": 3}
    assert said.err == ""


def test_without_a_store_there_is_nothing_to_copy(headrace, shop):
    said = headrace("backup", "copy.db")

    assert said.code == 1
    assert said.err == "data/headrace.db: there is no store yet; it is made when the engine first runs\n"
