from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from actors.receiver.intake import MOST, chunks
from engine.errors import StoreError, StoreFull
from engine.lang.envelope import Refusal
from engine.runtime.clock import TrioClock
from engine.store.base import Accepted, Store
from engine.store.memory import MemoryStore
from engine.store.opening import open_reader, open_store
from engine.store.room import Room
from tests.support.doors import door, frame, intake, offered, track

NOW = 1_800_000_000.0


class Done:
    """A ``done`` that can be waited for."""

    def __init__(self) -> None:
        self.calls: list[BaseException | None] = []
        self._event = trio.Event()

    def __call__(self, error: BaseException | None) -> None:
        self.calls.append(error)
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


def memory(free: Callable[[], int] = lambda: 1 << 40) -> MemoryStore:
    return MemoryStore(Room(0, 0, free))


@pytest.fixture
async def disk(tmp_path: Path) -> Any:
    store = await open_store("sqlite", tmp_path)
    yield store
    await store.aclose()


async def test_accepted_events_are_numbered_logged_and_offered() -> None:
    store, shop = memory(), door()
    entry = intake(store, shop, clock=TrioClock(NOW))
    done = Done()

    verdict = entry.submit(shop, [frame(track(1), track(2), sent_at="s", ip="1.2.3.4", context={"a": 1})], done)

    (span,) = offered(shop)
    assert (verdict.count, verdict.accepted, verdict.refused, verdict.waits) == (2, 2, (), True)
    assert (span.source, span.after, span.upto, shop.mark.position) == ("shop", 0, 2, 2)
    assert [event.position for event in span.events] == [1, 2]
    assert span.events[0].raw == msgspec.json.encode(track(1))
    envelope = span.events[0].envelope
    assert (envelope.message_id, envelope.sent_at, envelope.ip, envelope.context) == ("m1", "s", "1.2.3.4", {"a": 1})
    assert NOW <= envelope.received_at < NOW + 60
    await done.wait()
    assert done.calls == [None]
    assert await store.read("shop", 0, 2, 10) == list(span.events)


async def test_spans_of_two_sources_join_without_a_gap() -> None:
    store, shop, app = memory(), door("shop"), door("app")
    entry = intake(store, shop, app)

    for each, number in ((shop, 1), (app, 1), (shop, 2), (app, 2)):
        entry.submit(each, [frame(track(number))], Done())

    assert [(span.after, span.upto) for span in offered(shop)] == [(0, 1), (1, 3)]
    assert [(span.after, span.upto) for span in offered(app)] == [(0, 2), (2, 4)]


async def test_a_full_inbox_is_lag_and_no_error() -> None:
    store, shop = memory(), door(inbox=1)
    entry = intake(store, shop)

    for number in range(3):
        entry.submit(shop, [frame(track(number))], Done())

    assert [span.upto for span in offered(shop)] == [1]
    assert shop.mark.position == 3


async def test_events_go_on_only_when_durable_if_so_wished(disk: Store) -> None:
    shop, done = door(), Done()
    entry = intake(disk, shop, late=True)

    entry.submit(shop, [frame(track(1))], done)
    assert offered(shop) == []
    await done.wait()

    (span,) = offered(shop)
    assert (span.after, span.upto, disk.durable) == (0, 1, 1)


@pytest.mark.parametrize(
    ("item", "message_id", "code", "message"),
    [
        (b"5", "", "bad_request", "the event is not an object"),
        (b'{"a":}', "", "bad_request", "the event does not parse: JSON is malformed: invalid character (byte 5)"),
        (b'{"messageId":"m7","type":"track"}', "m7", "event_not_defined",
         "a track call needs 'event', the event's name"),
        (b'{"messageId":"m7","type":"page"}', "m7", "id_required",
         "one of userId, anonymousId, groupId, previousId is needed"),
        (b'{"messageId":"m7","a":"' + b"x" * 300 + b'"}', "m7", "too_large",
         "the event has 325 bytes, 300 are allowed"),
        (b'{"messageId":"m7","a":' + b"[" * 101 + b"]" * 101 + b"}", "m7", "too_deep",
         "the event is nested deeper than 100"),
        (Refusal(code="bad_request", message="JSON cannot say nan"), "", "bad_request", "JSON cannot say nan"),
    ],
)  # fmt: skip
async def test_a_bad_event_is_refused_alone(item: Any, message_id: str, code: str, message: str) -> None:
    shop = door()
    entry = intake(memory(), shop, most=300)

    verdict = entry.submit(shop, [frame(track(1), item), frame(track(2))], Done())

    assert verdict.refused == ((1, message_id, code, message),)
    assert [event.envelope.message_id for event in offered(shop)[0].events] == ["m1", "m2"]
    assert (shop.counts.read, shop.counts.accepted, shop.counts.refused) == (3, 2, {code: 1})
    assert shop.counts.balanced()


async def test_nesting_up_to_the_limit_is_accepted() -> None:
    shop = door()
    item = b'{"userId":"u","type":"page","a":' + b"[" * 99 + b"]" * 99 + b"}"

    assert intake(memory(), shop).submit(shop, [frame(item)], Done()).accepted == 1


async def test_a_disabled_source_refuses_everything() -> None:
    shop = door(enabled=False)

    verdict = intake(memory(), shop).submit(shop, [frame(track(1))], Done())

    assert verdict.refused == ((0, "m1", "source_disabled", "source 'shop' is disabled"),)
    assert not verdict.waits


