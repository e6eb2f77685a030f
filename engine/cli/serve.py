"""``headrace run``: the engine, until a signal ends it."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from cyclopts import App, Parameter

from engine.cli.common import DEFAULT, ConfigFile, data_folder, read_plan, say
from engine.errors import HeadraceError
from engine.plan import Plan
from engine.registry import Registry
from engine.units import Address

if TYPE_CHECKING:
    from engine.cli import House

Init = Annotated[bool, Parameter(name="--init", negative="", show_default=False)]
SWITCH = 0.0005
"""Seconds a thread may hold the interpreter: the writer waits for it at each commit, and 5 ms would be its latency."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a started engine tells: where it listens, and its parts for whoever runs beside it."""

    receiver: str
    console: str
    tree: Any


def put(app: App, house: House) -> None:
    """Put ``run`` on *app*."""

    @app.command(name="run")
    def run(*, config: ConfigFile = DEFAULT, init: Init = False) -> int:
        """Run the engine until SIGTERM, which drains; a second one ends it at once.

        Example: headrace run -c config.toml

        Args:
            config: The configuration file.
            init: Begin with an empty one if there is none, and set it up in the console.
        """
        _found(config, init=init)
        plan, registry = read_plan(config, house, secrets=True)
        for problem in plan.warnings:
            sys.stderr.write(f"{problem}\n")
        start(plan, registry, house, _announce)
        return 0


def _found(config: Path, *, init: bool) -> None:
    """Make sure that there is a configuration; only who says so begins with an empty one.

    A mistyped name, or a folder that was not mounted, must not become an engine that takes nobody's events.

    Raises:
        HeadraceError: there is none, or it cannot be written.
    """
    from engine.config.draft import HEAD  # noqa: PLC0415 - only where it is needed
    from engine.config.keeping import begin  # noqa: PLC0415

    if init:
        begin(config, HEAD)
    elif not config.exists():
        raise HeadraceError(
            f"there is no file {config}\n    name another with -c FILE, or begin with one: headrace run --init"
        )


async def _announce(ready: Ready) -> None:
    say(f"events:  ws://{ready.receiver}/v1/stream and http://{ready.receiver}/v1/batch")
    say(f"console: http://{ready.console}/")
    if not ready.tree.plan.syncs:
        say(f"nothing is set up yet: open http://{ready.console}/setup")
    sys.stdout.flush()


def start(plan: Plan, registry: Registry, house: House, beside: Callable[[Ready], Awaitable[None]]) -> None:
    """Run an engine to its end; *beside* is called once it accepts events.

    Raises:
        StoreError: the store cannot be opened.
        TooManyRestarts: a trunk actor could not be kept alive.
    """
    import trio  # noqa: PLC0415 - what only checks a configuration starts without it

    from engine.observe.log import set_up  # noqa: PLC0415
    from engine.runtime import heap  # noqa: PLC0415

    set_up()
    sys.setswitchinterval(SWITCH)
    heap.share_one()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:  # most shells allow 1,024 open files, and each connection is one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # who asks for a reload before it is heard must not end the engine
    trio.run(serve, plan, registry, house, beside)


async def serve(
    plan: Plan,
    registry: Registry,
    house: House,
    beside: Callable[[Ready], Awaitable[None]],
    reread: Callable[[], Plan] | None = None,
) -> None:
    """Open the store, start the tree, and wait for its end, by signal or failure.

    Args:
        plan: what to run.
        registry: of the plugins.
        house: makes the tree.
        beside: called once events are accepted.
        reread: returns the plan as it is now, for a reload; as its file says if not given.
    """
    import trio  # noqa: PLC0415 - as in `start`

    from engine.runtime.beside import Beside  # noqa: PLC0415
    from engine.runtime.notify import Notifier  # noqa: PLC0415
    from engine.runtime.signals import listen  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        tree = await _grow(plan, registry, house, stack)
        tree.reloader.reread = reread or partial(_reread, Path(plan.loaded.file), house)
        await _probe("receiver", plan.config.receiver.listen)
        await _probe("console", plan.config.console.listen)
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked through at every collection
        ended = trio.Event()
        nursery = await stack.enter_async_context(Beside())
        notifier = Notifier(os.environ, tree.clock)
        tree.reloader.begins, tree.reloader.ends = notifier.reloading, notifier.ready

        def stop() -> None:
            notifier.stopping()
            tree.stop()

        await nursery.start(partial(listen, stop=stop, stop_now=tree.stop_now, reload=tree.reloader.ask))
        await nursery.start(partial(_run, tree, ended))
        ready = Ready(receiver=await tree.receiver.address(), console=await tree.console.address(), tree=tree)
        notifier.ready()
        nursery.start_soon(notifier.live)
        nursery.start_soon(beside, ready)
        await ended.wait()


