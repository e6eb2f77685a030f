"""``headrace demo``: the shipped configuration and a sample morning, from the first event to balanced books."""

from __future__ import annotations

import copy
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import say, shipped, warn
from engine.cli.send import AsRate
from engine.config.load import Loaded, read
from engine.config.schema import Retry
from engine.plan import compile_plan
from engine.registry import Registry
from engine.units import Address, Backoff, Duration, Rate

if TYPE_CHECKING:
    import trio

    from engine.cli import House
    from engine.cli.serve import Ready
    from engine.cli.standin import StandIn
    from engine.client.send import Progress
    from engine.errors import Problem
    from engine.observe.balance import Equation
    from engine.observe.status import Status
    from engine.plan import Plan

SPEED = Rate("100/s")
RETRY = Retry(backoff=Backoff("100ms..1s"), window=Duration("5s"))
"""So that the end is reached in seconds."""
LOOK = 0.1
"""Seconds between two looks at the engine."""
PATIENCE = 20.0
"""Seconds after the last event in which everything must have found its fate."""
EXAMPLE = (
    '{"type":"track","event":"Demo Requested","userId":"u1","properties":{"company":"Me","seats":12,"email":"me"}}'
)


def put(app: App, house: House) -> None:
    """Put ``demo`` on *app*."""

    @app.command(name="demo")
    def demo(
        *,
        keep: Annotated[
            bool, Parameter(negative="", show_default=False, help="Leave it running afterwards, to try things.")
        ] = False,
        speed: Annotated[AsRate, Parameter(show_default=Rate.written, help="Events a second.")] = SPEED,
    ) -> int:
        """Run a sample morning of a small shop through Headrace, in a temporary folder.

        Events go in over WebSocket, and out to two webhooks and a file; one webhook is now and then unwell. At the end
        every event has a fate, and the books balance.

        Example: headrace demo --keep

        Args:
            keep: Leave it running afterwards.
            speed: Events a second.
        """
        import trio  # noqa: PLC0415 - most commands need none

        from engine.cli.serve import SWITCH  # noqa: PLC0415 - with trio
        from engine.observe.log import LEVEL, set_up  # noqa: PLC0415

        set_up(os.environ.get(LEVEL, "error"))
        sys.setswitchinterval(SWITCH)
        with tempfile.TemporaryDirectory(prefix="headrace-demo-") as folder:
            shown = Demo(house, Path(folder), speed or SPEED, keep=keep)
            trio.run(shown.run)
            return shown.code


