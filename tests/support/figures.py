"""What a test measured and does not assert; as a module: the block of all of them for ARCHITECTURE.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

FILE = "HEADRACE_FIGURES"
"""The file that `.ci/run --full` collects figures in, a line of JSON each; without it they are only printed."""

Figure = int | float | str


def tell(what: str, **figures: Figure) -> None:
    """Print figures, and keep them for the block; an underscore in a name stands for a space."""
    text = ", ".join(f"{name.replace('_', ' ')} {_shown(figure)}" for name, figure in figures.items())
    sys.stdout.write(f"{what}: {text}\n")
    if file := os.environ.get(FILE):
        with Path(file).open("a") as opened:
            opened.write(json.dumps({"what": what, "text": text}) + "\n")


def _shown(figure: Figure) -> str:
    return f"{figure:,}" if isinstance(figure, int) else f"{figure:,.3g}" if isinstance(figure, float) else figure


def block(lines: list[str], day: str, commit: str) -> str:
    """Return rows of ARCHITECTURE's table of results, one for each line of figures."""
    told = [json.loads(line) for line in lines]
    return "\n".join(f"| {day} | {commit} | {one['what']}: {one['text']} |" for one in told)


def main() -> None:
    """Print the block of the file named by the first argument."""
    file = Path(sys.argv[1])
    git = ["git", "describe", "--always", "--dirty", "--abbrev=7"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "?"
    lines = file.read_text().splitlines() if file.exists() else []
    sys.stdout.write(block(lines, f"{datetime.now(UTC):%Y-%m-%d}", commit) + "\n")


if __name__ == "__main__":
    main()
