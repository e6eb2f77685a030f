from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from engine.plugin import Item, SettingsError, Verdict
from plugins.destinations.file import File, FileSettings
from tests.support.deliveries import deliveries, delivery, made, settings_of

DELIVERED = Item(verdict=Verdict.DELIVERED)
DAY = 86400.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "events.ndjson"


def payloads(path):
    return [msgspec.json.decode(line)["n"] for line in path.read_bytes().splitlines()]


async def test_each_delivery_is_a_line_in_order(path):
    items = await made(File, path=str(path)).send([delivery(1), delivery(2, replay=1)])

    assert items == [DELIVERED, DELIVERED]
    assert path.read_text() == (
        '{"key":"00000000000000000000000000000001","sync":"orders","event_type":"purchase","message_id":"m1",'
        '"payload":{"n":1}}\n'
        '{"key":"00000000000000000000000000000002;r1","sync":"orders","event_type":"purchase","message_id":"m2",'
        '"payload":{"n":2}}\n'
    )


async def test_a_line_may_be_the_payload_alone(path):
    file = made(File, path=str(path), format="payload")

    await file.send([delivery(1)])
    await file.send([delivery(2, b'{\n  "n": 2,\r\n  "text": "a\\nb"\n}')])

    assert path.read_bytes() == b'{"n":1}\n{"n":2,"text":"a\\nb"}\n'


async def test_delivered_means_on_the_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))

    await made(File, path=str(path), format="payload").send(deliveries(3))

    assert synced[-1] == len(b'{"n":1}\n') * 3
    assert len(synced) == 2  # the folder that got a new name, and the file


async def test_others_may_not_read_what_was_written(path):
    await made(File, path=str(path)).send(deliveries(1))

    assert path.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"n":1}\n{"n":2,"te', b'{"n":1}\n{"n":9}\n'),
        (b'{"n":1', b'{"n":9}\n'),
        (b'{"n":1}\n\0\0\0', b'{"n":1}\n{"n":9}\n'),
        (b'{"n":1}\n' + b'{"n":"' + b"x" * 200_000, b'{"n":1}\n{"n":9}\n'),
        (b'{"n":1}\n{"n":2}', b'{"n":1}\n{"n":2}\n{"n":9}\n'),
        (b"", b'{"n":9}\n'),
    ],
    ids=["torn", "torn in the first", "zeros after a power cut", "longer than a block", "newline left out", "empty"],
)
async def test_a_line_that_a_crash_tore_is_cut_off(path, before, after):
    path.parent.mkdir()
    path.write_bytes(before)

    await made(File, path=str(path), format="payload").send([delivery(9)])

    assert path.read_bytes() == after


async def test_a_file_of_something_else_is_left_alone(path):
    path.parent.mkdir()
    path.write_bytes(b"127.0.0.1 localhost")

    items = await made(File, path=str(path)).send(deliveries(2))

    said = f"{path}: does not end in a line of JSON, so it is not ours; move events.ndjson away"
    assert items == [Item(verdict=Verdict.RETRY, reason="file_failed", message=said)] * 2
    assert path.read_bytes() == b"127.0.0.1 localhost"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, 'is not a regular file; for a stream use type = "log"'),
    ],
)
async def test_what_is_not_a_file_is_said_and_tried_again(path, make, said):
    path.parent.mkdir()
    make(path)

    items = await made(File, path=str(path)).send(deliveries(1))

    assert items == [Item(verdict=Verdict.RETRY, reason="file_failed", message=f"{path}: {said}")]


async def test_a_full_disk_tears_no_line_and_is_tried_again(path, monkeypatch):
    file = made(File, path=str(path), format="payload")
    await file.send([delivery(1)])
    write = os.write

    def fill(descriptor, data):
        if len(data) < 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", fill)
    items = await file.send(deliveries(5))
    monkeypatch.undo()

    said = f"{path}: no room on the disk (No space left on device); make room, what waits is written then"
    assert items == [Item(verdict=Verdict.RETRY, reason="disk_full", message=said)] * 5
    assert path.read_bytes() == b'{"n":1}\n'
    assert await file.send([delivery(2)]) == [DELIVERED]
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'


async def test_a_full_file_is_numbered_and_the_oldest_go(path):
    file = made(File, path=str(path), format="payload", rotate="16 B", keep=2)

    for number in range(1, 8):
        await file.send([delivery(number)])

    assert {each.name: payloads(each) for each in path.parent.iterdir()} == {
        "events.ndjson": [7],
        "events.ndjson.1": [5, 6],
        "events.ndjson.2": [3, 4],
    }


async def test_a_batch_is_never_spread_over_two_files(path):
    file = made(File, path=str(path), format="payload", rotate="16 B")

    await file.send([delivery(1)])
    await file.send(deliveries(4))

    assert payloads(path) == [1, 2, 3, 4]
    assert payloads(path.with_name("events.ndjson.1")) == [1]


async def test_a_gap_in_the_numbers_is_filled_before_anything_is_deleted(path):
    path.parent.mkdir()
    for name, text in (("events.ndjson", "{}\n"), ("events.ndjson.1", "one"), ("events.ndjson.3", "three")):
        path.with_name(name).write_text(text)

    await made(File, path=str(path), rotate="4 B", keep=3).send([delivery(1)])

    texts = {number: path.with_name(f"events.ndjson.{number}").read_text() for number in (1, 2, 3)}
    assert texts == {1: "{}\n", 2: "one", 3: "three"}


async def test_no_file_spans_two_days(path):
    now = 10 * DAY + 5.0
    settings = settings_of(File, {"path": str(path), "format": "payload", "rotate_every": "1d"})
    file = File(settings, "events", wall=lambda: now)
    await file.send([delivery(1)])
    os.utime(path, (now, now))
    now += DAY - 6.0
    await file.send([delivery(2)])
    os.utime(path, (now, now))
    now += 1.0
    await file.send([delivery(3)])

    assert payloads(path) == [3]
    assert payloads(path.with_name("events.ndjson.1")) == [1, 2]


async def test_a_file_that_was_moved_away_is_begun_again(path):
    file = made(File, path=str(path), format="payload")
    await file.send([delivery(1)])
    path.rename(path.with_name("taken"))

    await file.send([delivery(2)])

    assert payloads(path) == [2]
    assert payloads(path.with_name("taken")) == [1]


async def test_two_destinations_may_share_a_file_that_rotates(path):
    one, other = (made(File, path=str(path), format="payload", rotate="64 B", keep=100) for _ in range(2))

    for number in range(0, 40, 2):
        await one.send([delivery(number)])
        await other.send([delivery(number + 1)])

    written = [number for each in path.parent.iterdir() for number in payloads(each)]
    assert sorted(written) == list(range(40))
    assert all(each.stat().st_size <= 64 for each in path.parent.iterdir())


def test_the_bounds_are_the_settings():
    bounds = made(File, path="x.ndjson", batch=10).bounds()

    assert (bounds.batch, bounds.ordered_batch) == (10, True)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"path": ""}, "path: '' does not name a file\n    write it like data/events.ndjson"),
        (
            {"path": "x", "rotate": "0 B"},
            "rotate: must be more than nothing\n    leave it out for one file that only grows",
        ),
        (
            {"path": "x", "rotate_every": "0s"},
            "rotate_every: must be more than nothing\n    leave it out for one file that only grows",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(table, text):
    with pytest.raises(SettingsError) as caught:
        made(File, **table)

    assert str(caught.value) == text


def test_nothing_is_touched_before_the_first_batch(path):
    File(FileSettings(path=str(path)), "events")

    assert not path.parent.exists()
