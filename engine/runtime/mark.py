"""How far a stage has come: one number that grows, owned by the tree and outliving the actors that move and read it."""

from __future__ import annotations


class Mark:
    """A position that only grows.

    A stage moves its mark before it offers what it has made to the next. A reader whose inbox is empty and that has
    read less than the mark says reads the rest from the store: so nothing that a full inbox turned away is forgotten.
    """

    __slots__ = ("position",)

    def __init__(self, position: int = 0) -> None:
        """Start at *position*."""
        self.position = position

    def move(self, position: int) -> None:
        """Grow to *position*; a smaller one changes nothing."""
        self.position = max(self.position, position)
