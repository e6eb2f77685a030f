"""One child through its lives: started, watched, stopped, and judged when it dies."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable

import trio

from engine.runtime.child import Child, ChildEvent, ChildState, Condition, Happening, Policy, Unbidden
from engine.runtime.clock import SystemClock
from engine.runtime.nap import Naps


class Keeper:
    """What a supervisor knows of one child.

    `begin` and `live` are called once per life, by the supervisor; `stop` and `cancel` by anybody, at any time.

    Args:
        child: what to keep.
        policy: when to give it up.
        tell: called with all that happens to it.
    """

    def __init__(self, child: Child, policy: Policy, tell: Callable[[ChildEvent], None]) -> None:
        self.child = child
        self.lives = 0
        self.failed = False
        self._policy = policy
        self._tell = tell
        self._condition: Condition = "stopped"
        self._restarts = 0
        self._error = ""
        self._deaths: deque[float] = deque()
        self._stop_asked = False
        self._excused = False
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._ended.set()
        self._naps = Naps(SystemClock())

    @property
    def wanted(self) -> bool:
        """Whether it runs or is about to run again."""
        return self._condition in {"starting", "running", "restarting"}

    def state(self) -> ChildState:
        """Return the child as of now."""
        return ChildState(condition=self._condition, restarts=self._restarts, error=self._error)

    def forgive(self) -> None:
        """Forget past deaths: its supervisor itself was started anew."""
        self._deaths.clear()
        self.failed = False

    def begin(self) -> None:
        """Prepare the next life, so that a `stop` from now on reaches it."""
        self.lives += 1
        self._stop_asked = False
        self._condition = "starting"
        self._ended = trio.Event()
        self._scope = trio.CancelScope()
        if self.child.inbox is not None:
            self.child.inbox.reopen()

    async def live(self, task_status: trio.TaskStatus[None]) -> float | None:
        """Run the child once, from `begin` to its end.

        Returns:
            Seconds to wait before its next life, or None if it should have none.
        """
        error: Exception | None = None
        task_status.started()
        try:
            if not self._stop_asked:
                self._condition = "running"
                self._say("started")
                error = await self._run()
        finally:
            self._condition = "stopped"
            self._ended.set()
        return self._judge(error)

    async def pause(self, seconds: float) -> bool:
        """Wait between two lives; return False if the child was asked to stop and should have no other."""
        if not self._stop_asked:
            await self._naps.until(trio.current_time() + seconds)
        return not self._stop_asked

    async def stop(self) -> None:
        """Ask the child to finish, cancel it if it takes longer than its drain, return when it has ended."""
        if self._stop_asked or self._condition != "running":
            self._ask_to_stop()
            await self._ended.wait()
            return
        self._ask_to_stop()
        self._condition = "stopping"
        try:
            self.child.stop()
        except Exception as error:  # noqa: BLE001  one child's broken stop must not keep the others from theirs
            self._note(error, "".join(traceback.format_exception(error)))
        else:
            with trio.move_on_after(self.child.drain):
                await self._ended.wait()
        if not self._ended.is_set():
            self._say("cancelled")
            self._scope.cancel()
            await self._ended.wait()

    def cancel(self) -> None:
        """End the child at its next checkpoint, without drain or another life."""
        self._ask_to_stop()
        self._scope.cancel()

    def _ask_to_stop(self) -> None:
        self._stop_asked = True
        self._naps.cut()
        if self._condition == "restarting":
            self._condition = "stopped"

    async def _run(self) -> Exception | None:
        inbox = self.child.inbox
        try:
            with self._scope:
                await self.child.start()
        except Exception as error:  # noqa: BLE001  a supervisor is there to catch what it cannot name
            cause = _unwrap(error)
            self._excused = inbox is not None and inbox.died(cause)
            self._note(cause, "".join(traceback.format_exception(error)))
            return cause
        finally:
            if inbox is not None:
                inbox.put_back()
        return None

    def _judge(self, error: Exception | None) -> float | None:
        if self._stop_asked or (error is None and self.child.restart != "permanent"):
            self._say("stopped")
            return None
        if error is None:
            self._excused = False
            self._note(Unbidden())
        if self.child.restart == "temporary" or not self._tolerated():
            self.failed = self.child.restart != "temporary"
            self._condition = "down"
            self._say("down", error=self._error)
            return None
        delay = 0.0 if self._excused else self._policy.backoff.delay(len(self._deaths))
        self._restarts += 1
        self._condition = "restarting"
        self._say("restarting", delay=delay)
        return delay

    def _tolerated(self) -> bool:
        if self._excused:
            return True
        now = trio.current_time()
        self._deaths.append(now)
        while self._deaths[0] <= now - self._policy.period:
            self._deaths.popleft()
        return len(self._deaths) <= self._policy.intensity

    def _note(self, error: Exception, trace: str = "") -> None:
        self._error = f"{type(error).__name__}: {error}"
        self._say("died", error=self._error, trace=trace)

    def _say(self, what: Happening, *, error: str = "", trace: str = "", delay: float = 0.0) -> None:
        self._tell(
            ChildEvent(child=self.child.name, what=what, restarts=self._restarts, error=error, trace=trace, delay=delay)
        )


def _unwrap(error: Exception) -> Exception:
    """Return the one error that a nursery wrapped, or *error* if there are several."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
