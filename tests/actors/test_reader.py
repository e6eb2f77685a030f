from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from actors.reader import Reader
from actors.receiver.doors import Door
from actors.receiver.intake import Intake
from engine.plan import Doorway
from engine.runtime.beside import Beside
from engine.store.base import Store
from engine.store.memory import MemoryStore
from engine.store.room import Room
from plugins.sources.file import File, FileSettings
from tests.support.doors import door, intake, offered, track


@asynccontextmanager
async def reading(path: Path, shop: Door, over: Intake) -> AsyncIterator[None]:
    """Read until the block ends."""
    reader = Reader(shop, path, File(), over)
    async with Beside() as nursery:
        nursery.start_soon(reader.run)
        yield
        reader.stop()


def memory() -> Store:
    return MemoryStore(Room(0, 0, lambda: 1 << 40))


def append(path: Path, *events: object, end: str = "\n") -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(event) + end for event in events))


async def until(shop: Door, read: int) -> None:
    with trio.fail_after(5):
        while shop.counts.read < read:
            await shop.tap.wait(shop.tap.upto, 1.0)


def ids(shop: Door) -> list[str]:
    return [event.envelope.message_id for span in offered(shop) for event in span.events]


async def test_what_is_there_and_what_is_appended_is_read_once_and_in_order(tmp_path: Path) -> None:
    path, shop = tmp_path / "events.ndjson", door()
    append(path, *(track(number) for number in range(300)))
    async with reading(path, shop, intake(memory(), shop)):
        await until(shop, 300)
        append(path, track(300), track(301))
        await until(shop, 302)

    assert ids(shop) == [f"m{number}" for number in range(302)]


async def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path, shop = tmp_path / "events.ndjson", door()
    append(path, track(1))
    append(path, track(2), end="")
    async with reading(path, shop, intake(memory(), shop)):
        await until(shop, 1)
        append(path, end="\n")
        with path.open("a") as file:
            file.write("\n")
        await until(shop, 2)

    assert ids(shop) == ["m1", "m2"]


async def test_after_a_restart_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path, store = tmp_path / "events.ndjson", memory()
    first, second = door(), door()
    append(path, track(1))
    async with reading(path, first, intake(store, first)):
        await until(first, 1)
        await trio.sleep(0.05)
    append(path, track(2))
    async with reading(path, second, intake(store, second)):
        await until(second, 1)

    assert ids(second) == ["m2"]


async def test_a_source_that_is_disabled_reads_nothing_until_it_is_enabled(tmp_path: Path) -> None:
    path, store, off, on = tmp_path / "events.ndjson", memory(), door(enabled=False), door()
    append(path, track(1))
    async with reading(path, off, intake(store, off)):
        await trio.sleep(0.05)
    async with reading(path, on, intake(store, on)):
        await until(on, 1)

    assert (off.counts.read, ids(on)) == (0, ["m1"])


async def test_a_file_of_the_same_name_in_another_folder_is_another_one(tmp_path: Path) -> None:
    store, seen = memory(), []
    for folder in ("monday", "tuesday"):
        (tmp_path / folder).mkdir()
        named = f"{folder}/events.ndjson"
        shop = door(doorway=Doorway(settings=FileSettings(path=named)))
        append(tmp_path / named, {"type": "page", "userId": "u1"}, {"type": "page", "userId": "u1", "name": folder})
        async with reading(tmp_path / named, shop, intake(store, shop)):
            await until(shop, 2)
        seen += ids(shop)

    assert len(set(seen)) == 4


async def test_a_file_that_comes_later_or_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, shop = tmp_path / "events.ndjson", door()
    async with reading(path, shop, intake(memory(), shop)):
        await trio.sleep(0.05)
        append(path, track(1), track(2))
        await until(shop, 2)
        await trio.sleep(0.05)
        path.unlink()
        append(path, track(3))
        await until(shop, 3)

    assert ids(shop) == ["m1", "m2", "m3"]


async def test_a_line_that_is_no_event_is_refused_alone(tmp_path: Path) -> None:
    path, shop = tmp_path / "events.ndjson", door()
    path.write_text("hello\n\n")
    append(path, track(1))
    async with reading(path, shop, intake(memory(), shop)):
        await until(shop, 2)

    assert (shop.counts.refused, shop.counts.accepted) == ({"bad_request": 1}, 1)


def test_a_line_without_an_id_gets_the_same_one_each_time() -> None:
    lines = [(b'{"type":"page"}', 0), (b'{"type":"page"}', 16), (b'{"type":"page","messageId":"m1"}', 0), (b"hello", 0)]
    made = [[File().item(line, "events.ndjson", offset) for line, offset in lines] for _ in range(2)]

    assert made[0] == made[1]
    assert len({json.loads(item)["messageId"] for item in made[0][:3]}) == 3
    assert made[0][2:] == [lines[2][0], b"hello"]
