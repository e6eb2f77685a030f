"""Who may go and who waits: against the plainest model, one list for each key."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.runtime.turns import Turn, Turns, Waits

KEYS = st.sampled_from("abc")
PER_KEY, IN_ALL = 3, 5


class EveryTurn(RuleBasedStateMachine):
    """Lets numbers in, ends and delays them, and keeps what is parked in a list, as the ledger does."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[int] = Turns(PER_KEY, IN_ALL)
        self.number = 0
        self.wanted: dict[str, deque[int]] = {key: deque() for key in "abc"}
        self.going: dict[str, list[int]] = {}
        self.delayed: set[str] = set()
        self.parked: dict[str, list[int]] = {key: [] for key in "abc"}
        self.unwritten: list[tuple[str, int]] = []
        self.places = 0

    @rule(key=KEYS)
    def admit(self, key: str) -> None:
        self.number += 1
        turn = self.turns.admit(str(self.number), key, self.number, self.number)
        self.wanted[key].append(self.number)
        self.places += turn in {Turn.GO, Turn.SIT}
        if turn is Turn.GO:
            self._goes(key, self.number)
        elif turn is Turn.PARK:
            self.unwritten.append((key, self.number))

    @precondition(lambda self: self.unwritten)
    @rule()
    def write(self) -> None:
        key, number = self.unwritten.pop(0)
        self.parked[key].append(number)
        self.turns.written(key)

    @rule(key=KEYS)
    def end(self, key: str) -> None:
        if key not in self.going:
            return
        for number in list(self.going[key]):
            self._ends(key, number)

    @rule(key=KEYS, which=st.integers(0, 3))
    def delay(self, key: str, which: int) -> None:
        """Of a batch, let those before one arrive, and those behind it wait again."""
        if key not in self.going:
            return
        *before, number = self.going[key][: which + 1]
        behind = self.going[key][which + 1 :]
        for one in reversed(behind):
            assert self.turns.back(str(one), one) is None
            self.wanted[key].appendleft(one)
            self.going[key].remove(one)
            self.places -= 1
        for one in before:
            self._ends(key, one)
        self.places -= self.turns.delayed(str(number))
        self.delayed.add(key)

    @rule(key=KEYS, which=st.sampled_from((0, -1)))
    def follow(self, key: str, which: int) -> None:
        if key not in self.going:
            return
        assert self.turns.follow(str(self.going[key][-1]), lambda _: False) is None
        name = str(self.going[key][which])
        waits = self.turns.lines[key].waiting
        free = bool(waits) and key not in self.delayed and name == str(self.going[key][-1])
        freed = self.turns.follow(name, lambda _: True)
        assert (freed is not None) == free
        if freed is not None:
            self.places += not freed.seated
            self._goes(key, freed.item, along=True)

    @rule(rest=st.integers(0, 2))
    def take_out(self, rest: int) -> None:
        gone, seats = self.turns.take_out(lambda number: number % 3 == rest)
        self.places -= seats
        waiting = {number for line in self.turns.lines.values() for _, number in line.waiting}
        assert not any(number % 3 == rest for number in waiting)
        for wanted in self.wanted.values():
            for number in set(gone) & set(wanted):
                wanted.remove(number)

    @rule(many=st.integers(1, 3))
    def fetch(self, many: int) -> None:
        for key, line in list(self.turns.wishes.items()):
            after = line.mark[0]
            found = [number for number in self.parked[key] if number > after][: min(many, self.turns.spare)]
            if not found:
                self.turns.nothing_found(key)
                continue
            waits = [Waits(str(number), number) for number in found]
            most = max(self.turns.standing, IN_ALL)
            freed = self.turns.fetched(key, waits, (found[-1], str(found[-1])))
            assert freed is not None
            assert not freed.seated
            assert self.turns.standing <= most
            self.places += 1
            self._goes(key, freed.item)

    @rule()
    def all_is_done_in_the_end(self) -> None:
        for _ in range(10 * self.number + 10):
            while self.unwritten:
                self.write()
            self.fetch(3)
            for key in "abc":
                self.end(key)
        self.fetch(3)
        assert self.turns.lines == {}
        assert (self.turns.standing, self.turns.parked, self.places) == (0, 0, 0)
        assert not any(self.wanted.values())

    @invariant()
    def memory_is_bounded_and_counted(self) -> None:
        lines = self.turns.lines.values()
        standing = sum(len(line.waiting) - line.seated for line in lines)
        assert self.turns.standing == standing
        assert self.places == sum(map(len, self.going.values())) + sum(line.seated for line in lines)

    @invariant()
    def whoever_waits_waits_for_something(self) -> None:
        for key, line in self.turns.lines.items():
            assert key in self.going or key in self.turns.wishes
            assert line.delayed == (key in self.delayed)

    def _ends(self, key: str, number: int) -> None:
        self.going[key].remove(number)
        if not self.going[key]:
            del self.going[key]
            self.delayed.discard(key)
        self.places -= 1
        assert self.turns.is_live(str(number))
        freed = self.turns.ended(str(number))
        if freed is not None:
            self.places += not freed.seated
            self._goes(key, freed.item)
        assert self.turns.ended(str(number)) is None

    def _goes(self, key: str, number: int, *, along: bool = False) -> None:
        """The next of its key, and the only one that was not let go along."""
        assert along == (key in self.going)
        assert self.wanted[key].popleft() == number
        self.going.setdefault(key, []).append(number)


TestEveryTurn = EveryTurn.TestCase
TestEveryTurn.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_what_stands_is_bounded_per_key_and_in_all() -> None:
    turns: Turns[int] = Turns(PER_KEY, IN_ALL)
    got = []
    for number, key in enumerate("aabbcc" * 5):
        got.append(turns.admit(str(number), key, number, number))
        turns.delayed(str(number))
    assert got.count(Turn.GO) == 3
    assert got.count(Turn.STAND) == turns.standing == IN_ALL
    assert got.count(Turn.PARK) == turns.parked == 30 - 3 - IN_ALL


def test_the_longest_are_shown_with_the_one_they_wait_for() -> None:
    turns: Turns[int] = Turns()
    for number, key in enumerate("abbcccddddeeeeeffffff"):
        turns.admit(str(number), key, number, number)
    assert [(hot.key, hot.waiting, hot.head) for hot in turns.longest()] == [
        ("f", 5, "15"),
        ("e", 4, "10"),
        ("d", 3, "6"),
        ("c", 2, "3"),
        ("b", 1, "1"),
    ]


def test_those_forsaken_are_taken_out_and_later_ones_are_not() -> None:
    turns: Turns[int] = Turns(PER_KEY, IN_ALL)
    turns.admit("1", "a", 1, 1)
    turns.delayed("1")
    assert [turns.admit(str(number), "a", number, number) for number in range(2, 8)][3:] == [Turn.PARK] * 3
    assert turns.forsake("1") == ([2, 3, 4], 0)
    assert turns.ended("1") is None
    assert turns.admit("8", "a", 8, 8) is Turn.PARK
    assert turns.wishes["a"].forsaken == 7
