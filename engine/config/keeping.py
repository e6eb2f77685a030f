"""Writing config.toml, whole or not at all, and beside it the secrets that were typed in, for nobody else to read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from engine.errors import HeadraceError

SECRETS = "secrets"
"""The folder, beside config.toml, for secrets that were typed in."""
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_HELD = (errno.EBUSY, errno.EXDEV)
"""What a file says that is mounted by itself, into a container for example: it can be written and not replaced."""


def why_not(config: Path) -> str:
    """Return why config.toml cannot be written, or "" if it can."""
    real = config.resolve()
    try:
        mode = real.stat().st_mode
    except FileNotFoundError:
        mode = _WRITE
    except OSError as error:
        return f"{config}: {error.strerror}"
    # Root may write what nobody is meant to: who took the permission away has said so.
    if not mode & _WRITE or (real.exists() and not os.access(real, os.W_OK)):
        return f"{config} is not writable"
    return "" if os.access(real.parent, os.W_OK) else f"the folder of {config} is not writable"


def begin(config: Path, text: str) -> bool:
    """Write a first config.toml; return whether there was none.

    Raises:
        HeadraceError: it cannot be written.
    """
    try:
        with config.open("x") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise HeadraceError(f"{config} cannot be written: {error.strerror}\n    begin in a folder of yours") from None
    return True


def keep(config: Path, text: str, secrets: Mapping[str, str]) -> None:
    """Write the secrets, then config.toml, so that nobody ever reads half of it.

    Args:
        config: where; a link stays a link.
        text: all of it.
        secrets: path, relative to config.toml's folder, to what goes there; only its owner may read it.

    Raises:
        HeadraceError: it cannot be written; config.toml is as it was.
    """
    try:
        for path, secret in secrets.items():
            _hide(config.parent / path, secret)
        _replace(config.resolve(), text)
    except OSError as error:
        raise HeadraceError(
            f"{error.filename or config} cannot be written: {error.strerror}\n    nothing else was changed"
        ) from None


def _hide(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)  # one that was there before may have been open to more
        file.write(secret)


def _replace(real: Path, text: str) -> None:
    beside = real.with_name(f".{real.name}.new")
    try:
        with beside.open("w") as file:
            if real.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(real.stat().st_mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(real)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno not in _HELD:
            raise
        real.write_text(text)
