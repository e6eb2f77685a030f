"""A file of JSON lines on this machine, on the disk before it counts as delivered."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec

from engine.plugin import (
    Delivery,
    Destination,
    Duration,
    EventType,
    Item,
    Limits,
    Problem,
    Settings,
    SettingsError,
    Size,
    Verdict,
)
from plugins.lines_file import LinesFile, Rotation
from plugins.ndjson import delivery_line, payload_line
from plugins.turns import Turns

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileSettings(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which file, what a line holds, and when a new file is begun."""

    path: str
    """The file, relative to the folder the engine was started in; missing folders are made."""
    format: Literal["delivery", "payload"] = "delivery"
    """``delivery``: key, sync, event_type, message_id and payload; ``payload``: the payload alone."""
    rotate: Size | None = None
    """Bytes after which a new file is begun, for example ``"100 MiB"``; the old one becomes ``PATH.1``."""
    rotate_every: Duration | None = None
    """A new file is begun whenever such a period begins, counted in UTC: ``"1d"`` is at midnight."""
    keep: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    """How many old files stay; the oldest are deleted."""
    batch: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256
    """Lines written together, with one fsync."""


class File(Destination[FileSettings]):
    """Appends one line for each delivery.

    Every batch opens the file anew and lets it go: one that was moved away, or is shared with another destination,
    is met as it is. An attempt that began is finished even when its ``timeout`` is over, since a half-written batch
    would help nobody; a disk that hangs therefore holds the attempt up.
    """

    Settings = FileSettings
    event_types: ClassVar[Mapping[str, EventType]] = {
        "custom": EventType(label="Custom", help="Any JSON object; one line for each."),
    }
    limits = Limits(batch=10_000, batch_bytes=4 << 20, ordered_batch=True)

    def __init__(self, settings: FileSettings, name: str, wall: Callable[[], float] = time.time) -> None:
        """Take *settings*; the file is opened by the first batch.

        Args:
            settings: as in config.toml.
            name: the destination's own.
            wall: returns epoch seconds, for ``rotate_every``.

        Raises:
            SettingsError: a path without a file's name, or a size or period of nothing.
        """
        super().__init__(settings, name)
        if problems := list(_problems(settings)):
            raise SettingsError(problems)
        rotation = Rotation(size=settings.rotate, every=settings.rotate_every, keep=settings.keep)
        self._file = LinesFile(Path(settings.path), rotation, wall)
        self._line = delivery_line if settings.format == "delivery" else payload_line
        self._turns = Turns()

    def bounds(self) -> Limits:
        """Return the limits with the batch that the settings ask for."""
        return msgspec.structs.replace(self.limits, batch=self.settings.batch)

    async def send(self, batch: Sequence[Delivery]) -> Sequence[Item]:
        """Write a line for each of *batch* and wait until they are on the disk: all of them, or none."""
        lines = [self._line(delivery) for delivery in batch]
        try:
            await self._turns.take(partial(self._file.append, lines))
        except OSError as error:
            return [_later(self.settings.path, error)] * len(batch)
        return [Item(verdict=Verdict.DELIVERED)] * len(batch)

    async def aclose(self) -> None:
        """Do nothing: no file is open between two batches."""


def _problems(settings: FileSettings) -> Iterator[Problem]:
    """Yield what cannot work."""
    if not Path(settings.path).name:
        hint = "write it like data/events.ndjson"
        yield Problem(where="path", what=f"{settings.path!r} does not name a file", hint=hint)
    for key in ("rotate", "rotate_every"):
        value = getattr(settings, key)
        if value is not None and value <= 0:
            hint = "leave it out for one file that only grows"
            yield Problem(where=key, what="must be more than nothing", hint=hint)


def _later(path: str, error: OSError) -> Item:
    """Say why the disk did not take a batch; it is tried again, since a person can mend each of these."""
    if error.errno in _FULL:
        message = f"{path}: no room on the disk ({error.strerror}); make room, what waits is written then"
        return Item(verdict=Verdict.RETRY, reason="disk_full", message=message)
    return Item(verdict=Verdict.RETRY, reason="file_failed", message=f"{path}: {error.strerror or error}")
