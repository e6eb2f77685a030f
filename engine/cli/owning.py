"""Changing a store: through the engine that runs on it or, if none runs, as its owner for a moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.cli.asking import NotRunning
from engine.cli.common import data_folder, read_config
from engine.errors import HeadraceError

if TYPE_CHECKING:
    from engine.store.base import Store

T = TypeVar("T")


def changed(config: Path, online: Callable[[], T], offline: Callable[[Store], Awaitable[T]]) -> T:
    """Return what *online* says of the running engine, or what *offline* does to the store of one that does not run.

    Raises:
        HeadraceError: neither an engine nor a store of its is there; or the engine refused.
    """
    try:
        return online()
    except NotRunning as nobody:
        return owned(config, offline, nobody)


def owned(config: Path, act: Callable[[Store], Awaitable[T]], nobody: NotRunning) -> T:
    """Return what *act* does to the store, whose owner is this process meanwhile.

    Raises:
        HeadraceError: there is no store in a file, or somebody else has it.
    """
    import trio  # noqa: PLC0415 - only where no engine runs

    from engine.store.opening import open_reader, open_store  # noqa: PLC0415

    loaded = read_config(config, secrets=False)
    settings = loaded.config.store
    if settings.kind == "memory":
        raise HeadraceError(f"{nobody}\n    a store in memory ends with its engine") from None
    open_reader(data_folder(loaded)).close()  # says that there is no store, where opening would make one

    async def run() -> T:
        store = await open_store(settings.kind, data_folder(loaded), reserve=int(settings.reserve))
        try:
            return await act(store)
        finally:
            await store.aclose()

    return trio.run(run)
