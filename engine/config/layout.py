"""Hightouch's git layout of contracts: which files of a checkout make one contract.

Two shapes exist. ``contracts/shop.yaml`` says what holds for the contract, ``contracts/shop/*.yaml`` are its events. Or
``domains/shop/domain.yaml`` says it, ``domains/shop/*.yaml`` are the events and ``domains/shop/components/*.yaml`` what
their schemas share.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

_SUFFIX = ".yaml"
_META = "domain.yaml"
_SHAPES = ("contracts", "domains")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """The files of one contract.

    Attributes:
        about: the file that says what holds for the whole.
        events: one event each, sorted.
        components: one shared schema each, sorted.
    """

    about: Path
    events: tuple[Path, ...]
    components: tuple[Path, ...] = ()


def find_layout(path: Path) -> Layout | list[Path] | None:
    """Return the contract that *path* is, or all contracts below it, or None if it has no such layout.

    Args:
        path: the contract's own file or folder, or the checkout, or its ``events`` folder.

    Raises:
        OSError: a folder cannot be read.
    """
    if path.suffix == _SUFFIX:
        return _contract(path) if path.with_suffix("").is_dir() else None
    if not path.is_dir():
        return None
    if (path / _META).is_file():
        return _domain(path)
    if path.name and (about := path.with_name(path.name + _SUFFIX)).is_file():
        return _contract(about)
    several = list(_below(path)) or list(_below(path / "events"))
    return several or None


def _contract(about: Path) -> Layout:
    return Layout(about=about, events=_files(about.with_suffix("")))


def _domain(folder: Path) -> Layout:
    events = tuple(file for file in _files(folder) if file.name != _META)
    return Layout(about=folder / _META, events=events, components=_files(folder / "components"))


def _below(root: Path) -> Iterator[Path]:
    """Yield what to name as ``path`` for each contract of a checkout."""
    for shape in _SHAPES:
        for inner in sorted((root / shape).iterdir()) if (root / shape).is_dir() else ():
            if (inner / _META).is_file() or (shape == "contracts" and inner.suffix == _SUFFIX):
                yield inner


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.iterdir() if file.suffix == _SUFFIX)) if folder.is_dir() else ()
