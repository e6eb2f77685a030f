"""The Liquid filters of our own, and size guards around the library's that can grow without end.

All are pure. Missing and null pass through those that convert: ``{{ row.absent | cast: 'number' }}`` is missing, not 0.
Sizes: no filter makes a text longer than `LONGEST_TEXT` characters; that is checked before the text is built, because
ten replaces of ten characters make gigabytes.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import hashlib
import hmac
import math
from collections.abc import Callable
from typing import Any

import msgspec
from liquid.filter import sequence_filter
from liquid.undefined import is_undefined
from msgspec import UNSET

from engine.errors import MappingFailed
from engine.lang.arithmetic import MOST_BITS, divided_by, rounded, times
from engine.lang.cast import KINDS, cast, parse_json, shown, text_of, to_json
from engine.lang.dates import iso, to_seconds
from engine.lang.limits import weight
from engine.lang.regex import is_found, replaced

LONGEST_TEXT = 1_048_576
"""Characters a filter may produce; far above an event's own size limit."""

MOST_ITEMS = 10_000
"""Of an array that a filter makes."""

_LONGEST_DATE = 200

LiquidFilter = Callable[..., Any]


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: a Liquid undefined is UNSET, a range or tuple a list, a Liquid null None."""
    kind = type(value)
    if kind in _JSON_SCALARS or kind is dict:
        return value
    if kind is list:
        return [plain(item) for item in value] if any(type(item) not in _JSON for item in value) else value
    if is_undefined(value):
        return UNSET
    if isinstance(value, (tuple, range)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, int, float, list, dict)) else None


_JSON_SCALARS = frozenset({str, int, float, bool, type(None)})
_JSON = _JSON_SCALARS | {dict, list}


def finished(value: Any) -> Any:
    """Return an output's value as JSON knows it.

    Raises:
        MappingFailed: a number that JSON has not, or that is absurdly large.
    """
    kind = type(value)
    if kind is str or kind is dict or kind is bool:
        return value
    if kind is float and not math.isfinite(value):
        raise MappingFailed(f"the result is {value}, and JSON has no infinity and no NaN")
    if kind is int and value.bit_length() > MOST_BITS:
        raise MappingFailed("the result is a number of more than 300 digits")
    return plain(value)


def stringify(value: Any) -> str:
    """Return what an output writes into a text: JSON for arrays and objects, "" for null and missing."""
    return value if type(value) is str else text_of(plain(value))


def on_text(convert: LiquidFilter) -> LiquidFilter:
    """Give a text filter of the library our text of a value, where it would take Python's."""

    @functools.wraps(convert)
    def filtered(value: Any, *arguments: Any, **named: Any) -> Any:
        return convert(value if type(value) is str else stringify(value), *arguments, **named)

    return filtered


def _passing(convert: LiquidFilter) -> LiquidFilter:
    """Let missing and null through, and hand on what is left as JSON knows it."""

    @functools.wraps(convert)
    def filtered(value: Any, *arguments: Any) -> Any:
        if value is None or is_undefined(value):
            return value
        return convert(plain(value), *arguments)

    return filtered


def _cast(value: Any, kind: Any) -> Any:
    if kind not in KINDS:
        raise MappingFailed(f"'cast' knows no {shown(plain(kind))}")
    return cast(value, kind)


def _to_json(value: Any) -> str:
    return _fits(to_json(value))


def _bytes_of(value: Any) -> bytes:
    return text_of(value).encode()


def _sha256(value: Any) -> str:
    return hashlib.sha256(_bytes_of(value)).hexdigest()


def _md5(value: Any) -> str:
    return hashlib.md5(_bytes_of(value), usedforsecurity=False).hexdigest()


def _hmac_sha256(value: Any, key: Any) -> str:
    return hmac.new(_bytes_of(plain(key)), _bytes_of(value), hashlib.sha256).hexdigest()


def _base64(value: Any) -> str:
    return base64.b64encode(_bytes_of(value)).decode()


def _regex_replace(value: Any, pattern: Any, replacement: Any = "") -> str:
    return replaced(text_of(value), text_of(plain(pattern)), text_of(plain(replacement)), LONGEST_TEXT)


def _regex_test(value: Any, pattern: Any) -> bool:
    return is_found(text_of(value), text_of(plain(pattern)))


def _seconds(value: Any) -> float:
    seconds = to_seconds(value)
    if seconds is None:
        raise MappingFailed(f"not a date: {shown(value)}")
    return seconds


