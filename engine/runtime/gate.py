"""A gate that an operator shuts and opens: pausing is shared state of the tree, not a message."""

from __future__ import annotations

import trio


class Gate:
    """Open or shut; whoever comes to a shut gate waits.

    Attributes:
        shut: whether it is shut now.
    """

    __slots__ = ("_opened", "shut")

    def __init__(self, *, shut: bool = False) -> None:
        self.shut = shut
        self._opened = trio.Event()

    async def wait(self) -> None:
        """Return when the gate is open; not a checkpoint if it is."""
        while self.shut:
            await self._opened.wait()

    def close(self) -> None:
        """Shut it, for everybody who comes from now on; nothing changes if it is."""
        if not self.shut:
            self.shut = True
            self._opened = trio.Event()

    def open(self) -> None:
        """Open it, and let everybody through who waits."""
        self.shut = False
        self._opened.set()