class Demo:
    """One run of the demo.

    Attributes:
        code: the exit code: 0 if the books balance, 1 if not, 130 if it was interrupted before.
    """

    def __init__(self, house: House, folder: Path, speed: Rate, *, keep: bool) -> None:
        self.code = 130
        self.status: Status | None = None
        self.sent: Progress | None = None
        self._house = house
        self._folder = folder
        self._speed = speed
        self._keep = keep
        self._standin: StandIn
        self._all_sent = False
        self._rest: trio.Event

    async def run(self) -> None:
        """Start the stand-in and the engine, and end when the engine does."""
        import trio  # noqa: PLC0415 - with the engine

        from engine.cli.serve import serve  # noqa: PLC0415 - with trio
        from engine.cli.standin import StandIn  # noqa: PLC0415
        from engine.runtime.beside import Beside  # noqa: PLC0415

        self._standin, self._rest = StandIn(), trio.Event()
        async with Beside() as nursery:
            port: int = await nursery.start(self._standin.run)
            registry = Registry(self._house.builtin)

            def plan() -> Plan:
                shop = read(shipped("config.toml"), env=os.environ)
                return compile_plan(prepared(shop, f"http://127.0.0.1:{port}", self._folder), registry)

            # Read anew it is prepared anew: a saved file must not lead the demo off this machine.
            await serve(plan(), registry, self._house, self._beside, plan)

    async def _beside(self, ready: Ready) -> None:
        """Send the session beside the engine, wait for every fate, tell the books."""
        import trio  # noqa: PLC0415 - with the engine

        from engine.cli.screen import screen  # noqa: PLC0415 - with rich
        from engine.runtime.beside import Beside  # noqa: PLC0415 - with trio

        key = str(next(iter(ready.tree.plan.config.sources.values())).write_keys[0])
        say("a morning in a small shop: events go in over WebSocket, out to two webhooks and a file")
        sys.stdout.flush()
        with screen() as draw:
            async with Beside() as nursery:
                nursery.start_soon(self._watch, ready.tree, draw)
                await self._send(ready.receiver, key)
                self._all_sent = True
                with trio.move_on_after(PATIENCE):
                    await self._rest.wait()
            draw(self.lines())
        self._close()
        if self._keep and self.code == 0:
            self._invite(ready, key)
        else:
            ready.tree.stop()

    def moved(self, progress: Progress) -> None:
        """Take note of how far the client is."""
        self.sent = progress

    def lost(self, problem: Problem) -> None:
        """Tell of an event that was refused."""
        warn(str(problem))

    def lines(self) -> list[str]:
        """Return how it stands, a line each."""
        from engine.cli.screen import standing  # noqa: PLC0415 - with rich

        return standing(self.status, self.sent) if self.status else []

    async def _send(self, receiver: str, key: str) -> None:
        from engine.client.send import Target, send_lines  # noqa: PLC0415 - with trio

        target = Target(url=f"ws://{receiver}", write_key=key, rate=float(self._speed))
        session = shipped("session.ndjson")
        with session.open("rb") as file:
            await send_lines(file, session.name, target, self)

    async def _watch(self, tree: Any, draw: Callable[[list[str]], None]) -> None:
        """Look at the engine, draw what is seen, and say when nothing is left to be done, until cancelled."""
        import trio  # noqa: PLC0415 - with the engine

        while True:
            all_sent = self._all_sent
            self.status = await tree.operator.status()
            draw(self.lines())
            if all_sent and self._fair():
                self._rest.set()
            await trio.sleep(LOOK)

    def _fair(self) -> bool:
        """Return whether everything has a fate, and the books say so."""
        return self.status is not None and _at_rest(self.status) and all(line.balanced for line in self._books())

    def _books(self) -> list[Equation]:
        """Return the engine's books, and what the stand-in counted by itself."""
        from engine.observe.balance import Equation, equations  # noqa: PLC0415 - with the engine

        assert self.status is not None
        outside = [
            Equation(
                scope=f"arrived at {sync.destination}",
                came=(("delivered", sync.delivered),),
                went=(("arrived", self._arrived(sync.destination)),),
            )
            for sync in self.status.syncs
        ]
        return [*equations(self.status), *outside]

    def _arrived(self, destination: str) -> int:
        """Return how many deliveries a destination has, by its own count."""
        assert self.status is not None
        types = {each.name: each.type for each in self.status.destinations}
        if types[destination] == "webhook":
            return self._standin.arrived(destination)
        return sum(file.read_bytes().count(b"\n") for file in self._folder.glob("*.ndjson"))

    def _close(self) -> None:
        """Tell what the stand-in did, then the books; they decide the exit code."""
        from engine.cli.screen import ledger  # noqa: PLC0415 - with rich

        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self._standin.answers.items()))
        say(f"\nthe webhooks answered {answers}")
        say("what met 503 was tried again, 429 made one of them wait for a second, what met 400 is in the archive")
        say("\nthe books")
        for line in ledger(self._books()):
            say(f"  {line}")
        self.code = 0 if self._fair() else 1
        say("\nTHE BOOKS DO NOT BALANCE" if self.code else "\nevery event has a fate, and the books balance")

    def _invite(self, ready: Ready, key: str) -> None:
        say("\nit goes on until Ctrl-C; to try:")
        say(f"  curl http://{ready.receiver}/v1/track -u {key}: -H 'Content-Type: application/json' -d '{EXAMPLE}'")
        say(f"  headrace send events.ndjson --url ws://{ready.receiver} --key {key}")
        say(f"  http://{ready.console}/ in a browser, or: curl http://{ready.console}/api/v1/status")
        say(f"  tail -f {self._folder / 'events.ndjson'}")
        sys.stdout.flush()


def prepared(loaded: Loaded, url: str, folder: Path) -> Loaded:
    """Return *loaded* so that it stays on this machine: free ports, the stand-in for every webhook, files in *folder*.

    Args:
        loaded: the shipped configuration.
        url: of the stand-in; each webhook gets its destination's name as the path.
        folder: for the store and what destinations write.
    """
    tables = copy.deepcopy(loaded.tables)
    for name, table in tables["destinations"].items():
        if table["type"] == "webhook":
            table["url"] = f"{url}/{name}"
        elif "path" in table:
            table["path"] = str(folder / Path(table["path"]).name)
    replace = msgspec.structs.replace
    config, anywhere = loaded.config, Address("127.0.0.1:0")
    changed = replace(
        config,
        receiver=replace(config.receiver, listen=anywhere),
        console=replace(config.console, listen=anywhere, token=None),
        store=replace(config.store, path=str(folder)),
        destinations={
            name: replace(each, allow_private=True, retry=RETRY) for name, each in config.destinations.items()
        },
    )
    return replace(loaded, config=changed, tables=tables)


def _at_rest(status: Status) -> bool:
    """Return whether nothing is on its way."""
    return not (
        any(source.lag for source in status.sources)
        or any(sync.lag or sync.open or sync.pending or sync.oldest_pending for sync in status.syncs)
    )