def _to_unix(value: Any) -> int:
    return int(_seconds(value) // 1)


def _to_unix_ms(value: Any) -> int:
    return round(_seconds(value) * 1000)


def _to_iso(value: Any) -> str:
    return iso(_seconds(value))


def _date(value: Any, pattern: Any) -> str:
    """Write a date by strftime's pattern, in UTC; the library's own would read the clock and the local zone."""
    seconds, pattern = _seconds(value), text_of(pattern)
    if len(pattern) > _LONGEST_DATE:
        raise MappingFailed(f"a date's pattern may have {_LONGEST_DATE} characters, this one has {len(pattern)}")
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)).strftime(pattern)


def _append(value: Any, tail: Any) -> str:
    return _fits(stringify(value), stringify(tail))


def _prepend(value: Any, head: Any) -> str:
    return _fits(stringify(head), stringify(value))


def _replacing(count: int) -> LiquidFilter:
    def replace(value: Any, old: Any, new: Any = "") -> str:
        text, old, new = stringify(value), stringify(old), stringify(new)
        found = min(text.count(old), count) if count > 0 else text.count(old)
        _check(len(text) + found * len(new))
        return text.replace(old, new, count)

    return replace


def _replace_last(value: Any, old: Any, new: Any) -> str:
    text, old, new = stringify(value), stringify(old), stringify(new)
    head, found, tail = text.rpartition(old) if old else (text, "", "")
    if old and not found:
        return text
    return _fits(head, new, tail)


@sequence_filter
def _join(values: Any, separator: Any = " ") -> str:
    items, between = [stringify(item) for item in values], stringify(separator)
    _check(sum(map(len, items)) + len(between) * len(items))
    return between.join(items)


def _split(value: Any, separator: Any) -> list[str]:
    text, by = stringify(value), stringify(separator)
    _check(len(text))
    if not by:
        return _listed(list(text))
    return [] if not text or text == by else _listed(text.split(None if by == " " else by))


@sequence_filter
def _concat(values: Any, others: Any) -> list[Any]:
    if not isinstance(others, (list, tuple, range)):
        raise MappingFailed(f"'concat' needs an array, and got {shown(plain(others))}")
    joined = [*values, *others]
    _check(weight(_listed(joined)))
    return joined


@sequence_filter
def _uniq(values: Any, key: Any = None) -> list[Any]:
    """Keep the first of equals; the library compares each with each, which takes a second for an array of 10,000."""
    seen: set[bytes] = set()
    found = []
    for value in values:
        name = value.get(key) if key is not None and isinstance(value, dict) else value
        known = msgspec.json.encode(plain(name))
        if known not in seen:
            seen.add(known)
            found.append(value)
    return found


@sequence_filter
def _compact(values: Any, key: Any = None) -> list[Any]:
    """Leave out what is null; the library keeps the nulls that its own ``map`` makes."""
    found = [item.get(key) if key is not None and isinstance(item, dict) else item for item in values]
    return [item for item, looked_at in zip(values, found, strict=True) if plain(looked_at) is not None]


def _listed(values: list[Any]) -> list[Any]:
    if len(values) > MOST_ITEMS:
        raise MappingFailed(f"the array would have {len(values)} items, more than {MOST_ITEMS}")
    return values


def _fits(*parts: str) -> str:
    _check(sum(map(len, parts)))
    return "".join(parts)


def _check(length: int) -> None:
    if length > LONGEST_TEXT:
        raise MappingFailed(f"the text would have {length} characters, more than {LONGEST_TEXT}")


CONVERTING: dict[str, tuple[LiquidFilter, str]] = {
    "cast": (_cast, "any"),
    "parse_json": (parse_json, "any"),
    "to_json": (_to_json, "clean"),
    "json": (_to_json, "clean"),
    "sha256": (_sha256, "clean"),
    "md5": (_md5, "clean"),
    "hmac_sha256": (_hmac_sha256, "clean"),
    "base64": (_base64, "clean"),
    "regex_replace": (_regex_replace, "clean"),
    "regex_test": (_regex_test, "clean"),
    "date": (_date, "clean"),
    "to_unix": (_to_unix, "clean"),
    "to_unix_ms": (_to_unix_ms, "clean"),
    "to_iso": (_to_iso, "clean"),
}
"""Our filters that let missing and null through, by name; "clean" if what they give is JSON that needs no look."""

OWN: dict[str, LiquidFilter] = {name: _passing(convert) for name, (convert, _) in CONVERTING.items()} | {
    "times": times,
    "divided_by": divided_by,
    "round": rounded,
    "append": _append,
    "prepend": _prepend,
    "replace": _replacing(-1),
    "replace_first": _replacing(1),
    "replace_last": _replace_last,
    "join": _join,
    "split": _split,
    "concat": _concat,
    "uniq": _uniq,
    "compact": _compact,
}
"""Our filters by the name a template uses; those of the library that are not here stay as they are."""
