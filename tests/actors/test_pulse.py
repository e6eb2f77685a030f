from __future__ import annotations

import trio

from actors.pulse import EVERY, WATCHED, Pulse
from engine.runtime.clock import TrioClock


class Sleepy(TrioClock):
    """A clock whose sleepers wake late, as they do while something holds up the loop."""

    late = 0.0

    async def sleep_until(self, deadline: float) -> None:
        await super().sleep_until(deadline + self.late)


async def test_it_beats_while_somebody_looks_and_sleeps_when_nobody_does(nursery, autojump_clock):
    pulse = Pulse(TrioClock(0.0))
    nursery.start_soon(pulse.run)
    await trio.sleep(3600)
    assert pulse.lag.count == 0

    pulse.look()
    await trio.sleep(24 * 3600)

    assert pulse.lag.count == WATCHED / EVERY
    pulse.stop()


async def test_a_loop_that_was_held_up_shows(nursery, autojump_clock):
    clock = Sleepy(0.0)
    clock.late = 2.0
    pulse = Pulse(clock)
    nursery.start_soon(pulse.run)
    pulse.look()
    await trio.sleep(10)
    pulse.stop()

    assert pulse.lag.quantile(0.5) == pulse.lag.most == 2.0
