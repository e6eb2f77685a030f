"""Many events at once, by POST /v1/batch: the cheapest way in."""

from __future__ import annotations

import http.client

import msgspec

EACH = 500
"""Events in one request."""


def post(address: str, numbers: range, key: str = "key") -> None:
    """Send events with these numbers in ``properties.n``, in order, over one connection; all are accepted.

    Args:
        address: the receiver's, as ``host:port``.
        numbers: also in the messageIds.
        key: the source's.
    """
    connection = http.client.HTTPConnection(address, timeout=60)
    headers = {"X-Write-Key": key, "Content-Type": "application/json"}
    try:
        for first in range(0, len(numbers), EACH):
            batch = [_event(number) for number in numbers[first : first + EACH]]
            connection.request("POST", "/v1/batch", msgspec.json.encode({"batch": batch}), headers)
            answer = connection.getresponse()
            told = msgspec.json.decode(answer.read())
            assert (answer.status, told["accepted"]) == (200, len(batch)), told
    finally:
        connection.close()


def _event(number: int) -> dict[str, object]:
    return {"type": "track", "event": "Seen", "userId": "u", "messageId": f"m{number}", "properties": {"n": number}}
