"""The unused middle of a page, between the list of its cells and the cells, where SQLite leaves copies of moved rows.

``secure_delete`` overwrites a row where it is deleted. But rows that move to another page when theirs is laid out anew
(btree.c, ``rebuildPage``; seen with SQLite 3.40) stay in the old page's gap as well, and nobody deletes them there.
No bytes of a gap are ever read as anything, so they are overwritten in the file itself, beside whoever reads.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Final

from engine.errors import StoreError

HEADERS: Final = {2: 12, 5: 12, 10: 8, 13: 8}
"""Bytes of a page's header by its first byte, which tells its kind (https://www.sqlite.org/fileformat2.html, 1.6)."""
TELLING: Final = 2 << 24
"""Pages up to which the first byte tells: pages of long rows begin with a page's number, of four bytes. 256 GiB."""
AT_ONCE: Final = 128
"""Pages that are read together: 1 MiB."""


class Gaps:
    """Finds and overwrites them.

    Args:
        file: the database; must exist.
        page: bytes of a page.
    """

    def __init__(self, file: pathlib.Path, page: int) -> None:
        self._file = file
        self._page = page
        self._handle = os.open(file, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the file; only when no connection of this process has it open any more.

        Closing a file lets go of all locks that the process has on it, SQLite's too
        (https://www.sqlite.org/howtocorrupt.html, 2.2).
        """
        os.close(self._handle)

    def find(self) -> list[int] | None:
        """Return which pages have something in their gap, from 0 on; None if there are too many pages to tell.

        The first page is left out: it has the schema and nothing else.

        Raises:
            StoreError: the disk failed.
        """
        with self._explained():
            pages = os.fstat(self._handle).st_size // self._page
            return None if pages >= TELLING else list(self._found(pages))

    def overwrite(self, numbers: Iterable[int]) -> None:
        """Fill the gaps of these pages with zeros, durably.

        Nobody may write meanwhile, and the write-ahead log must be empty: it goes before the file.

        Raises:
            StoreError: the disk failed.
        """
        with self._explained():
            for number in numbers:
                if gap := filled(self._read(number, 1)):
                    os.pwrite(self._handle, bytes(len(gap)), number * self._page + gap.start)
            os.fdatasync(self._handle)

    def _found(self, pages: int) -> Iterator[int]:
        for first in range(0, pages, AT_ONCE):
            many = self._read(first, AT_ONCE)
            for number in range(max(first, 1), min(first + AT_ONCE, pages)):
                start = (number - first) * self._page
                if filled(many[start : start + self._page]):
                    yield number

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise StoreError(
                f"{self._file}: what was erased cannot be overwritten ({problem.strerror}); "
                "check the disk, then erase again"
            ) from problem

    def _read(self, first: int, many: int) -> bytes:
        return os.pread(self._handle, many * self._page, first * self._page)


def filled(page: bytes) -> range | None:
    """Return where the gap of *page* is, if there is one with anything in it."""
    header = HEADERS.get(page[0]) if page else None
    if header is None:
        return None
    cells = int.from_bytes(page[3:5], "big")
    gap = range(header + 2 * cells, min(int.from_bytes(page[5:7], "big") or len(page), len(page)))
    return gap if page[gap.start : gap.stop].strip(b"\0") else None