async def _run(tree: Any, ended: Any, *, task_status: Any) -> None:
    """Run the tree, and say when it ended; an error leaves by the nursery."""
    await tree.run(task_status=task_status)
    ended.set()


async def _grow(plan: Plan, registry: Registry, house: House, stack: AsyncExitStack) -> Any:
    """Return a tree on an opened store, which *stack* closes."""
    from engine.cli.departed import archive_departed  # noqa: PLC0415
    from engine.cli.former import former_plan, remembered  # noqa: PLC0415
    from engine.runtime.clock import SystemClock  # noqa: PLC0415
    from engine.store.base import Retention  # noqa: PLC0415
    from engine.store.opening import open_store  # noqa: PLC0415
    from engine.store.revisions import Reached, keep_revision  # noqa: PLC0415
    from engine.store.seen import Seen  # noqa: PLC0415
    from engine.store.start import Wish, begin  # noqa: PLC0415

    settings, dedup, clock = plan.config.store, plan.config.receiver.dedup, SystemClock()
    size = int(settings.retention.size)
    store = await open_store(settings.kind, data_folder(plan.loaded), reserve=int(settings.reserve), size=size)
    stack.push_async_callback(store.aclose)
    clock.resume(max((one.received_at for one in await store.accepted(0.0, 1)), default=0.0))
    retention = Retention(
        age=settings.retention.age,
        size=size,
        archive_age=settings.archive.age,
        archive_size=settings.archive.size,
    )
    wishes = [
        Wish(sync=sync.name, source=sync.source, destination=sync.destination, start=sync.start, was=sync.was)
        for sync in plan.syncs.values()
    ]
    old = await former_plan(store, plan, registry)
    if old is not None:
        await archive_departed(store, old, wishes, clock.wall())
    beginning = await begin(store, wishes, plan.sources.keys(), Seen(dedup.window, dedup.max), retention, clock.wall())
    former = await remembered(store, old, plan, beginning)
    beginning = msgspec.structs.replace(beginning, eras=former.eras, known=former.known)
    loaded, syncs = plan.loaded, {name: page.high for name, page in beginning.progress.items()}
    reached = Reached(syncs=syncs, sources={name: beginning.cursor(name) for name in plan.sources})
    await keep_revision(
        store, clock.wall(), digest=loaded.digest, text=loaded.text, tables=loaded.tables, reached=reached
    )
    return house.tree(plan, store, beginning, clock, registry.sources(), random.random)


def _reread(config: Path, house: House) -> Plan:
    """Return the plan of a configuration as it is now.

    Raises:
        ConfigError: with every problem.
    """
    return read_plan(config, house, secrets=True)[0]


async def _probe(table: str, address: Address) -> None:
    """Refuse an address that cannot be listened on, before any actor tries it again and again.

    Raises:
        HeadraceError: says which, and where to change it.
    """
    import trio  # noqa: PLC0415 - as in `start`

    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        hint = f"stop who listens there, or change [{table}] listen"
        raise HeadraceError(f"cannot listen on {address}: {error.strerror or error}\n    {hint}") from None
    for listener in listeners:
        await listener.aclose()
