"""What is in a WebSocket frame: one event, an array of them, or a batch with a head; JSON, or the same in MessagePack.

Pure. A frame is split here, not understood: each event stays the bytes it came as, and is decoded once, by the intake.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from engine.errors import ProtocolError
from engine.lang.envelope import Refusal
from engine.wire import MAX_DEPTH, MAX_ITEMS, has_too_many

Item = bytes | Refusal
"""One element: the JSON of an event, not yet looked at, or why it cannot be one."""

UNREADABLE: Final = (msgspec.DecodeError, ValueError, RecursionError)
"""What decoding can raise because of what a client sent."""


_TOO_MANY: Final = f"the frame holds more than {MAX_ITEMS:,} events"
_PLAIN: Final = frozenset({str, int, bool, type(None)})


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """The elements of one frame or request, in order, and what was said of all of them.

    Attributes:
        sent_at: the batch's, for all items without their own.
        context: the batch's own, merged under each item's.
        integrations: likewise.
        ip: the client's address if it is a browser.
    """

    items: tuple[Item, ...]
    sent_at: str | None = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None
    ip: str | None = None


class _Head(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What tells a batch from an event: it has a ``batch`` and no ``type``."""

    batch: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    type: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    sent_at: str | None = None
    context: dict[str, Any] | None = None
    integrations: dict[str, Any] | None = None


_json_head = msgspec.json.Decoder(_Head)
_json_list = msgspec.json.Decoder(list[msgspec.Raw])
_json_any = msgspec.json.Decoder(msgspec.Raw)
_pack_any = msgspec.msgpack.Decoder(msgspec.Raw)
_pack_head = msgspec.msgpack.Decoder(_Head)
_pack_list = msgspec.msgpack.Decoder(list[msgspec.Raw])


def read(message: str | bytes, ip: str | None = None) -> Frame:
    """Return what *message* holds: text is JSON, bytes are MessagePack.

    Raises:
        ProtocolError: it does not parse, or holds neither an event nor events.
    """
    try:
        return _read_json(message.encode(), ip) if isinstance(message, str) else _read_pack(message, ip)
    except UNREADABLE as error:
        raise ProtocolError(f"the frame does not parse: {error}") from error


def _read_json(frame: bytes, ip: str | None) -> Frame:
    start = frame[:1] if frame[:1] in (b"{", b"[") else frame.lstrip()[:1]
    if start == b"[":
        return Frame(items=_elements(frame), ip=ip)
    if start != b"{":
        _json_any.decode(frame)
        raise ProtocolError("the frame is not an object or an array")
    # A substring is far cheaper to find than a key, and most frames are single events.
    if b'"batch"' not in frame:
        _json_any.decode(frame)
        return Frame(items=(frame,), ip=ip)
    head = _json_head.decode(frame)
    if head.type is not msgspec.UNSET or head.batch is msgspec.UNSET:
        return Frame(items=(frame,), ip=ip)
    return _batch(head, _elements(bytes(head.batch)), ip)


def _elements(array: bytes) -> tuple[Item, ...]:
    if has_too_many(array):
        raise ProtocolError(_TOO_MANY)
    return tuple([bytes(raw) for raw in _json_list.decode(array)])


def _packed(array: bytes) -> tuple[Item, ...]:
    # The MessagePack specification's array16 and array32 say first how many elements follow.
    if array[:1] in (b"\xdc", b"\xdd") and int.from_bytes(array[1 : 3 if array[0] == 0xDC else 5]) > MAX_ITEMS:  # noqa: PLR2004
        raise ProtocolError(_TOO_MANY)
    return tuple([_as_json(raw) for raw in _pack_list.decode(array)])


def _read_pack(frame: bytes, ip: str | None) -> Frame:
    kind = frame[0] if frame else 0xC1
    if kind in (0xDC, 0xDD) or 0x90 <= kind <= 0x9F:  # noqa: PLR2004 - the MessagePack specification's arrays
        return Frame(items=_packed(frame), ip=ip)
    if kind not in (0xDE, 0xDF) and not 0x80 <= kind <= 0x8F:  # noqa: PLR2004 - and maps
        raise ProtocolError("the frame is not an object or an array")
    if b"\xa5batch" not in frame:
        return Frame(items=(_as_json(_pack_any.decode(frame)),), ip=ip)
    head = _pack_head.decode(frame)
    if head.type is not msgspec.UNSET or head.batch is msgspec.UNSET:
        return Frame(items=(_as_json(frame),), ip=ip)
    return _batch(head, _packed(bytes(head.batch)), ip)


def _batch(head: _Head, items: tuple[Item, ...], ip: str | None) -> Frame:
    return Frame(items=items, sent_at=head.sent_at, context=head.context, integrations=head.integrations, ip=ip)


def _as_json(packed: bytes | msgspec.Raw) -> Item:
    """Return an event's MessagePack as JSON, or a refusal if JSON cannot say it."""
    try:
        value = msgspec.msgpack.decode(packed)
    except UNREADABLE as error:
        return Refusal(code="bad_request", message=f"the event does not parse: {error}")
    if fault := _unsayable([value], 0):
        return Refusal(code="bad_request", message=f"JSON cannot say {fault}")
    return msgspec.json.encode(value)


def _unsayable(value: dict[Any, Any] | list[Any], depth: int) -> str:
    """Return the first thing in *value* that has no JSON, or ""."""
    if depth > MAX_DEPTH + 1:
        return f"what is nested deeper than {MAX_DEPTH}"
    if isinstance(value, dict):
        odd = next((key for key in value if type(key) is not str), None)
        if odd is not None:
            return f"a key of type {type(odd).__name__}"
        value = list(value.values())
    for member in value:
        kind = type(member)
        if kind in _PLAIN:
            continue
        if kind is dict or kind is list:
            fault = _unsayable(member, depth + 1)
        elif kind is float:
            fault = "" if math.isfinite(member) else f"the number {member}"
        else:
            fault = f"a value of type {kind.__name__}"
        if fault:
            return fault
    return ""
