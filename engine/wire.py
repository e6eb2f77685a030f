"""The WebSocket protocol ``headrace.v1``: frames, close codes, defaults. Client and receiver share this page.

A client opens ``/v1/stream`` with the subprotocol, shows its write key (Basic, Bearer, ``?writeKey=`` or a first
frame ``{"type":"hello","writeKey":…}``), is told ``ready``, and sends. Every element of every frame has a number, from
1 on, also when it is refused or a duplicate; ``hello`` and empty arrays have none. Acks are cumulative.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final

import msgspec

PATH = "/v1/stream"
SUBPROTOCOL = "headrace.v1"
WINDOW = 2000
"""Events a client may have unacknowledged on one connection."""
MAX_FRAME = 4 << 20
"""Bytes of one frame; larger ones close with `TOO_LARGE`."""
MAX_EVENT = 32 << 10
"""Bytes of one event's JSON; larger ones are refused, alone."""

MAX_ITEMS = 10_000
"""Elements of one batch, frame or array; larger ones are refused whole: each element costs, however short it is."""

MAX_DEPTH = 100
"""Objects and arrays in one another in one event; deeper ones are refused, alone."""

DRAINING = 1001
"""The receiver stops; what was accepted has been acknowledged. Connect again."""
FAILED = 1011
"""The store has failed. What is not acknowledged is not accepted; connect again, later."""
PROTOCOL = 4400
"""A frame that does not parse. Sending it again will not help."""
KEY = 4401
"""No write key, or one that opens nothing."""
TOO_LARGE = 4413
"""A frame above ``maxFrame``. Sending it again will not help."""
QUOTA = 4429
"""More than was agreed. Connect again, much later."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="hello", rename="camel"):
    """The client's first frame, when its key is not in the handshake."""

    write_key: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready", rename="camel"):
    """The receiver's first frame: the key was good, and these are the limits.

    Attributes:
        window: events that may be unacknowledged on this connection.
        max_frame: bytes of one frame.
        max_event: bytes of one event's JSON.
    """

    source: str
    window: int = WINDOW
    max_frame: int = MAX_FRAME
    max_event: int = MAX_EVENT


class Refused(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event that will not be accepted; sending it again does not help.

    Attributes:
        n: its number on this connection.
        message_id: its own, or "".
        code: one documented word, for example ``id_required``.
    """

    n: int
    message_id: str
    code: str
    message: str


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ack", rename="camel", omit_defaults=True):
    """All elements up to ``upto`` are durable, duplicates, or in ``refused`` of this or an earlier ack."""

    upto: int
    refused: tuple[Refused, ...] = ()


Answer = Ready | Ack
"""What a client receives."""


_scan: Final = json.JSONDecoder().raw_decode
_SPACE: Final = " \t\r\n"


def has_too_many(array: bytes) -> bool:
    """Return whether the JSON array *array* has more than `MAX_ITEMS` elements, without making all of them.

    Most arrays have fewer commas than that, and are not looked at. Two bytes an element make millions of a small body.

    Raises:
        ValueError, RecursionError: it is not JSON.
    """
    if array.count(b",") < MAX_ITEMS:
        return False
    text = array.decode().strip(_SPACE)
    at, count = 1, 0
    while at < len(text) - 1:
        while text[at] in _SPACE:
            at += 1
        _, at = _scan(text, at)
        count += 1
        if count > MAX_ITEMS:
            return True
        while at < len(text) - 1 and text[at] in _SPACE:
            at += 1
        at += 1  # the comma, or the end
    return False


def shown_key(authorization: str | None) -> str | None:
    """Return the write key in an ``Authorization`` header, or None.

    Basic with the key as user name, with or without the colon behind it (old clients leave it out), or Bearer.
    """
    scheme, _, rest = (authorization or "").strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest or None
    if scheme.lower() != "basic":
        return None
    try:
        user = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user.partition(":")[0] or None


def with_member(event: bytes, name: str, value: str) -> bytes:
    """Return the JSON object *event* with one more member at its end, where it wins over one of the same name."""
    head = event.rstrip()[:-1].rstrip()
    comma = b"" if head.endswith(b"{") else b","
    return b"%b%b%b:%b}" % (head, comma, msgspec.json.encode(name), msgspec.json.encode(value))
