from __future__ import annotations

from engine.runtime.suspects import MOST, Suspects


def test_what_fails_again_is_not_new_until_it_arrived() -> None:
    suspects = Suspects()

    assert [suspects.note(["a"]), suspects.note(["a"]), suspects.note(["a", "b"])] == [True, False, True]
    suspects.absolve(["b", "c"])
    assert [suspects.note(["a"]), suspects.note(["b"])] == [False, True]


def test_others_speak_against_a_destination_until_something_arrives() -> None:
    suspects = Suspects()
    suspects.note(["a", "b"])
    suspects.absolve(["c"])
    assert not suspects.others("a")

    suspects.note(["b"])
    assert (suspects.others("a"), suspects.others("b")) == (True, False)
    suspects.drop(["b"])
    assert not suspects.others("a")


def test_one_knows_of_others() -> None:
    suspects = Suspects()
    assert not suspects.others("a")
    suspects.note(["a"])
    assert (suspects.others("a"), suspects.others("b")) == (False, True)


def test_beyond_the_bound_everything_is_new() -> None:
    suspects = Suspects()
    suspects.note(map(str, range(2 * MOST)))

    assert suspects.note([str(2 * MOST - 1)])
    assert len(suspects._names) == MOST
