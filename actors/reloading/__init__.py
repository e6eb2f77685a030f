"""The reloader: reads the configuration again when somebody asks, or when it has changed, and lets it take effect.

A file that is wrong is refused whole. Reading and compiling happen in a thread; what is at work is touched only when
all of it is known to be good.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import trio

from actors.reloading.swap import Refused, Swap
from engine.config.watch import fingerprint, is_stale
from engine.errors import ConfigError, HeadraceError
from engine.observe.reloaded import Reloaded
from engine.plan import Plan
from engine.plan.diff import compare
from engine.runtime.bell import Bell

if TYPE_CHECKING:
    from actors.tree import Tree

LOOK = 2.0
"""Seconds between two looks at the files; one that changed is taken when the next look finds it the same."""

log = structlog.get_logger()


class _Turn(msgspec.Struct):
    """One who asked."""

    over: trio.Event
    made: Reloaded | None = None


class Reloader:
    """Makes one reload after the other.

    Args:
        tree: what runs.

    Attributes:
        reread: reads and compiles the configuration as it is now; runs in a thread. None: it is never read again.
        begins, ends: called before and after each reload: somebody may wait for the second.
        refused: what is wrong with the configuration as it was last read, or "".
    """

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.reread: Callable[[], Plan] | None = None
        self.aside: Callable[..., Awaitable[Any]] = trio.to_thread.run_sync
        """Runs what takes long where it holds up nobody."""
        self.begins: Callable[[], None] = _nobody
        self.ends: Callable[[], None] = _nobody
        self.refused = ""
        self._turns: list[_Turn] = []
        self._asked = False
        self._bell = Bell()
        self._stopping = False
        self._broken: Exception | None = None
        self._taken = ""
        self._seen = ""
        self._wanted: tuple[str, ...] = ()
        """Files of the configuration that was refused: one that is not at work yet may be mended there."""

    async def run(self) -> None:
        """Reload when asked, and when files have changed, until told to stop.

        Once a reload has broken off half-way nobody knows what runs: then this dies at each start, and so is given up.
        """
        if self._broken is not None:
            raise self._broken
        self._taken = await self._look()
        if self.reread is not None and await self.aside(is_stale, self.tree.plan.loaded):
            self._taken = "what was read when the engine began"
        while True:
            watched = self.reread is not None and self.tree.plan.config.reload.watch
            await self._bell.wait(LOOK if watched else math.inf)
            if self._stopping:
                break
            if self._asked or (watched and await self._is_new()):
                await self._answer()
        for turn in self._turns:
            turn.over.set()

    def stop(self) -> None:
        """Begin no other reload."""
        self._stopping = True
        self._bell.ring()

    def ask(self) -> None:
        """Ask for a reload; several that are asked for at once are one."""
        self._asked = True
        self._bell.ring()

    async def reload(self) -> Reloaded:
        """Ask for a reload, and return what came of it."""
        turn = _Turn(over=trio.Event())
        self._turns.append(turn)
        self.ask()
        await turn.over.wait()
        return turn.made or Reloaded(refused="the engine stops; nothing was reloaded")

    async def _answer(self) -> None:
        """Reload once, and tell all who asked before."""
        turns, asked, self._turns, self._asked = self._turns, self._asked, [], False
        made = Reloaded(refused="it broke off half-way: the engine ends, and begins with this configuration")
        self.begins()
        try:
            self._taken = await self._look()
            made = await self._reload()
        finally:
            if not self._stopping:
                self.ends()
            for turn in turns:
                turn.made = made
                turn.over.set()
        news, self.refused = made.refused != self.refused, made.refused
        if made.refused and (asked or news):
            log.error("reload.refused", problems=made.refused, consequence="the engine goes on with what it has")
        elif not made.refused:
            log.info("reload.done", changes=list(made.changes), restart=list(made.restart), revision=made.revision)

    async def _reload(self) -> Reloaded:
        if self.reread is None:
            return Reloaded(refused="this engine was not started from a file")
        if full := self.tree.store.usage().full:
            return Reloaded(refused=f"the store is full: {full}\n    reload when it has room again")
        self._wanted = ()
        try:
            plan = await self.aside(self.reread)
            self._wanted = tuple(plan.loaded.files)
            swap = Swap(self.tree, plan, compare(self.tree.plan, plan))
            await swap.prepare()
        except ConfigError as error:
            self._wanted = error.files
            return Reloaded(refused=str(error))
        except (HeadraceError, Refused) as error:
            return Reloaded(refused=str(error))
        except Exception as error:
            log.exception("reload.failed")
            return Reloaded(refused=f"the configuration cannot be compiled: {type(error).__name__}: {error}")
        try:
            return await swap.run()
        except Exception as error:
            if swap.begun:
                self._broken = error
                raise
            log.exception("reload.failed")
            return Reloaded(refused=f"the reload could not begin: {type(error).__name__}: {error}")

    async def _look(self) -> str:
        if self.reread is None:
            return ""
        loaded = self.tree.plan.loaded
        found: str = await self.aside(fingerprint, loaded, self._wanted)
        return found

    async def _is_new(self) -> bool:
        """Return whether the files are other than those that were taken, and the same as at the last look."""
        before, self._seen = self._seen, await self._look()
        return self._seen not in (self._taken, "") and self._seen == before


def _nobody() -> None:
    """Nobody waits."""
