"""Errors that point at the place in the text."""

from __future__ import annotations

from engine.errors import LangError


def pointed(what: str, text: str, column: int) -> LangError:
    """Return an error whose hint is the line of *text* that holds *column*, with a caret below it.

    Args:
        what: what is wrong and what to write instead, without a full stop.
        text: the whole text that was read; may have several lines.
        column: where in *text*, counted from 1 over all lines.
    """
    start = text.rfind("\n", 0, column - 1) + 1
    end = text.find("\n", start)
    line = text[start:] if end < 0 else text[start:end]
    return LangError(what, f"{line}\n{' ' * (column - 1 - start)}^", column)