async def test_a_message_id_is_assigned_if_there_is_none() -> None:
    shop = door()
    items = [track(1, messageId=value) for value in (None, "", 17)]

    intake(memory(), shop).submit(shop, [frame(*items, {"type": "page", "userId": "u"})], Done())

    assert [event.envelope.message_id for event in offered(shop)[0].events] == ["new-1", "new-2", "17", "new-3"]


async def test_a_duplicate_is_counted_and_goes_nowhere() -> None:
    shop = door()
    entry = intake(memory(), shop)
    first, second = Done(), Done()

    entry.submit(shop, [frame(track(1), track(1))], first)
    await first.wait()
    verdict = entry.submit(shop, [frame(track(1))], second)

    assert (verdict.accepted, verdict.refused, verdict.waits) == (0, (), False)
    assert [len(span.events) for span in offered(shop)] == [1]
    assert (shop.counts.read, shop.counts.duplicate, shop.counts.accepted) == (3, 2, 1)
    assert second.calls == []


async def test_a_duplicate_of_a_pending_event_is_decided_when_the_original_is_durable(disk: Store) -> None:
    shop, order = door(), []
    entry = intake(disk, shop)
    last = Done()

    entry.submit(shop, [frame(track(1))], lambda error: order.append(("original", error, disk.durable)))
    verdict = entry.submit(shop, [frame(track(1))], lambda error: order.append(("duplicate", error, disk.durable)))
    entry.submit(shop, [frame(track(2))], last)
    await last.wait()

    assert verdict.waits
    assert order[0][:2] == ("original", None)
    assert order[1][:2] == ("duplicate", None)
    assert order[1][2] >= 1


async def test_the_same_id_by_two_sources_is_no_duplicate() -> None:
    shop, app = door("shop"), door("app")
    entry = intake(memory(), shop, app)

    assert entry.submit(shop, [frame(track(1))], Done()).accepted == 1
    assert entry.submit(app, [frame(track(1))], Done()).accepted == 1


async def test_a_full_store_accepts_counts_and_remembers_nothing() -> None:
    room = 0
    shop = door()
    entry = intake(memory(lambda: room), shop)

    with pytest.raises(StoreFull):
        entry.submit(shop, [frame(track(1), {"bad": 1})], Done())
    assert (shop.counts.read, shop.counts.refused, offered(shop), shop.mark.position) == (0, {}, [], 0)

    room = 1 << 40
    store = memory()
    entry.store = store
    assert entry.submit(shop, [frame(track(1))], Done()).accepted == 1


async def test_a_failed_commit_is_told_and_its_events_may_come_again(disk: Store) -> None:
    shop, done, twice = door(), Done(), Done()
    entry = intake(disk, shop)
    disk._writer._connection.close()  # type: ignore[attr-defined]

    entry.submit(shop, [frame(track(1))], done)
    entry.submit(shop, [frame(track(1))], twice)
    await done.wait()
    await twice.wait()

    assert isinstance(done.calls[0], StoreError)
    assert isinstance(twice.calls[0], StoreError)
    assert isinstance(entry.failed, StoreError)
    with pytest.raises(StoreError):
        entry.submit(shop, [frame(track(1))], Done())


async def test_our_own_fault_loses_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(event: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("actors.receiver.intake.check", broken)
    shop = door()

    assert intake(memory(), shop).submit(shop, [frame(track(1))], Done()).accepted == 1


async def test_what_the_log_holds_is_known_after_a_restart() -> None:
    shop = door()
    entry = intake(memory(), shop, clock=TrioClock(NOW))
    entry.seen.rebuild([Accepted(position=1, source="shop", message_id="m1", received_at=NOW - 5)], NOW)

    assert entry.submit(shop, [frame(track(1))], Done()).accepted == 0


async def test_every_event_is_on_disk_when_done_is_called(disk: Store, tmp_path: Path) -> None:
    shop = door()
    entry = intake(disk, shop)
    reader = open_reader(tmp_path)
    seen: list[tuple[int, int]] = []
    finished = trio.Event()

    def done(upto: int) -> Callable[[BaseException | None], None]:
        def call(error: BaseException | None) -> None:
            assert error is None
            seen.append((upto, reader.last()))
            if upto == 60:
                finished.set()

        return call

    for start in range(0, 60, 3):
        entry.submit(shop, [frame(*(track(start + n) for n in range(3)))], done(start + 3))
        await trio.lowlevel.checkpoint()
    await finished.wait()
    reader.close()

    assert [upto for upto, _ in seen] == list(range(3, 61, 3))
    assert all(durable >= upto for upto, durable in seen)


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [([], []), ([0], []), ([1, 2], [[1, 2]]), ([256], [[256]]), ([200, 100], [[200, 56], [44]]),
     ([600], [[256], [256], [88]])],
)  # fmt: skip
def test_frames_are_cut_into_submissions(sizes: list[int], cut: list[list[int]]) -> None:
    frames = [frame(*[b"%d" % n for n in range(size)]) for size in sizes]

    parts = list(chunks(frames))

    assert [[len(each.items) for each in part] for part in parts] == cut
    assert [item for part in parts for each in part for item in each.items] == [i for f in frames for i in f.items]
    assert all(sum(len(each.items) for each in part) <= MOST for part in parts)
