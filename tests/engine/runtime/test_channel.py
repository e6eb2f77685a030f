from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from engine.runtime.channel import Closed, Inbox, Stats
from tests.support.batch import Batch, batch

BOOM = ValueError("boom")


async def test_messages_come_out_in_the_order_they_went_in():
    inbox = Inbox[Batch]("events", 4)
    for number in range(4):
        await inbox.send(batch(number))

    assert [await inbox.take() for _ in range(4)] == [batch(number) for number in range(4)]


async def test_a_full_inbox_blocks_its_sender_until_one_is_taken(nursery):
    inbox = Inbox[Batch]("events", 1)
    await inbox.send(batch(1))
    nursery.start_soon(inbox.send, batch(2))
    await wait_all_tasks_blocked()

    assert inbox.statistics().waiting == 1
    assert await inbox.take() == batch(1)
    assert await inbox.take() == batch(2)


async def test_offer_says_no_when_full_and_lets_nothing_in():
    inbox = Inbox[Batch]("events", 1)

    assert inbox.offer(batch(1))
    assert not inbox.offer(batch(2))
    assert inbox.statistics() == Stats(
        size=1, waiting=1, in_hand=0, offered=1, refused=1, taken=0, deaths=0, poisoned=0
    )


async def test_a_cancelled_send_let_nothing_in(autojump_clock):
    inbox = Inbox[Batch]("events", 1)
    inbox.offer(batch(1))
    with trio.move_on_after(1):
        await inbox.send(batch(2))
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.send(batch(3))
    await inbox.take()

    assert inbox.take_nowait() is None


async def test_a_cancelled_take_took_nothing(autojump_clock):
    inbox = Inbox[Batch]("events", 1)
    with trio.move_on_after(1):
        await inbox.take()
    inbox.offer(batch(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await inbox.take()

    assert await inbox.take() == batch(1)


async def test_a_closed_inbox_gives_what_waits_and_then_says_so():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1))
    inbox.close()

    assert await inbox.take() == batch(1)
    with pytest.raises(Closed) as caught:
        await inbox.take()
    assert str(caught.value) == "inbox 'events' is closed"
    with pytest.raises(Closed):
        inbox.offer(batch(2))


async def test_closing_wakes_all_who_wait():
    inbox, full = Inbox[Batch]("empty", 1), Inbox[Batch]("full", 1)
    full.offer(batch(1))
    ended = []

    async def sender() -> None:
        with pytest.raises(Closed):
            await full.send(batch(2))
        ended.append("sender")

    async def taker() -> None:
        with pytest.raises(Closed):
            await inbox.take()
        ended.append("taker")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        nursery.start_soon(taker)
        await wait_all_tasks_blocked()
        inbox.close()
        full.close()
    assert sorted(ended) == ["sender", "taker"]


async def test_a_reopened_inbox_keeps_what_waited():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1))
    inbox.close()
    inbox.reopen()

    assert inbox.offer(batch(2))
    assert await inbox.take() == batch(1)


async def test_what_was_taken_together_is_in_hand_together_until_done():
    inbox = Inbox[Batch]("events", 3)
    for number in range(3):
        inbox.offer(batch(number))
    await inbox.take()
    assert inbox.take_nowait() == batch(1)
    assert inbox.statistics().in_hand == 2
    inbox.done()

    assert inbox.statistics().in_hand == 0
    assert not inbox.died(BOOM), "nothing was in hand, so nothing is narrowed down"
    assert await inbox.take() == batch(2)


async def test_after_a_death_messages_come_one_at_a_time_and_then_halved():
    inbox = Inbox[Batch]("events", 3)
    inbox.offer(batch(1, 2, 3, 4))
    inbox.offer(batch(5))
    inbox.offer(batch(6))
    await inbox.take()
    inbox.take_nowait()

    assert inbox.died(BOOM)
    assert await inbox.take() == batch(1, 2, 3, 4)
    assert inbox.take_nowait() is None
    assert inbox.died(BOOM)
    offered = [await inbox.take() for _ in range(4)]
    assert offered == [batch(1, 2), batch(3, 4), batch(5), batch(6)]


