"""``headrace doctor``: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import re
import resource
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from engine import __version__
from engine.cli.asking import Late, Refusal
from engine.cli.common import (
    DEFAULT,
    AsJson,
    ConfigFile,
    columns,
    counted,
    data_folder,
    read_plan,
    say,
    say_json,
)
from engine.errors import ConfigError, Problem, StoreError
from engine.observe.findings import (
    Finding,
    bad,
    of_books,
    of_clock,
    of_cursors,
    of_disk,
    of_engine,
    of_files,
    of_modes,
    of_versions,
    ok,
    warn,
)

if TYPE_CHECKING:
    from engine.cli import House
    from engine.config.load import Loaded
    from engine.store.sqlite.examined import Examined
    from engine.units import Address

MOMENT = 1.0
"""Seconds between two looks at a running engine."""


def put(app: App, house: House) -> None:
    """Put ``doctor`` on *app*."""

    @app.command(name="doctor")
    def doctor(
        *,
        config: ConfigFile = DEFAULT,
        deep: Annotated[bool, Parameter(negative="", show_default=False)] = False,
        json: AsJson = False,
    ) -> int:
        """Look at configuration, store, books, disk, permissions, clock and engine, and say what to do.

        The engine may run or not; nothing is changed. Exits 1 if something is bad.

        Example: headrace doctor --deep

        Args:
            config: The configuration file.
            deep: Read the whole store, also a big one, and hold its indexes against the tables.
            json: Print JSON, for machines.
        """
        found = list(examined(config, house, deep=deep))
        if json:
            say_json(found)
        else:
            show(found)
        return int(any(one.verdict == "bad" for one in found))


def show(found: list[Finding]) -> None:
    """Print each finding, and below it what to do."""
    lines = columns([(one.verdict, one.what, one.text) for one in found], left=3)
    for one, line in zip(found, lines, strict=True):
        say(line)
        if one.hint:
            say(f"      {one.hint}")


def examined(file: Path, house: House, *, deep: bool) -> Iterator[Finding]:
    """Yield all that was found."""
    yield from _versions()
    try:
        plan, _ = read_plan(file, house, secrets=True)
    except ConfigError as error:
        for problem in error.problems:
            yield bad("config", _first_line(problem), problem.hint or "headrace check shows it with its line")
        return
    for one in plan.warnings:
        yield warn("config", _first_line(one), one.hint)
    if not plan.warnings:
        counts = (counted(len(plan.sources), "source"), counted(len(plan.syncs), "sync"))
        yield ok("config", f"{file}: {', '.join(counts)}")
    loaded = plan.loaded
    yield from _engine(file, loaded)
    yield from _store(loaded, deep=deep)
    yield from of_modes(*_modes(loaded))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield of_files(soft, hard, loaded.config.receiver.limits.connections)


def _first_line(problem: Problem) -> str:
    return str(problem).partition("\n")[0]


def _versions() -> Iterator[Finding]:
    """Yield whether what the engine stands on is there, as the installed package asks for it."""
    yield ok("versions", f"Headrace {__version__}, Python {sys.version.partition(' ')[0]}")
    try:
        needed = [one for one in metadata.requires("headrace") or [] if ";" not in one]
    except metadata.PackageNotFoundError:
        yield ok("versions", "run from a checkout: its packages were not looked at")
        return
    asked = {one[1]: one[2] for line in needed if (one := re.match(r"([\w.-]+)[^>]*>=([\d.]+)", line))}
    yield from of_versions(asked, {name: version for name in asked if (version := _installed(name))})


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _engine(file: Path, loaded: Loaded) -> Iterator[Finding]:
    """Yield what the engine says, or whether one could start."""
    from engine.cli.status import read_status  # noqa: PLC0415 - needs the store's tables

    try:
        before = read_status(file)
    except Refusal as error:
        yield bad("engine", f"it answers, and refuses: {error}", "look at [console] token")
        return
    except Late as error:
        yield bad("engine", str(error).partition("\n")[0], "its log says what it does; headrace top shows what waits")
        return
    except StoreError:
        before = None
    yield from of_engine(before) if before else [ok("engine", "not running, and there is no store yet")]
    if before and before.running:
        time.sleep(MOMENT)
        after = read_status(file)
        yield from of_cursors(before, after) if after.running else ()
    else:
        console, receiver = loaded.config.console.listen, loaded.config.receiver.listen
        yield from (_port(name, address) for name, address in (("receiver", receiver), ("console", console)))
    if before:
        yield from of_books(before)


def _port(name: str, address: Address) -> Finding:
    """Return whether somebody could listen there."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((address.host, address.port))
        except OSError as error:
            hint = f"stop who listens there, or change [{name}] listen"
            return bad("ports", f"{name} cannot listen on {address}: {error.strerror or error}", hint)
    return ok("ports", f"{name} can listen on {address}")


def _store(loaded: Loaded, *, deep: bool) -> Iterator[Finding]:
    """Yield what the store's file looks like."""
    from engine.store.opening import examine  # noqa: PLC0415 - as in `_engine`

    settings = loaded.config.store
    if settings.kind != "sqlite":
        yield warn("store", "it is in memory: events are gone when the engine ends", 'set [store] kind = "sqlite"')
        return
    folder = data_folder(loaded)
    if not folder.exists():
        yield ok("store", f"{folder} is made when the engine first runs")
        return
    try:
        found = examine(folder, deep=deep)
    except StoreError as error:
        if any(folder.glob("headrace.db")):
            yield bad("store", str(error), "keep a copy of the folder before anything else")
        else:
            yield ok("store", str(error))
        return
    yield from _pages(found, deep=deep)
    sizes, reserve = (int(settings.retention.size), int(settings.archive.size)), int(settings.reserve)
    limit = sum(sizes) if all(sizes) else 0  # 0 is no limit
    yield from of_disk(used=found.used, free=found.free, reserve=reserve, limit=limit, log=found.log)
    yield of_clock(time.time(), found.newest)


def _pages(found: Examined, *, deep: bool) -> Iterator[Finding]:
    for text in found.damage or ():
        hint = "keep a copy of the folder, then restore a backup; headrace backup makes them"
        yield bad("store", f"{found.file} is damaged: {text}", hint)
    if found.damage is None:
        yield ok("store", f"{found.file} is big, and its pages were not looked at: --deep reads all of it")
    elif not found.damage:
        yield ok("store", f"{found.file} is whole, {'indexes too' if deep else 'page by page'}")
    if found.schema < found.known:
        text = f"schema {found.schema}, an older Headrace's"
        yield warn("store", text, f"the next start of the engine makes it schema {found.known}; make a backup before")
    else:
        yield ok("store", f"schema {found.schema}, today's")


def _modes(loaded: Loaded) -> tuple[dict[str, int], list[str]]:
    """Return the permission bits of what holds secrets or events, and which of them hold nothing but a secret."""
    tls = loaded.config.receiver.tls
    secret = [loaded.folder / path for path in _secret_files(loaded.tables)]
    secret += [loaded.folder / tls.key] if tls else []
    paths = [path for path in (*secret, data_folder(loaded)) if path.exists()]
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in paths}
    return modes, list(map(str, secret))


def _secret_files(value: Any) -> Iterator[str]:
    """Yield the paths of all secrets that lie in files."""
    if isinstance(value, str):
        if value.startswith("file:"):
            yield value[5:]
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secret_files(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secret_files(inner)
