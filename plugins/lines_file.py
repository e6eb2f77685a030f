"""A file that lines are appended to, whole and durably, and that is rotated."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

_BLOCK = 1 << 16
_MODE = 0o640
"""Events are people's data: no business of every account on the machine."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a new file is begun.

    Attributes:
        size: bytes that a file may have, or None; one batch larger than that has a file to itself.
        every: seconds of a period, counted from the epoch in UTC; no file spans two. None for no periods.
        keep: old files that stay, ``PATH.1`` (the newest) to ``PATH.<keep>``.
    """

    size: int | None = None
    every: float | None = None
    keep: int = 10


class LinesFile:
    """Appends lines; blocks, so call it in a thread.

    Nothing is held between two calls. A lock on the file keeps two writers apart, also of different processes.

    Args:
        path: of the file; missing folders are made.
        rotation: when a new one is begun.
        wall: returns epoch seconds.
    """

    def __init__(self, path: Path, rotation: Rotation, wall: Callable[[], float]) -> None:
        """Keep the three; the file is not touched."""
        self._path = path
        self._rotation = rotation
        self._wall = wall

    def append(self, lines: Sequence[bytes]) -> None:
        """Write *lines*, each with its newline, and return when they are on the disk.

        When it fails, the file is as long as before: a line is never torn by us. One that a crash tore is cut off.

        Raises:
            OSError: the disk is full, the file is not ours to write, or is not one of lines.
        """
        data = b"".join(lines)
        with self._locked() as file:
            end = _whole_lines(file, self._path)
            if not self._is_due(file, end, len(data)):
                _write(file, data, end)
                return
            self._shift()
        # The new file is another one with a lock of its own; who waited for the old one looks again, as we do.
        with self._locked() as file:
            _write(file, data, _whole_lines(file, self._path))

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the file that has our path, and lock it."""
        while True:
            file = self._opened()
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_current(file):
                    yield file
                    return
            finally:
                os.close(file)

    def _opened(self) -> int:
        """Open the file, or make it and its folder, both durably."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            return os.open(self._path, flags)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, flags | os.O_CREAT, _MODE)
            _sync_folder(self._path.parent)
            return file

    def _is_current(self, file: int) -> bool:
        """Tell whether *file* still has our path, and was not moved away while we waited for its lock."""
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _is_due(self, file: int, size: int, more: int) -> bool:
        """Tell whether a new file must be begun before *more* bytes are written."""
        if not size:
            return False
        if self._rotation.size is not None and size + more > self._rotation.size:
            return True
        every = self._rotation.every
        return every is not None and os.fstat(file).st_mtime // every < self._wall() // every

    def _shift(self) -> None:
        """Move the file to ``.1``, that to ``.2`` and so on, up to the first number that is free."""
        numbered = [Path(f"{self._path}.{number}") for number in range(1, self._rotation.keep + 1)]
        free = next((index for index, path in enumerate(numbered) if not path.exists()), len(numbered) - 1)
        for index in range(free, 0, -1):
            numbered[index - 1].replace(numbered[index])
        self._path.replace(numbered[0])
        _sync_folder(self._path.parent)


def _whole_lines(file: int, path: Path) -> int:
    """Cut off a last line that a crash has torn, and return the file's length."""
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, 'is not a regular file; for a stream use type = "log"')
    size = status.st_size
    if not size or os.pread(file, 1, size - 1) == b"\n":
        return size
    end = _after_last_newline(file, size)
    tail = os.pread(file, size - end, end)
    if _is_json(tail):
        # Somebody's editor left the newline out; a line that we tore at just this place may stay as well.
        os.write(file, b"\n")
        return size + 1
    if not tail.startswith((b"{", b"\0")):  # zeros: a file system that kept the length, but not the bytes
        raise OSError(errno.EINVAL, f"does not end in a line of JSON, so it is not ours; move {path.name} away")
    os.ftruncate(file, end)
    return end


def _is_json(text: bytes) -> bool:
    """Tell whether *text* is JSON from end to end."""
    try:
        msgspec.json.decode(text)
    except ValueError:
        return False
    return True


def _after_last_newline(file: int, size: int) -> int:
    """Return where the last line begins, reading backwards."""
    end = size
    while end:
        start = max(0, end - _BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _write(file: int, data: bytes, end: int) -> None:
    """Append *data* to a file of *end* bytes, durably; when that fails, leave it as it was."""
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, end)
        raise


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
