"""``headrace bench``: the benches of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from engine.cli.common import CHECKOUT, warn

if TYPE_CHECKING:
    from engine.cli import House

Arguments = Annotated[str, Parameter(allow_leading_hyphen=True, help="The bench's name and its options.")]


def put(app: App, house: House) -> None:  # noqa: ARG001 - every command is put on alike
    """Put ``bench`` on *app*."""

    @app.command(name="bench")
    def bench(*arguments: Arguments) -> int:
        """Measure speed; only in a checkout of the project, which has the benches.

        Example: headrace bench pipeline --rate 1000 --seconds 10

        Args:
            arguments: The bench's name and its options.
        """
        return run_bench(CHECKOUT, arguments)


def run_bench(checkout: Path, arguments: tuple[str, ...]) -> int:
    """Run the benches of *checkout* in a process of their own, and return its exit code; 2 if there are none."""
    if not (checkout / "bench" / "__main__.py").exists():
        warn("headrace bench runs in a checkout of the project: the installed package has no benches")
        return 2
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=checkout, check=False).returncode  # noqa: S603 - our own module, no shell
