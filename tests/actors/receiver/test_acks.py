from __future__ import annotations

from actors.receiver.acks import Acks, Turn
from engine.wire import Ack, Refused


def opened(acks: Acks, count: int, *refused: tuple[int, str, str, str]) -> Turn:
    turn = Turn()
    acks.open(turn, count, refused)
    return turn


def test_an_ack_says_the_lowest_undecided_number_less_one() -> None:
    acks = Acks()
    first, second = opened(acks, 3), opened(acks, 2)

    assert not acks.decide(second)
    assert acks.take() is None
    assert acks.decide(first)
    assert acks.take() == Ack(upto=5)
    assert acks.take() is None


def test_acks_coalesce() -> None:
    acks = Acks()
    for turn in [opened(acks, 1) for _ in range(10)]:
        acks.decide(turn)

    assert acks.take() == Ack(upto=10)


def test_a_refusal_is_told_with_the_ack_that_reaches_it_once() -> None:
    acks = Acks()
    first = opened(acks, 2, (1, "m2", "id_required", "no id"))
    second = opened(acks, 1, (0, "m3", "bad_request", "not an object"))

    acks.decide(first)
    assert acks.take() == Ack(upto=2, refused=(Refused(n=2, message_id="m2", code="id_required", message="no id"),))
    acks.decide(second)
    assert acks.take() == Ack(
        upto=3, refused=(Refused(n=3, message_id="m3", code="bad_request", message="not an object"),)
    )


def test_a_turn_may_be_decided_before_it_is_numbered() -> None:
    acks = Acks()
    turn = Turn()
    acks.decide(turn)

    acks.open(turn, 4)
    acks.decide(turn)

    assert acks.take() == Ack(upto=4)


def test_undecided_counts_what_was_read_and_is_not_decided() -> None:
    acks = Acks()
    first = opened(acks, 3)
    opened(acks, 2)
    acks.decide(first)

    assert (acks.read, acks.decided, acks.undecided) == (5, 3, 2)
