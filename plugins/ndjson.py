"""One delivery as one line of JSON."""

from __future__ import annotations

import msgspec

from engine.plugin import Delivery, idempotency_key


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a line holds; the payload's bytes are copied in as they are."""

    key: str
    sync: str
    event_type: str
    message_id: str
    payload: msgspec.Raw


def payload_line(delivery: Delivery) -> bytes:
    """Return the payload alone, on one line, with its newline."""
    return _flat(delivery.payload) + b"\n"


def delivery_line(delivery: Delivery) -> bytes:
    """Return key, sync, event type, messageId and payload, on one line, with its newline."""
    line = _Line(
        key=idempotency_key(delivery),
        sync=delivery.sync,
        event_type=delivery.event_type,
        message_id=delivery.message_id,
        payload=msgspec.Raw(_flat(delivery.payload)),
    )
    return msgspec.json.encode(line) + b"\n"


def _flat(payload: bytes) -> bytes:
    """Return *payload* without line ends: JSON has them only between its tokens."""
    return msgspec.json.format(payload, indent=-1) if b"\n" in payload or b"\r" in payload else payload
