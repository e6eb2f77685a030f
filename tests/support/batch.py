"""A message for tests of the runtime, which knows no events."""

from __future__ import annotations

import msgspec


class Batch(msgspec.Struct, frozen=True):
    """Numbers that travel together."""

    numbers: tuple[int, ...]

    def halves(self) -> tuple[Batch, Batch] | None:
        """Return both halves, None if there is one number."""
        middle = len(self.numbers) // 2
        return (Batch(self.numbers[:middle]), Batch(self.numbers[middle:])) if middle else None


def batch(*numbers: int) -> Batch:
    """Return a batch of *numbers*."""
    return Batch(numbers)
