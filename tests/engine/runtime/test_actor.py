from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio

from engine.runtime.actor import Actor, slots
from engine.runtime.channel import Inbox
from engine.runtime.supervisor import Child, Supervisor
from tests.support.batch import Batch, batch


class Fragile(Actor[Batch]):
    """Handles numbers, and dies of some of them."""

    def __init__(self, inbox, poison, diary):
        super().__init__(inbox)
        self.poison = poison
        self.diary = diary

    async def started(self):
        self.diary.append("started")

    async def stopping(self):
        self.diary.append("stopping")

    async def receive(self, message, /):
        await trio.lowlevel.checkpoint()
        if self.poison & set(message.numbers):
            raise ValueError(f"poisoned: {sorted(self.poison & set(message.numbers))}")
        self.diary.append(message.numbers)

    async def poisoned(self, message, error, /):
        self.diary.append(("poison", message.numbers, str(error)))


def reader(inbox, poison, diary):
    async def start():
        await Fragile(inbox, poison, diary).run()

    return Child(name="fragile", start=start, stop=inbox.close, inbox=inbox)


async def test_an_actor_lives_until_its_inbox_is_closed_and_empty():
    inbox = Inbox[Batch]("events", 3)
    diary: list[object] = []
    inbox.offer(batch(1))
    inbox.offer(batch(2))
    inbox.close()
    await Fragile(inbox, set(), diary).run()

    assert diary == ["started", (1,), (2,), "stopping"]
    assert inbox.statistics().in_hand == 0


async def test_the_message_in_hand_survives_a_crash(autojump_clock, nursery):
    inbox = Inbox[Batch]("events", 3)
    lives = 0
    seen = []

    class Once(Actor[Batch]):
        async def receive(self, message, /):
            if lives == 1:
                raise ValueError("only the first time")
            seen.append(message)

    async def start():
        nonlocal lives
        lives += 1
        await Once(inbox).run()

    supervisor = Supervisor([Child(name="once", start=start, stop=inbox.close, inbox=inbox)])
    inbox.offer(batch(7))
    await nursery.start(supervisor.run)
    await trio.sleep(1)
    supervisor.stop()

    assert seen == [batch(7)]


async def test_halving_isolates_one_poison_among_256(autojump_clock, nursery):
    inbox = Inbox[Batch]("events", 3)
    diary: list[object] = []
    events = []
    supervisor = Supervisor([reader(inbox, {100}, diary)], intensity=1, on_event=events.append)
    inbox.offer(Batch(tuple(range(256))))
    inbox.offer(batch(256))
    await nursery.start(supervisor.run)
    await trio.sleep(1)
    supervisor.stop()
    await trio.sleep(1)

    handled = [number for entry in diary if isinstance(entry, tuple) and entry[0] != "poison" for number in entry]
    assert handled == [number for number in range(257) if number != 100]
    assert ("poison", (100,), "poisoned: [100]") in diary
    # 8 halvings, and two deaths alone, of which only the one that brought nothing nearer made it wait.
    delays = [event.delay for event in events if event.what == "restarting"]
    assert delays == [0.0] * 8 + [0.1, 0.0]


async def test_a_poison_nobody_wants_is_kept_and_ends_the_actor(autojump_clock, nursery):
    inbox = Inbox[Batch]("events", 3)

    class Careless(Actor[Batch]):
        async def receive(self, message, /):
            raise ValueError("always")

    async def start():
        await Careless(inbox).run()

    supervisor = Supervisor([Child(name="careless", start=start, stop=inbox.close, inbox=inbox)], intensity=3)
    inbox.offer(batch(7))
    await nursery.start(supervisor.run)
    await trio.sleep(10)
    states = supervisor.states()
    supervisor.stop()

    assert states["careless"].condition == "down"
    assert inbox.poison is not None
    assert inbox.poison.message == batch(7)


async def test_an_actor_that_always_dies_stops_archiving_after_a_few(autojump_clock, nursery):
    inbox = Inbox[Batch]("events", 3)
    diary: list[Any] = []
    supervisor = Supervisor([reader(inbox, set(range(256)), diary)], intensity=3)
    inbox.offer(Batch(tuple(range(256))))
    await nursery.start(supervisor.run)
    await trio.sleep(20)
    states = supervisor.states()
    supervisor.stop()

    assert states["fragile"].condition == "down"
    assert [entry for entry in diary if entry[0] == "poison"] == [
        ("poison", (number,), f"poisoned: [{number}]") for number in range(3)
    ]


async def test_an_actor_without_receive_says_so():
    inbox = Inbox[Batch]("events", 1)
    inbox.offer(batch(1))
    with pytest.raises(NotImplementedError):
        await Actor(inbox).run()


async def test_slots_work_side_by_side_and_the_first_error_ends_them(autojump_clock):
    done = []

    async def work(number):
        await trio.sleep(1 + number)
        done.append(number)

    await slots(3, work)
    assert (done, trio.current_time()) == ([0, 1, 2], 3.0)

    async def fail(stop, number):
        await trio.sleep(number)
        if number == stop:
            raise ValueError("slot")
        done.append(number)

    with pytest.raises(ExceptionGroup) as caught:
        await slots(3, partial(fail, 1))
    assert [str(error) for error in caught.value.exceptions] == ["slot"]
    assert done == [0, 1, 2, 0]
