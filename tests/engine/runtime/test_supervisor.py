from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.runtime.channel import Inbox
from engine.runtime.supervisor import Backoff, Child, ChildState, Supervisor, TooManyRestarts
from tests.support.batch import Batch, batch


class Stage:
    """A child that writes down what happens to it; `die` ends its present life."""

    def __init__(self, name, diary, *, last_words=0.0):
        self.name = name
        self.diary = diary
        self.last_words = last_words
        self.error = None
        self.wake = trio.Event()

    async def start(self):
        self.diary.append(f"{self.name} starts")
        self.wake = trio.Event()
        await self.wake.wait()
        if self.error:
            error, self.error = self.error, None
            raise error
        await trio.sleep(self.last_words)
        self.diary.append(f"{self.name} ends")

    def stop(self):
        self.diary.append(f"{self.name} stop")
        self.wake.set()

    def die(self, text="boom"):
        self.error = ValueError(text)
        self.wake.set()

    def child(self, **options):
        return Child(name=self.name, start=self.start, stop=self.stop, **options)


@pytest.fixture
def diary():
    return []


@pytest.fixture
def chain(diary):
    return [Stage(name, diary) for name in ("sink", "middle", "source")]


def always(error):
    async def start():
        raise error

    return start


def nothing():
    """Ask for nothing."""


async def test_children_start_left_to_right_and_stop_right_to_left(chain, diary, nursery):
    supervisor = Supervisor([stage.child() for stage in chain])
    await nursery.start(supervisor.run)
    supervisor.stop()
    await wait_all_tasks_blocked()

    assert diary == [
        *("sink starts", "middle starts", "source starts"),
        *("source stop", "source ends", "middle stop", "middle ends", "sink stop", "sink ends"),
    ]
    assert {state.condition for state in supervisor.states().values()} == {"stopped"}


async def test_a_child_that_outlives_its_drain_is_cancelled_and_the_next_one_asked(diary, nursery, autojump_clock):
    events = []
    slow, quick = Stage("slow", diary, last_words=100), Stage("quick", diary)
    supervisor = Supervisor([quick.child(), slow.child(drain=7.0)], on_event=events.append)
    await nursery.start(supervisor.run)
    start = trio.current_time()
    supervisor.stop()
    await trio.sleep(20)

    assert diary[2:] == ["slow stop", "quick stop", "quick ends"]
    assert [(event.child, event.what) for event in events[2:]] == [
        ("slow", "cancelled"),
        ("slow", "stopped"),
        ("quick", "stopped"),
    ]
    assert trio.current_time() == start + 20


async def test_a_dead_child_is_started_again_and_its_siblings_do_not_notice(chain, diary, nursery, autojump_clock):
    events = []
    supervisor = Supervisor([stage.child() for stage in chain], on_event=events.append)
    await nursery.start(supervisor.run)
    chain[1].die()
    await trio.sleep(1)

    assert diary[3:] == ["middle starts"]
    assert supervisor.states()["middle"] == ChildState(condition="running", restarts=1, error="ValueError: boom")
    died = next(event for event in events if event.what == "died")
    assert died.error == "ValueError: boom"
    assert "raise error" in died.trace
    supervisor.stop()


async def test_restarts_wait_longer_each_time_and_never_more_than_the_cap(nursery, autojump_clock):
    starts = []

    async def start():
        starts.append(trio.current_time())
        raise ValueError("again")

    supervisor = Supervisor(
        [Child(name="fragile", start=start, stop=nothing)],
        intensity=5,
        backoff=Backoff(first=1.0, factor=2.0, cap=5.0),
    )
    await nursery.start(supervisor.run)
    await trio.sleep(29)
    supervisor.stop()

    assert starts == [0.0, 1.0, 3.0, 7.0, 12.0, 17.0]


async def test_a_child_that_dies_too_often_is_given_up_and_the_rest_go_on(chain, diary, nursery, autojump_clock):
    events = []
    children = [*(stage.child() for stage in chain), Child(name="sick", start=always(ValueError("x")), stop=nothing)]
    supervisor = Supervisor(children, intensity=2, on_event=events.append)
    await nursery.start(supervisor.run)
    await trio.sleep(100)

    assert supervisor.states()["sick"] == ChildState(condition="down", restarts=2, error="ValueError: x")
    assert [event.what for event in events if event.child == "sick"] == [
        *("started", "died", "restarting", "started", "died", "restarting", "started", "died", "down"),
    ]
    assert diary == ["sink starts", "middle starts", "source starts"]
    supervisor.stop()


