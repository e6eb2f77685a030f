"""Who an event is of, and what it is called: read from bytes, without looking at the rest. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engine.messages import Logged, Result


class _Ids(msgspec.Struct):
    """The ids of an event that tell whose it is."""

    userId: Any = None  # noqa: N815 - the events' own word
    anonymousId: Any = None  # noqa: N815 - likewise
    previousId: Any = None  # noqa: N815 - likewise


class _Named(msgspec.Struct):
    messageId: Any = None  # noqa: N815 - the events' own word


_ids = msgspec.json.Decoder(_Ids)
_named = msgspec.json.Decoder(_Named)
_encode = msgspec.json.Encoder().encode

Who = tuple[str, str]
"""``userId`` or ``anonymousId``, and its value as text."""


def is_of(raw: bytes, who: Who) -> bool:
    """Return whether the event in *raw* is of that user; an alias is of the user it was, too.

    A part that does not stand in the bytes is not in the event, unless something in it is written with an escape.
    """
    kind, value = who
    if _bare(value) not in raw and b"\\" not in raw:
        return False
    try:
        ids = _ids.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    mine = (ids.anonymousId,) if kind == "anonymousId" else (ids.userId, ids.previousId)
    return any(_text(one) == value for one in mine if one is not None)


def made_ids(result: Result) -> Iterator[str]:
    """Yield the messageIds of what a function or window made of an event."""
    for raw in result.events:
        try:
            name = _named.decode(raw).messageId
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(name, str):
            yield name


def has_id(logged: Logged, result: Result | None, message_id: str) -> bool:
    """Return whether the event, or something made of it, has that messageId."""
    if not message_id:  # what was erased has none
        return False
    return logged.envelope.message_id == message_id or (result is not None and message_id in made_ids(result))


def _bare(value: str) -> bytes:
    """Return how JSON writes *value*, without its quotes."""
    return _encode(value)[1:-1]


def _text(value: Any) -> str:
    """Return an id as the door understands it: numbers as text."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
