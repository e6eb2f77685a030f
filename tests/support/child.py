"""Headrace in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONG = 60
"""Seconds after which a child has hung."""


def _started(argv: Sequence[str], module: str = "engine") -> list[str]:
    return [sys.executable, "-m", module, *argv]


def _environment(more: Mapping[str, str] = {}) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | dict(more)


def command(argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command in *folder* to its end."""
    return subprocess.run(
        _started(argv), cwd=folder, env=_environment(), capture_output=True, text=True, timeout=LONG, check=False
    )


class Child:
    """A command that runs until it is told to end; what it says goes to files, so that it never waits for us.

    Args:
        argv: after ``headrace``.
        folder: where it runs.
        module: what is started, in place of the front door.
        env: more of the environment.
    """

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        module: str = "engine",
        env: Mapping[str, str] = {},
    ) -> None:
        self._errors = (folder / f"{argv[0]}.err").open("w+")
        self._process = subprocess.Popen(
            _started(argv, module),
            cwd=folder,
            env=_environment(env),
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def until(self, words: str) -> str:
        """Return the next line that has *words* in it; fails if the child ends before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}; {self.errors()}")

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return its exit code, once it has ended."""
        return self._process.wait(LONG)

    def errors(self) -> str:
        """Return what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def kill(self) -> None:
        """Make sure that it is gone."""
        self._process.kill()
        self._process.wait(LONG)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()
