"""What a function did to an event, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.lang.cast import shown


def changes(before: dict[str, Any], after: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield a line for each field that was added, taken out or changed; arrays are looked at whole.

    Args:
        before: the event as the function got it.
        after: as it came out.
        place: the dotted path of both, for what is below.
    """
    for key in dict.fromkeys([*before, *after]):
        where = f"{place}.{key}" if place else key
        if key not in after:
            yield f"- {where}"
        elif key not in before:
            yield f"+ {where} = {shown(after[key])}"
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            yield from changes(before[key], after[key], where)
        elif type(before[key]) is not type(after[key]) or before[key] != after[key]:
            yield f"  {where}: {shown(before[key])} → {shown(after[key])}"
