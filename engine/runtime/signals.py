"""What the operating system asks of the process."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio


async def listen(
    *,
    stop: Callable[[], None],
    stop_now: Callable[[], None],
    reload: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turn signals into calls, until cancelled; then they mean again what they meant before.

    Runs in the main thread only. The callbacks must not raise.

    Args:
        stop: called at the first SIGTERM or SIGINT.
        stop_now: called at each further one.
        reload: called at each SIGHUP; several that come at once are one.
        task_status: told when signals are listened to.
    """
    asked = False
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                reload()
            elif asked:
                stop_now()
            else:
                asked = True
                stop()
