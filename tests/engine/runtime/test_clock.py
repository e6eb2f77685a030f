from __future__ import annotations

import time

import pytest
import trio

from engine.runtime import clock as module
from engine.runtime.clock import Clock, SystemClock, TrioClock


async def test_a_trio_clock_moves_both_times_together(autojump_clock):
    await trio.sleep(5)
    clock: Clock = TrioClock(1_700_000_000.0)
    await clock.sleep(3600)
    await clock.sleep_until(clock.monotonic() + 60)

    assert clock.wall() == 1_700_003_660.0
    assert clock.monotonic() == 3665.0


async def test_the_system_clock_tells_the_machine_s_time():
    clock: Clock = SystemClock()
    before = time.time()

    assert before <= clock.wall() <= time.time()


class Machine:
    """The machine's two clocks, of which one can be set."""

    def __init__(self) -> None:
        self.set, self.ticks = 1_700_000_000.0, 0.0

    def time(self) -> float:
        return self.set + self.ticks

    def monotonic(self) -> float:
        return self.ticks


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(module, "time", made)
    return made


def told(clock: Clock, machine: Machine, *ticks: float) -> list[float]:
    """Return what the clock says after so many seconds each, from where it stood first."""
    heard = []
    for seconds in ticks:
        machine.ticks += seconds
        heard.append(clock.wall() - 1_700_000_000.0)
    return heard


def test_wall_time_never_goes_back_and_waits_at_half_its_speed_for_a_machine_that_did(machine: Machine) -> None:
    clock = SystemClock()
    assert told(clock, machine, 0, 10) == [0, 10]
    machine.set -= 3600

    assert told(clock, machine, 0, 10, 3590, 3600, 5) == [10, 15, 1810, 3610, 3615]
    assert clock.wall() == machine.time() == 1_700_000_000.0 + 3615


def test_wall_time_follows_a_machine_that_was_set_forward(machine: Machine) -> None:
    clock = SystemClock()
    machine.set += 3600

    assert told(clock, machine, 0, 10) == [3600, 3610]


@pytest.mark.parametrize(("ahead", "then"), [(-5.0, [0, 10]), (3600.0, [3600, 3605]), (90_000.0, [0, 10])])
def test_a_restart_goes_on_from_the_last_time_given_out_unless_it_was_wrong(machine, ahead, then) -> None:
    clock = SystemClock()
    clock.resume(1_700_000_000.0 + ahead)

    assert told(clock, machine, 0, 10) == then
