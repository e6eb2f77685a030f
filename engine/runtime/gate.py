"""A gate that an operator shuts and opens: pausing is shared state of the tree, not a message."""

from __future__ import annotations

import trio


class Gate:
    """Open or shut; whoever comes to a shut gate waits. One who came through can be called back, until he has arrived.

    Attributes:
        shut: whether it is shut now.
        recalls: how often somebody was called back, or would have been.
    """

    __slots__ = ("_away", "_opened", "recalls", "shut")

    def __init__(self, *, shut: bool = False) -> None:
        self.shut = shut
        self.recalls = 0
        self._opened = trio.Event()
        self._away = trio.CancelScope()

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

    def leave(self) -> trio.CancelScope:
        """Return the scope of one who comes here, or has come through: `recall` ends it."""
        self._away = trio.CancelScope()
        return self._away

    def recall(self) -> None:
        """Call him back who came last, if he is still on his way: what he carries is not what it was."""
        self.recalls += 1
        self._away.cancel()
