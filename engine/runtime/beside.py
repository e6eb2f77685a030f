"""Tasks beside a block: a nursery that ends with the block it belongs to."""

from __future__ import annotations

from types import TracebackType

import trio


class Beside:
    """``async with Beside() as nursery``: what runs in the nursery is cancelled when the block ends.

    An error of a task cancels the block and leaves from it; a lone error leaves as itself, not in a group.
    """

    def __init__(self) -> None:
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> trio.Nursery:
        """Open the nursery."""
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Cancel the tasks and wait for their end."""
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        try:
            return await self._manager.__aexit__(kind, error, trace)
        except ExceptionGroup as group:
            lone = _alone(group)
            if lone is group:
                raise
            raise lone from None


def _alone(error: Exception) -> Exception:
    """Return the only error in groups of one, however deep: a scope that was cancelled as well wraps it once more."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
