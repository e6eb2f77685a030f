"""How much room there is, and when there is none."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

from engine.store.base import Retention, Usage


def free_bytes(folder: pathlib.Path) -> int:
    """Return what the disk under *folder* has left for us, in bytes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


class Room:
    """Decides whether events may be accepted; all sizes in bytes.

    Args:
        reserve: of the disk, kept for outcomes and cursors.
        size: what the store may use; 0 for no limit. Retention's size replaces it.
        free: what the disk has left.
    """

    def __init__(self, reserve: int, size: int, free: Callable[[], int]) -> None:
        self._reserve = reserve
        self._size = size
        self._free = free
        self._stuck = False
        self.archived = 0
        """Bytes of the archive, as of the last trim: it has limits of its own, and is no part of `size`."""
        self.noted = 0
        """Bytes of `archived` that are entries of broken contracts."""
        self.zeros = 0
        """Bytes by which free pages are being overwritten: in use for a while, and nobody's."""
        self._usage = Usage(used=0, free=0)

    @property
    def usage(self) -> Usage:
        """How full it was at the last look; looks again at the disk if it was full, or no one would notice new room."""
        if self._usage.full:
            self.look(self._usage.used + self.zeros)
        return self._usage

    def look(self, used: int) -> None:
        """Look again, with *used* bytes in use."""
        free = self._free()
        used = max(used - self.zeros, 0)
        over = used - self.archived > self._size > 0
        self._stuck = self._stuck and over
        self._usage = Usage(used=used, free=free, full=self._why(used, free), pinned=self._stuck, over=over)

    def full(self) -> str:
        """Return why nothing more can be accepted, or "".

        Always asks the disk, which takes a microsecond: others fill it, too, and a commit of the log that finds no room
        is the end of the engine.
        """
        if self._usage.full or self._free() <= self._reserve:
            self.look(self._usage.used + self.zeros)
        return self._usage.full

    def over(self, retention: Retention) -> bool:
        """Return whether more is in use than *retention* wants."""
        return 0 < retention.size < self._usage.used - self.archived

    def trimmed(self, retention: Retention, gone: int) -> None:
        """Learn that a trim let *gone* log rows go: none at all, and too much in use, means that there is no room."""
        self._size = retention.size
        self._stuck = not gone and self.over(retention)
        self.look(self._usage.used)

    def _why(self, used: int, free: int) -> str:
        if free <= self._reserve:
            return f"the disk has {free} bytes left, and {self._reserve} are the reserve; make room on the disk"
        if self._stuck:
            return (
                f"the store uses {used - self.archived} of {self._size} bytes "
                "and every event in it still waits for a destination; let the destinations catch up, or raise the size"
            )
        return ""
