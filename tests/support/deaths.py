"""Deaths that a test wants."""

from __future__ import annotations

from collections.abc import Callable


def fail_once(owner: object, name: str, note: Callable[[], None] | None = None) -> None:
    """Let the next call of a method raise, which is its caller's death; *note* is told first."""

    def fail(*_arguments: object) -> None:
        delattr(owner, name)
        if note is not None:
            note()
        raise RuntimeError("as the test wants it")

    setattr(owner, name, fail)
