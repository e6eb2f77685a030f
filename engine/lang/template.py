"""Liquid templates: ``{{ row['properties'].price | cast: 'number' }}``.

A template that is one lone output gives that output's own type; anything else gives text. What a template is made of
stands in `engine.lang.rendering`; it is imported with the first template, since python-liquid takes longer to import
than everything else together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.lang.rendering import Template

Variables = Mapping[str, Any]
"""``{"row": event, "context": {…}}``, and ``"item"`` inside an ``each``."""


def is_template(text: str) -> bool:
    """Return whether a mapping's string is a template rather than a field reference."""
    return "{{" in text or "{%" in text


def compile_template(text: str, *, in_each: bool = False) -> Template:
    """Compile *text*.

    Args:
        text: Liquid; at most 4,000 characters.
        in_each: whether there is an ``item`` beside ``row`` and ``context``.

    Raises:
        LangError: syntax, unknown filter or variable, wrong arguments, with the column and a caret.
    """
    from engine.lang.rendering import read_template  # noqa: PLC0415 - see above

    return read_template(text, in_each=in_each)
