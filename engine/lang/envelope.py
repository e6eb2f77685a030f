"""What the door decides about one event, and how an accepted one looks from then on.

`check` refuses only what can never be used, with the codes of Segment's ingest discards where these have one.
`normalise` is a pure function of the event and its envelope, so a re-read of the log gives the same event again.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import msgspec

from engine.lang.dates import iso, parse_time, to_seconds
from engine.messages import Envelope

CALLS = frozenset({"track", "identify", "page", "screen", "group", "alias"})
"""The call types of Segment's spec."""
LONGEST_MESSAGE_ID = 100
"""Characters; Segment's limit."""

_IDS = ("userId", "anonymousId", "groupId", "previousId")
_OBJECTS = ("properties", "traits", "context", "integrations")
_receipt = functools.lru_cache(maxsize=8)(iso)
"""A frame's events share their receipt, and writing a time costs more than all else here."""
_NEARLY_OURS = re.compile(r"....-..-..T..:..:..\.[0-9]{3,9}(?:Z|\+00:00)\Z")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event is not accepted.

    Attributes:
        code: one documented word.
        message: one sentence for the developer who sent it.
    """

    code: str
    message: str


def check(event: Any) -> Refusal | None:
    """Return why *event* can never be used, or None if it is accepted.

    Null counts as not there; ids may be numbers, as old clients send them.
    """
    if not isinstance(event, dict):
        return Refusal(code="bad_request", message="the event is not an object")
    return _wrong_call(event) or _wrong_objects(event) or _wrong_ids(event)


def normalise(event: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
    """Return *event* as contracts, filters and mappings see it; *event* itself is not changed.

    Ids are strings or not there; ``messageId`` is set; the batch's context and integrations stand under the event's
    own; an identify has its traits at the top; times are ISO-8601 in UTC with milliseconds, and ``timestamp`` is freed
    of the client's clock: receivedAt - (sentAt - originalTimestamp).
    """
    body = event.copy()
    body["messageId"] = envelope.message_id
    body.pop("writeKey", None)
    for name in _IDS:
        value = body.get(name, "")
        if value is None:
            del body[name]
        elif type(value) is not str:
            body[name] = _text_of_number(value)
    _merge(body, envelope)
    if body.get("type") == "identify" and not body.get("traits"):
        context = body.get("context")
        if context and isinstance(context.get("traits"), dict):
            body["traits"] = context["traits"]
    _set_times(body, envelope)
    return body


def _wrong_call(event: dict[str, Any]) -> Refusal | None:
    kind = event.get("type")
    if kind is None or kind == "":
        return Refusal(code="type_missing", message="the event has no 'type'")
    if not isinstance(kind, str) or kind not in CALLS:
        return Refusal(code="type_unknown", message=f"'type' is none of {', '.join(sorted(CALLS))}")
    if kind == "track":
        name = event.get("event")
        if name is None or name == "":
            return Refusal(code="event_not_defined", message="a track call needs 'event', the event's name")
        if not isinstance(name, str):
            return Refusal(code="event_not_string", message="'event' is not a string")
    elif kind in {"page", "screen"}:
        for field in ("name", "category"):
            if not isinstance(event.get(field, ""), (str, type(None))):
                return Refusal(code=f"{field}_not_string", message=f"'{field}' is not a string")
    return None


def _wrong_objects(event: dict[str, Any]) -> Refusal | None:
    for field in _OBJECTS:
        value = event.get(field)
        if value is not None and not isinstance(value, dict):
            return Refusal(code=f"{field}_not_object", message=f"'{field}' is not an object")
    return None


def _wrong_ids(event: dict[str, Any]) -> Refusal | None:
    message_id = event.get("messageId")
    if message_id is not None and not _is_id(message_id):
        return Refusal(code="message_id_not_string", message="'messageId' is not a string")
    if message_id is not None and len(str(message_id)) > LONGEST_MESSAGE_ID:
        return Refusal(code="message_id_too_long", message=f"'messageId' has more than {LONGEST_MESSAGE_ID} characters")
    found = False
    for name in _IDS:
        value = event.get(name)
        if value is None or value == "":
            continue
        if not _is_id(value):
            return Refusal(code="id_not_string", message=f"'{name}' is not a string")
        found = True
    return None if found else Refusal(code="id_required", message=f"one of {', '.join(_IDS)} is needed")


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _text_of_number(value: float) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _merge(body: dict[str, Any], envelope: Envelope) -> None:
    """Put what the batch and the door know under what the event says itself."""
    if envelope.context:
        body["context"] = {**envelope.context, **(body.get("context") or {})}
    if envelope.integrations:
        body["integrations"] = {**envelope.integrations, **(body.get("integrations") or {})}
    if envelope.ip:
        context = body.get("context") or {}
        if context.get("ip") is None:
            body["context"] = {**context, "ip": envelope.ip}


def _set_times(body: dict[str, Any], envelope: Envelope) -> None:
    """Set receivedAt, sentAt, originalTimestamp and timestamp.

    RudderStack's SDKs send both: then ``timestamp`` is what a user has set, as a time that is right, and it stays.
    What is missing or unreadable is taken from the next best clock: an event without a time of its own happened when it
    was sent, and one without ``sentAt`` was sent when it was received (so an import keeps its times).
    """
    received = _receipt(envelope.received_at)
    sent_text, sent = _time(body.get("sentAt") or envelope.sent_at, received, envelope.received_at)
    own, call = body.get("timestamp"), body.get("originalTimestamp")
    original_text, original = _time(call or own, sent_text, sent)
    body["receivedAt"] = received
    body["sentAt"] = sent_text
    body["originalTimestamp"] = original_text
    if call and own and (told := _time(own, "", 0.0)[0]):
        body["timestamp"] = told
        return
    try:
        body["timestamp"] = received if original == sent else iso(envelope.received_at - (sent - original))
    except OverflowError:  # a clock so wrong that the difference leaves the calendar
        body["timestamp"] = received


def _time(value: Any, otherwise_text: str, otherwise: float) -> tuple[str, float]:
    """Return a time as text and seconds; a text in UTC that is written nearly our way is cut to milliseconds."""
    if type(value) is str and _NEARLY_OURS.match(value):
        seconds = parse_time(value)
        if seconds is not None:
            return f"{value[:23]}Z", seconds
    seconds = to_seconds(value)
    return (otherwise_text, otherwise) if seconds is None else (iso(seconds), seconds)