async def test_deaths_further_apart_than_the_period_are_tolerated_for_ever(diary, nursery, autojump_clock):
    stage = Stage("stage", diary)
    supervisor = Supervisor([stage.child(essential=True)], intensity=1, period=30.0)
    await nursery.start(supervisor.run)
    for _ in range(10):
        stage.die()
        await trio.sleep(31)
    supervisor.stop()

    assert supervisor.states()["stage"].restarts == 10


async def test_an_essential_child_takes_the_supervisor_along_in_order(chain, diary, autojump_clock):
    sick = Child(name="writer", start=always(ValueError("disk")), stop=nothing, essential=True)
    supervisor = Supervisor([chain[0].child(), sick, chain[2].child()], intensity=3, period=30.0)

    with pytest.raises(TooManyRestarts) as caught:
        await supervisor.run()
    assert str(caught.value) == (
        "'writer' died more than 3 times within 30 s, last of ValueError: disk\n"
        "    the tracebacks of all its deaths are in the log"
    )
    assert diary == ["sink starts", "source starts", "source stop", "source ends", "sink stop", "sink ends"]


async def test_escalation_climbs_through_nested_supervisors_and_restarts_multiply(autojump_clock):
    lives = 0

    async def start():
        nonlocal lives
        lives += 1
        raise ValueError("deep")

    inner = Supervisor([Child(name="leaf", start=start, stop=nothing, essential=True)], intensity=3)
    nested = Child(name="inner", start=inner.run, stop=inner.stop, drain=math.inf, essential=True)

    with pytest.raises(TooManyRestarts) as caught:
        await Supervisor([nested], intensity=3).run()
    assert caught.value.child == "inner"
    assert lives == 16


async def test_rest_for_one_takes_those_after_it_along_but_not_those_before(chain, diary, nursery, autojump_clock):
    supervisor = Supervisor([stage.child() for stage in chain], strategy="rest_for_one")
    await nursery.start(supervisor.run)
    chain[1].die()
    await trio.sleep(1)

    assert diary[3:] == ["source stop", "source ends", "middle starts", "source starts"]
    assert [state.restarts for state in supervisor.states().values()] == [0, 1, 0]
    supervisor.stop()


async def test_rest_for_one_with_two_deaths_at_once_starts_each_child_once(chain, diary, nursery, autojump_clock):
    supervisor = Supervisor([stage.child() for stage in chain], strategy="rest_for_one")
    await nursery.start(supervisor.run)
    for stage in chain:
        stage.die()
    await trio.sleep(10)

    assert {state.condition for state in supervisor.states().values()} == {"running"}
    last = [max(at for at, line in enumerate(diary) if line == f"{stage.name} starts") for stage in chain]
    assert last == sorted(last)
    for stage in chain:
        starts, ends = diary.count(f"{stage.name} starts"), diary.count(f"{stage.name} ends")
        assert starts - ends == 2, "one life died, one is running"
    supervisor.stop()
    await wait_all_tasks_blocked()


async def test_a_sibling_stopped_by_rest_for_one_gets_its_inbox_and_message_back(diary, nursery, autojump_clock):
    inbox = Inbox[Batch]("events", 3)
    taken = []

    async def hold():
        taken.append(await inbox.take())
        await trio.sleep_forever()

    sink = Stage("sink", diary)
    holder = Child(name="holder", start=hold, stop=inbox.close, drain=1.0, inbox=inbox)
    supervisor = Supervisor([sink.child(), holder], strategy="rest_for_one")
    inbox.offer(batch(1, 2))
    await nursery.start(supervisor.run)
    await wait_all_tasks_blocked()
    sink.die()
    await trio.sleep(5)

    assert taken == [batch(1, 2), batch(1, 2)]
    assert inbox.offer(batch(3))
    assert inbox.statistics().deaths == 0
    supervisor.stop()


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
async def test_stopping_while_a_restart_waits_starts_nothing_more(strategy, chain, diary, nursery, autojump_clock):
    supervisor = Supervisor(
        [stage.child() for stage in chain], strategy=strategy, backoff=Backoff(first=60.0, cap=60.0)
    )
    await nursery.start(supervisor.run)
    chain[0].die()
    await trio.sleep(1)
    assert supervisor.states()["sink"].condition == "restarting"
    supervisor.stop()
    await trio.sleep(1)

    assert {state.condition for state in supervisor.states().values()} == {"stopped"}
    assert diary.count("sink starts") == 1
    assert not nursery.child_tasks


