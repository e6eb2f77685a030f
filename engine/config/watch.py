"""Whether the files of a configuration are as they were: by their contents, not by their times."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine.config.load import Loaded


def fingerprint(loaded: Loaded, others: Iterable[str] = ()) -> str:
    """Return what is other as soon as a file of *loaded*, or one of *others*, is, or one more would belong to it.

    A file that cannot be read counts as empty: it may be on its way.
    """
    whole = hashlib.sha256()
    for file in sorted({loaded.file, *loaded.files, *others}):
        content = _content(Path(file))
        whole.update(f"{file}\0{len(content)}\0".encode() + content)
    for folder in loaded.folders:
        for path in _within(Path(folder)):
            whole.update(f"{path}\0".encode())
    return whole.hexdigest()


def is_stale(loaded: Loaded) -> bool:
    """Return whether a file of *loaded* is other than when it was read."""
    return any(digest and digest != _digest(Path(file)) for file, digest in loaded.files.items())


def _digest(path: Path) -> str:
    return hashlib.sha256(_content(path).removeprefix(codecs.BOM_UTF8)).hexdigest()


def _within(folder: Path) -> list[Path]:
    """Return all that is in a folder; of one that goes away meanwhile what was seen of it."""
    found: list[Path] = []
    with suppress(OSError):
        found.extend(folder.rglob("*"))
    return sorted(found)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
