from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.client import connect
from engine.store.base import Store
from engine.store.opening import open_store
from engine.store.seen import Seen
from tests.support.doors import door, track
from tests.support.standing import Standing


@pytest.fixture
async def disk(tmp_path: Path) -> Any:
    store = await open_store("sqlite", tmp_path)
    yield store
    await store.aclose()


async def ids(store: Store) -> list[str]:
    """Return the messageIds in the log, in order."""
    return [event.envelope.message_id for event in await store.read("shop", 0, store.last, 100_000)]


async def test_what_a_client_sends_is_in_the_log_in_its_order(disk: Store) -> None:
    async with Standing(disk) as running, connect(running.url, "shop-key") as client:
        for number in range(3000):
            await client.send(track(number))
        await client.flush()
        numbers = client.statistics()

    assert await ids(disk) == [f"m{number}" for number in range(3000)]
    assert (numbers.acked, numbers.refused, numbers.resent, numbers.reconnects) == (3000, 0, 0, 0)


async def test_a_receiver_that_is_killed_again_and_again_loses_nothing(disk: Store) -> None:
    total, clients, dice = 400, 3, random.Random(7)
    shop = door()
    seen = Seen(86_400.0, 10_000)
    async with Standing(disk, shop) as first:
        port = int(first.address.rpartition(":")[2])
    done = trio.Event()

    async def lives() -> None:
        """Run one receiver after the other, each until it is killed without a word."""
        while not done.is_set():
            with trio.move_on_after(dice.uniform(0.02, 0.15)):
                async with Standing(disk, shop, port=port) as running:
                    running.intake.seen = seen
                    await done.wait()

    async def sends(number: int) -> None:
        async with connect(f"127.0.0.1:{port}", "shop-key", roll=lambda: 0.1) as client:
            for event in range(total):
                await client.send(track(event, messageId=f"c{number}-{event}"))
                if event % 20 == 0:
                    await trio.sleep(0.01)
            with trio.fail_after(30):
                await client.flush()
            numbers.append(client.statistics())

    numbers: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lives)
        async with trio.open_nursery() as senders:
            for number in range(clients):
                senders.start_soon(sends, number)
        done.set()

    logged = await ids(disk)
    assert sum(each.reconnects for each in numbers) > 0
    assert len(logged) == len(set(logged)) == clients * total
    for number in range(clients):
        own = [each for each in logged if each.startswith(f"c{number}-")]
        assert own == [f"c{number}-{event}" for event in range(total)]


async def test_a_drained_receiver_leaves_no_event_to_send_again(disk: Store) -> None:
    async with Standing(disk) as running, connect(running.url, "shop-key") as client:
        for number in range(100):
            await client.send(track(number))
        await client.flush()
        running.receiver.stop()
        while running.receiver.streams:
            await trio.lowlevel.checkpoint()
        left = await client.aclose(0.0)

    assert left == ()
    assert len(await ids(disk)) == 100
