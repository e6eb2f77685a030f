"""The front door: the one file that sees engine, actors and plugins, and joins them to the command line."""

from __future__ import annotations

import sys
from importlib import metadata, util
from typing import Any

ROOMS = ("engine", "actors", "plugins")


def main() -> None:
    """Run the command line and exit: 0 fine, 1 problems, 2 usage.

    The rooms have common names. If another distribution has taken one, say which, instead of a traceback.
    """
    try:
        from engine.cli import House, run  # noqa: PLC0415 - so that a collision can be told
        from plugins import BUILTIN  # noqa: PLC0415
    except ImportError as error:
        sys.stderr.write(f"headrace cannot start: {error}\n{_culprits()}")
        sys.exit(1)
    sys.exit(run(House(builtin=BUILTIN, tree=_tree)))


def _tree(*parts: Any) -> Any:
    """Return a tree; its actors are imported only now, since most commands need none."""
    from actors.tree import Tree  # noqa: PLC0415

    return Tree(*parts)


def _culprits() -> str:
    """Return where each room was found, and which distributions claim its name."""
    claims = metadata.packages_distributions()
    lines = []
    for room in ROOMS:
        spec = util.find_spec(room)
        place = spec.origin if spec and spec.origin else "nowhere"
        lines.append(f"    {room} is in {place}, claimed by {', '.join(claims.get(room, [])) or 'no distribution'}\n")
    return "".join(lines) + "    install headrace in a virtual environment of its own\n"


if __name__ == "__main__":
    main()
