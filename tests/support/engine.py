"""``headrace run`` in a process and a folder of its own, for tests of the whole."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from engine.observe.balance import equations
from engine.observe.status import Status
from tests.support.child import Child

LOOK = 0.05
"""Seconds between two looks at the status."""


class Running:
    """An engine that can be killed and started again on the same store and ports.

    Args:
        folder: for its configuration and store.
        text: what the configuration says beside ``[receiver]``, ``[console]`` and ``[sources.shop]``.
        drain: of the receiver.
        module: what is started, in place of the front door.
    """

    def __init__(self, folder: Path, text: str, *, drain: str = "5s", module: str = "engine") -> None:
        self.folder = folder
        self.receiver = self.console = "127.0.0.1:0"
        self._text = text
        self._drain = drain
        self._module = module
        self.env: dict[str, str] = {}
        """More of the environment, from the next start on."""
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where events go, by WebSocket."""
        return f"ws://{self.receiver}"

    @property
    def child(self) -> Child:
        """The process."""
        assert self._child is not None
        return self._child

    async def start(self) -> None:
        """Start it, and return when it accepts events; the next start is on the same ports."""
        (self.folder / "config.toml").write_text(
            f'[receiver]\nlisten = "{self.receiver}"\ndrain = "{self._drain}"\n[console]\nlisten = "{self.console}"\n'
            f'[sources.shop]\nwrite_keys = ["key"]\n{self._text}'
        )
        self.kill()
        self._child = Child(["run", "-c", "config.toml"], self.folder, self._module, self.env)
        events = await trio.to_thread.run_sync(self.child.until, "events:")
        console = await trio.to_thread.run_sync(self.child.until, "console:")
        self.receiver, self.console = (line.split("//")[1].partition("/")[0] for line in (events, console))

    def kill(self) -> None:
        """``kill -9``; returns when it is gone. Does nothing if it never ran."""
        if self._child is not None:
            self._child.kill()

    async def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        self.child.signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return await trio.to_thread.run_sync(self.child.wait)

    async def status(self) -> Status:
        """Ask the control endpoint."""
        return await trio.to_thread.run_sync(self._ask)

    def memory(self) -> int:
        """Return the bytes of memory it holds."""
        pages = Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    async def settled(self, seen: Callable[[Status], None] = lambda _status: None, within: float = 60.0) -> Status:
        """Return the status once every delivery has a fate.

        The one place that looks again and again: a test cannot know when the engine's last maintenance transaction was
        written, which is what the counts are as of.

        Args:
            seen: called with every look.
            within: seconds.
        """
        with trio.move_on_after(within):
            while True:
                status = await self.status()
                seen(status)
                if _at_rest(status):
                    return status
                await trio.sleep(LOOK)
        raise AssertionError(f"not settled within {within:g} s: {status}\n{self.child.errors()}")

    def _ask(self) -> Status:
        connection = http.client.HTTPConnection(self.console, timeout=10)
        try:
            connection.request("GET", "/api/v1/status")
            return msgspec.json.decode(connection.getresponse().read(), type=Status)
        finally:
            connection.close()


def _at_rest(status: Status) -> bool:
    """Return whether nothing is on its way, and the counts, which may be older than the rest, say so too."""
    counted = sum(one.passed + one.blocked + one.dropped + one.failed - one.derived for one in status.sources)
    passed = {one.name: one.passed for one in status.sources}
    on_the_way = any(sync.lag or sync.open or sync.pending or sync.oldest_pending for sync in status.syncs)
    read = all(sum(sync.filtered.values()) + sync.matched == passed[sync.source] for sync in status.syncs)
    return counted == status.last and read and not any(one.lag for one in status.sources) and not on_the_way


def unbalanced(status: Status, *, door: bool = True) -> list[str]:
    """Return the books that do not balance.

    Args:
        status: of an engine at rest.
        door: whether the engine is the store's first; if not, what the door counts since start says nothing.
    """
    lines = [line for line in equations(status) if door or line.scope.startswith(("sync", "deliveries"))]
    return [f"{line.scope}: {line.text()}" for line in lines if not line.balanced]
