from __future__ import annotations

import os
import signal

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.runtime.signals import listen


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([signal.SIGTERM], ["stop"]),
        ([signal.SIGINT], ["stop"]),
        ([signal.SIGTERM, signal.SIGTERM], ["stop", "stop now"]),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], ["stop", "stop now", "stop now"]),
        ([signal.SIGHUP, signal.SIGTERM, signal.SIGHUP], ["reload", "stop", "reload"]),
    ],
)
async def test_signals_become_calls(sent, expected, nursery):
    calls, called = [], []

    def note(what):
        def call():
            calls.append(what)
            called.pop().set()

        return call

    async def run(*, task_status):
        await listen(stop=note("stop"), stop_now=note("stop now"), reload=note("reload"), task_status=task_status)

    await nursery.start(run)
    for number in sent:
        heard = trio.Event()
        called.append(heard)
        os.kill(os.getpid(), number)
        with trio.fail_after(5):
            await heard.wait()
    nursery.cancel_scope.cancel()

    assert calls == expected


async def test_signals_mean_again_what_they_meant_before_when_it_has_ended(nursery):
    before = signal.getsignal(signal.SIGTERM)
    scope = trio.CancelScope()

    async def run(*, task_status):
        with scope:
            await listen(stop=print, stop_now=print, reload=print, task_status=task_status)

    await nursery.start(run)
    assert signal.getsignal(signal.SIGTERM) is not before
    scope.cancel()
    await wait_all_tasks_blocked()

    assert signal.getsignal(signal.SIGTERM) is before
