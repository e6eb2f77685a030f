"""What a careful developer writes by hand for one purchase: the floors of the language bench.

Each does the same as the filter, mapping, contract or step it stands beside, for any event: what is missing is left
out, a text that is no number is refused, and nothing is looked up twice.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def reference(event: Event) -> Any:
    """Return ``properties.total``."""
    properties = event.get("properties")
    return properties.get("total") if isinstance(properties, dict) else None


def passes(event: Event) -> bool:
    """Return what the filter of five clauses does."""
    properties = event.get("properties")
    if not isinstance(properties, dict):
        return False
    total = properties.get("total")
    return (
        event.get("type") == "track"
        and event.get("event") == "Order Completed"
        and isinstance(total, (int, float))
        and not isinstance(total, bool)
        and total >= 100
        and properties.get("currency") in {"EUR", "USD"}
        and properties.get("coupon") is not None
    )


def twelve(event: Event) -> Event:
    """Return twelve plain fields."""
    payload: Event = {}
    if "userId" in event:
        payload["customer"] = event["userId"]
    if "anonymousId" in event:
        payload["anonymous"] = event["anonymousId"]
    if "type" in event:
        payload["kind"] = event["type"]
    if "messageId" in event:
        payload["id"] = event["messageId"]
    if "timestamp" in event:
        payload["at"] = event["timestamp"]
    properties = event.get("properties")
    if isinstance(properties, dict):
        for name in ("order_id", "currency", "coupon", "city", "country", "tax"):
            if name in properties:
                payload[name] = properties[name]
    context = event.get("context")
    page = context.get("page") if isinstance(context, dict) else None
    if isinstance(page, dict) and "path" in page:
        payload["path"] = page["path"]
    return payload


def fifteen(event: Event) -> Event:
    """Return the twelve, a number, a tidied text and a sentence."""
    payload = twelve(event)
    properties = event.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    if "total" in properties:
        payload["total"] = _number(properties["total"])
    if "email" in properties:
        email = properties["email"]
        payload["email"] = None if email is None else str(email).strip().lower()
    payload["title"] = f"{_text(event.get('event'))} in {_text(properties.get('currency'))}"
    return payload


def _number(value: Any) -> Any:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def is_valid(event: Event) -> bool:
    """Return whether the event keeps the contract."""
    properties = event.get("properties")
    if not isinstance(properties, dict):
        return False
    total, currency, order_id = properties.get("total"), properties.get("currency"), properties.get("order_id")
    return (
        isinstance(total, (int, float))
        and not isinstance(total, bool)
        and currency in {"EUR", "USD", "GBP"}
        and isinstance(order_id, str)
        and isinstance(properties.get("coupon", ""), str)
        and isinstance(properties.get("city", ""), str)
        and all(isinstance(item, dict) and isinstance(item.get("sku"), str) for item in properties.get("products", ()))
        and properties.keys() <= DECLARED
    )


DECLARED = {"total", "currency", "order_id", "coupon", "city", "country", "tax", "email", "products"}


def normalised(event: Event, message_id: str, received_at: float) -> Event:
    """Return the event with its message id and its times in order."""
    body = {**event, "messageId": message_id}
    body.pop("writeKey", None)
    received = _EPOCH + timedelta(seconds=received_at)
    sent = datetime.fromisoformat(body["sentAt"]) if "sentAt" in body else received
    original = datetime.fromisoformat(body["timestamp"]) if "timestamp" in body else sent
    for name in ("userId", "anonymousId", "groupId", "previousId"):
        if name in body and not isinstance(body[name], str):
            body[name] = str(body[name])
    body["receivedAt"] = _iso(received)
    body["sentAt"] = _iso(sent)
    body["originalTimestamp"] = _iso(original)
    body["timestamp"] = _iso(received - (sent - original))
    return body


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