async def test_stop_now_cancels_all_at_once(diary, nursery, autojump_clock):
    stages = [Stage(name, diary, last_words=100) for name in ("a", "b")]
    supervisor = Supervisor([stage.child(drain=50.0) for stage in stages])
    await nursery.start(supervisor.run)
    supervisor.stop()
    await trio.sleep(1)
    supervisor.stop_now()
    await wait_all_tasks_blocked()

    assert not nursery.child_tasks
    assert trio.current_time() == 1.0
    assert diary == ["a starts", "b starts", "b stop"]


async def test_a_death_while_draining_is_told_and_not_followed_by_a_restart(diary, nursery, autojump_clock):
    events = []

    async def start():
        await gone.wait()
        raise ValueError("in its last moments")

    gone = trio.Event()
    supervisor = Supervisor([Child(name="fragile", start=start, stop=gone.set)], on_event=events.append)
    await nursery.start(supervisor.run)
    supervisor.stop()
    await trio.sleep(1)

    assert [event.what for event in events] == ["started", "died", "stopped"]
    assert supervisor.states()["fragile"].error == "ValueError: in its last moments"


async def test_a_stop_that_fails_is_told_and_the_others_are_stopped_in_order(diary, nursery, autojump_clock):
    events = []

    def broken():
        raise ValueError("cannot stop")

    first = Stage("first", diary)
    supervisor = Supervisor(
        [first.child(), Child(name="broken", start=trio.sleep_forever, stop=broken, drain=60.0)],
        on_event=events.append,
    )
    await nursery.start(supervisor.run)
    supervisor.stop()
    await wait_all_tasks_blocked()

    assert ("broken", "died", "ValueError: cannot stop") in [(e.child, e.what, e.error) for e in events]
    assert diary == ["first starts", "first stop", "first ends"]


@pytest.mark.parametrize(
    ("restart", "returns", "condition", "restarts"),
    [
        ("permanent", True, "running", 1),
        ("permanent", False, "running", 1),
        ("transient", True, "stopped", 0),
        ("transient", False, "running", 1),
        ("temporary", True, "stopped", 0),
        ("temporary", False, "down", 0),
    ],
)
async def test_who_is_started_again(restart, returns, condition, restarts, nursery, autojump_clock):
    lives = 0

    async def start():
        nonlocal lives
        lives += 1
        if lives > 1:
            await trio.sleep_forever()
        if not returns:
            raise ValueError("died")

    supervisor = Supervisor([Child(name="it", start=start, stop=nothing, drain=0, restart=restart, essential=True)])
    await nursery.start(supervisor.run)
    await trio.sleep(1)

    state = supervisor.states()["it"]
    assert (state.condition, state.restarts) == (condition, restarts)
    if restart == "permanent" and returns:
        assert state.error == "Unbidden: it returned although nobody had asked it to stop"
    supervisor.stop()


async def test_children_come_and_go_while_it_runs(chain, diary, nursery, autojump_clock):
    supervisor = Supervisor([chain[0].child(), chain[2].child()])
    await nursery.start(supervisor.run)
    await supervisor.add(chain[1].child(), before="source")
    assert list(supervisor.states()) == ["sink", "middle", "source"]
    await supervisor.remove("source")

    assert diary == ["sink starts", "source starts", "middle starts", "source stop", "source ends"]
    assert list(supervisor.states()) == ["sink", "middle"]
    with pytest.raises(KeyError):
        await supervisor.remove("source")
    with pytest.raises(ValueError) as caught:
        await supervisor.add(chain[0].child())
    assert str(caught.value) == "two children are called 'sink'"
    supervisor.stop()


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
async def test_a_child_removed_while_its_restart_waits_does_not_come_back(
    strategy, chain, diary, nursery, autojump_clock
):
    supervisor = Supervisor([stage.child() for stage in chain], strategy=strategy, backoff=Backoff(first=5.0))
    await nursery.start(supervisor.run)
    chain[2].die()
    await trio.sleep(1)
    await supervisor.remove("source")
    before = diary.count("source starts") - diary.count("source ends")
    await trio.sleep(60)

    assert diary.count("source starts") - diary.count("source ends") == before == 1
    supervisor.stop()