async def test_a_single_message_is_poison_after_its_second_death_alone():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1))
    inbox.offer(batch(2))
    await inbox.take()

    assert not inbox.died(ValueError("first")), "the same is offered again"
    assert inbox.poison is None
    assert await inbox.take() == batch(1)
    assert inbox.died(BOOM)
    assert inbox.poison is not None
    assert (inbox.poison.message, inbox.poison.error) == (batch(1), BOOM)
    assert await inbox.take() == batch(2)
    inbox.poison_settled()
    assert inbox.poison is None


async def test_deaths_of_different_messages_are_not_added_up():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1))
    inbox.offer(batch(2))
    await inbox.take()
    inbox.died(BOOM)
    await inbox.take()
    await inbox.take()
    inbox.died(BOOM)

    assert inbox.poison is None
    assert await inbox.take() == batch(2)


async def test_what_a_cancelled_actor_had_in_hand_comes_back_whole_and_without_blame():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1, 2))
    inbox.offer(batch(3))
    await inbox.take()
    inbox.put_back()

    assert await inbox.take() == batch(1, 2)
    assert inbox.statistics().deaths == 0


async def test_several_in_flight_are_let_go_of_one_by_one():
    inbox = Inbox[Batch]("events", 3)
    same, twin = batch(1), batch(1)
    inbox.offer(same)
    inbox.offer(twin)
    await inbox.take(keep=True)
    await inbox.take(keep=True)
    inbox.done(twin)
    inbox.died(BOOM)

    assert await inbox.take() is same
    with pytest.raises(ValueError) as caught:
        inbox.done(twin)
    assert str(caught.value) == "inbox 'events': done() with a message that is not in hand"


async def test_an_actor_that_keeps_taking_suspects_together_is_not_excused():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1))
    inbox.offer(batch(2))
    await inbox.take(keep=True)
    await inbox.take(keep=True)
    assert inbox.died(BOOM)
    await inbox.take(keep=True)
    await inbox.take(keep=True)

    assert not inbox.died(BOOM)


async def test_leftovers_are_not_offered_again():
    inbox = Inbox[Batch]("events", 2)
    inbox.offer(batch(1, 2))
    inbox.offer(batch(3))
    await inbox.take()
    inbox.died(BOOM)

    assert inbox.leftovers() == [batch(1), batch(2)]
    assert await inbox.take() == batch(3)


def test_an_inbox_without_room_is_refused():
    with pytest.raises(ValueError) as caught:
        Inbox[Batch]("events", 0)
    assert str(caught.value) == "inbox 'events' needs room for at least 1 message, not 0"


@given(
    size=st.integers(1, 3), senders=st.integers(1, 4), takers=st.integers(1, 3), impatient=st.sets(st.integers(0, 11))
)
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_doubled_or_left_asleep(size, senders, takers, impatient):
    inbox = Inbox[Batch]("events", size)
    taken: list[int] = []
    sent: list[int] = []

    async def send(first: int) -> None:
        for number in range(first, 12, senders):
            with trio.CancelScope() as scope:
                if number in impatient:
                    scope.deadline = trio.current_time() + 0.5
                await inbox.send(batch(number))
                sent.append(number)

    async def take() -> None:
        with trio.move_on_after(100):
            while True:
                taken.extend((await inbox.take()).numbers)
                await trio.sleep(1)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for first in range(senders):
                nursery.start_soon(send, first)
            for _ in range(takers):
                nursery.start_soon(take)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert sorted(taken) == sorted(sent)
    assert set(range(12)) - impatient <= set(sent)


async def test_a_weighed_inbox_counts_weight_and_lets_one_heavy_message_into_an_empty_one() -> None:
    inbox: Inbox[Batch] = Inbox("events", 4, lambda message: len(message.numbers))

    assert inbox.offer(batch(*range(9)))
    assert not inbox.offer(batch(1))
    await inbox.take()
    assert inbox.offer(batch(1, 2, 3))
    assert inbox.offer(batch(4))
    assert not inbox.offer(batch(5))


async def test_put_is_a_checkpoint_only_when_the_inbox_is_full(nursery) -> None:
    inbox: Inbox[Batch] = Inbox("events", 1)
    with trio.testing.assert_no_checkpoints():
        await inbox.put(batch(1))
    nursery.start_soon(inbox.put, batch(2))
    await wait_all_tasks_blocked()
    assert inbox.statistics().waiting == 1
    await inbox.take()
    assert await inbox.take() == batch(2)
