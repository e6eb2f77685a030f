"""Blocking work of a destination, in a thread, one piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import trio

T = TypeVar("T")


class Turns:
    """Lets one piece of work after the other into a thread.

    trio is imported with the first, and not with the plugin: who only checks a configuration needs no event loop.
    """

    def __init__(self) -> None:
        """Wait for the first."""
        self._lock: trio.Lock | None = None

    async def take(self, work: Callable[[], T], *, abandon: bool = False) -> T:
        """Return what *work* returns, when all before it are through.

        Args:
            work: may block.
            abandon: whether a cancelled caller leaves it behind, unfinished, instead of waiting for its end.
        """
        import trio  # noqa: PLC0415 - see the class

        if self._lock is None:
            self._lock = trio.Lock()
        async with self._lock:
            return await trio.to_thread.run_sync(work, abandon_on_cancel=abandon)
