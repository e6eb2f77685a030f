"""Processes of the pipeline bench: a sink, a floor or an engine, and a generator, each on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TICK = os.sysconf("SC_CLK_TCK")


class Child:
    """A process that says ``port N`` (or ``…:N/``) on its first line."""

    def __init__(self, *argv: str, cwd: Path = ROOT, log: str = "warning") -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "HEADRACE_LOG": log}
        self.process = subprocess.Popen(
            [sys.executable, *argv], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=cwd, env=env
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        digits = [word for word in line.replace("/", " ").replace(":", " ").split() if word.isdigit()]
        if not digits:
            raise SystemExit(f"{' '.join(argv)} did not start: {line!r}")
        self.port = int(digits[-1]) if line.startswith("port") else int(line.split("//")[1].split("/")[0].split(":")[1])

    def cpu(self) -> float:
        """Return the CPU seconds it has used, all threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self) -> str:
        """Ask it to end, and return what it printed since."""
        self.process.terminate()
        out, _ = self.process.communicate(timeout=60)
        return out or ""


@contextmanager
def running(*argv: str, cwd: Path = ROOT, log: str = "warning") -> Iterator[Child]:
    """Run a child for as long as the block lasts; an engine logs from level *log* on."""
    child = Child(*argv, cwd=cwd, log=log)
    try:
        yield child
    finally:
        if child.process.poll() is None:
            child.process.kill()
            child.process.communicate()


def stolen() -> tuple[int, int]:
    """Return (ticks that the hypervisor gave to others, ticks in all) of this machine since it was started."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[7], sum(ticks)


def generate(**wish: Any) -> dict[str, Any]:
    """Run a generator to its end and return its figures."""
    argv = [sys.executable, str(HERE / "generator.py"), json.dumps(wish)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
