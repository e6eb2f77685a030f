"""The reader, one per source of type ``file``: hands what is appended to it to the intake, and remembers its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import trio

from actors.receiver.doors import Door
from actors.receiver.frames import Frame
from actors.receiver.intake import MOST, Intake
from engine.errors import StoreFull
from engine.plugin import Filed
from engine.store.base import Store

LOOK: Final = 0.5
"""Seconds between two looks at a file that has not grown."""
FULL: Final = 1.0
"""Seconds between two looks at a store that has no room."""
LONGEST: Final = 16 << 20
"""Bytes of a line at most; what is longer is taken in pieces, which are refused."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was read: everything before *offset* is durable or refused."""

    offset: int = 0


class Reader:
    """Follows one file until it is stopped.

    Args:
        door: of the source.
        path: the file; it may come later.
        plugin: makes events of its lines.
        intake: what they are submitted to.
    """

    def __init__(self, door: Door, path: Path, plugin: Filed, intake: Intake) -> None:
        self._door = door
        self._path = path
        self._plugin = plugin
        self._intake = intake
        self._store: Store = intake.store
        # As it is written: two folders may each have a file of that name.
        self._named: str = getattr(door.plan.doorway.settings, "path", path.name)
        self._key = f"file:{door.plan.name}:{self._named}"
        self._stopping = trio.CancelScope()

    async def run(self) -> None:
        """Read until `stop`.

        Raises:
            StoreError: the store has failed.
        """
        with trio.CancelScope() as self._stopping:
            place = await self._remembered()
            while True:
                enabled = self._door.plan.enabled  # if not, all would be refused, and never be read again
                lines = await trio.to_thread.run_sync(_lines, self._path, place.offset) if enabled else None
                if lines is None or not self._door.plan.enabled:
                    await self._intake.clock.sleep(LOOK)
                    continue
                began, found = lines
                items = [self._plugin.item(line.strip(), self._named, began + at) for at, line in found if line.strip()]
                await self._submit(Frame(items=tuple(items)))
                place = Place(offset=began + found[-1][0] + len(found[-1][1]))
                await self._remember(place)

    def stop(self) -> None:
        """Read no more; what is on its way to the disk may be read again, and is recognised."""
        self._stopping.cancel()

    async def _submit(self, frame: Frame) -> None:
        if not frame.items:
            return
        settled = trio.Event()
        errors: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                errors.append(error)
            settled.set()

        while True:
            try:
                verdict = self._intake.submit(self._door, [frame], done)
            except StoreFull:
                await self._intake.clock.sleep(FULL)
                continue
            break
        if verdict.waits:
            await settled.wait()
        if errors:
            raise errors[0]

    async def _remembered(self) -> Place:
        stored = await self._store.meta.get(self._key)
        return msgspec.json.decode(stored[0], type=Place) if stored else Place()

    async def _remember(self, place: Place) -> None:
        stored = await self._store.meta.get(self._key)
        await self._store.meta.put(self._key, msgspec.json.encode(place), stored[1] if stored else 0)


def _lines(path: Path, offset: int) -> tuple[int, list[tuple[int, bytes]]] | None:
    """Return where the next whole lines begin, and each with its distance from there; None if there are none.

    A file that is shorter than it was is a new one, and read from its beginning.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            offset = offset if offset <= size else 0
            file.seek(offset)
            found: list[tuple[int, bytes]] = []
            at = 0
            while len(found) < MOST and at < LONGEST:
                line = file.readline(LONGEST)
                if not line.endswith(b"\n") and len(line) < LONGEST:
                    break  # nothing, or a line that is still being written
                found.append((at, line))
                at += len(line)
    except FileNotFoundError:
        return None
    return (offset, found) if found else None
