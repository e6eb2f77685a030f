"""Whether the files of a configuration are as they were: by their contents, not by their times."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
        for path in sorted(Path(folder).rglob("*")):
            whole.update(f"{path}\0".encode())
    return whole.hexdigest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
