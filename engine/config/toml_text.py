"""Tables as TOML text, for showing a configuration to a person."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(table: Mapping[str, Any]) -> str:
    """Return *table* as TOML; what is None is left out, since TOML has no null."""
    return "\n".join(_lines(table, "")).strip() + "\n"


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the lines of one table: its own values first, as TOML wants it."""
    for key, value in table.items():
        if value is not None and not _is_table(value) and not _are_tables(value):
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        name = f"{path}.{_key(key)}" if path else _key(key)
        if _is_table(value):
            yield from _headed(f"[{name}]", value, name)
        elif _are_tables(value):
            for each in value:
                yield from _headed(f"[[{name}]]", each, name)


def _headed(head: str, table: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield a table with its head, which one that holds only further tables does not need."""
    if head.startswith("[[") or not table or any(not _is_table(value) for value in table.values()):
        yield from ("", head)
    yield from _lines(table, path)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(map(_is_table, value))


def _value(value: Any) -> str:
    """Return one value on one line."""
    if isinstance(value, (bool, int, float)):
        return json.dumps(value).replace("NaN", "nan").replace("Infinity", "inf")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items() if each is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return f"[{', '.join(_value(each) for each in value if each is not None)}]"


def _text(text: str) -> str:
    """Return a basic string; JSON's escapes are TOML's but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)
