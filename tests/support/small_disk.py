"""A disk of a few megabytes, really: a file system in memory, mounted for one test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """Mounted at *folder* until `unmount`; skips the test where nothing may be mounted.

    Args:
        folder: an empty one.
        size: bytes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def resize(self, size: int) -> None:
        """Let it have another size."""
        self._mount("-o", f"remount,size={size}")

    def fill(self) -> Path:
        """Take all that is left of it; return what takes it."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            for piece in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"\0" * piece)
                except OSError:
                    continue
        return ballast

    @property
    def free(self) -> int:
        """Bytes that are left."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def unmount(self) -> None:
        """Let it be an empty folder again."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True)

    def _mount(self, *how: str) -> None:
        try:
            subprocess.run(["mount", *how, str(self.folder)], check=True, capture_output=True, text=True)
        except FileNotFoundError:
            pytest.skip("there is no mount here")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"a small disk cannot be mounted here: {error.stderr.strip()}")