async def test_a_stop_before_the_start_starts_nothing_and_the_next_run_does(chain, diary, nursery):
    supervisor = Supervisor([stage.child() for stage in chain])
    supervisor.stop()
    await supervisor.run()
    assert diary == []
    await nursery.start(supervisor.run)
    supervisor.stop()
    await wait_all_tasks_blocked()

    assert diary.count("sink ends") == 1


async def test_cancelling_the_supervisor_is_a_shutdown_and_no_death(chain, autojump_clock):
    events = []
    supervisor = Supervisor([stage.child() for stage in chain], on_event=events.append)
    with trio.move_on_after(1):
        await supervisor.run()

    assert {event.what for event in events} == {"started"}
    assert {state.condition for state in supervisor.states().values()} == {"stopped"}


async def test_a_lone_error_is_taken_out_of_its_groups_and_several_are_kept(nursery, autojump_clock):
    events = []
    one = ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("lone")])])
    two = ExceptionGroup("two", [ValueError("a"), ValueError("b")])
    supervisor = Supervisor(
        [
            Child(name="one", start=always(one), stop=nothing, restart="temporary"),
            Child(name="two", start=always(two), stop=nothing, restart="temporary"),
        ],
        on_event=events.append,
    )
    await nursery.start(supervisor.run)
    await trio.sleep(1)
    supervisor.stop()

    died = {event.child: event for event in events if event.what == "died"}
    assert died["one"].error == "ValueError: lone"
    assert died["two"].error == "ExceptionGroup: two (2 sub-exceptions)"
    assert "ValueError: a" in died["two"].trace
    assert "ValueError: b" in died["two"].trace


async def test_an_error_beside_a_cancellation_is_not_lost(diary, nursery, autojump_clock):
    events = []

    async def start():
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in its cleanup")

    supervisor = Supervisor([Child(name="it", start=start, stop=nothing, drain=1.0)], on_event=events.append)
    await nursery.start(supervisor.run)
    supervisor.stop()
    await trio.sleep(2)

    assert [(event.what, event.error) for event in events[1:]] == [
        ("cancelled", ""),
        ("died", "ValueError: in its cleanup"),
        ("stopped", ""),
    ]


DEATHS = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 3)), max_size=8)


@given(deaths=DEATHS, strategy=st.sampled_from(["one_for_one", "rest_for_one"]), stop_at=st.floats(0, 4))
@settings(max_examples=100, deadline=None)
def test_whoever_dies_whenever_all_run_again_and_all_end_when_stopped(deaths, strategy, stop_at):
    diary: list[str] = []

    async def die(stage, at):
        await trio.sleep(at)
        stage.die()

    async def main():
        stages = [Stage(str(number), diary) for number in range(4)]
        supervisor = Supervisor([stage.child() for stage in stages], strategy=strategy, intensity=100)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            for place, at in deaths:
                nursery.start_soon(die, stages[place], at)
            await trio.sleep(stop_at)
            supervisor.stop()
        assert {state.condition for state in supervisor.states().values()} == {"stopped"}
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            for place, at in deaths:
                nursery.start_soon(die, stages[place], at)
            await trio.sleep(100)
            assert {state.condition for state in supervisor.states().values()} == {"running"}
            supervisor.stop()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_neighbours_of_one_rank_are_stopped_together(autojump_clock):
    order: list[str] = []
    begun = trio.current_time()

    def child(name: str, rank: str = "") -> Child:
        asked = trio.Event()

        async def live() -> None:
            await asked.wait()
            await trio.sleep(3)
            order.append(f"{name} at {trio.current_time() - begun:g}")

        return Child(name=name, start=live, stop=asked.set, rank=rank)

    supervisor = Supervisor([child("sink"), child("a", "senders"), child("b", "senders"), child("source")])
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        supervisor.stop()

    assert order[0] == "source at 3"
    assert sorted(order[1:3]) == ["a at 6", "b at 6"]
    assert order[3] == "sink at 9"
