"""The idempotency key: what makes the second copy of a delivery recognisable."""

from __future__ import annotations

from hashlib import blake2b


def delivery_key(source: str, message_id: str, sync: str, event_type: str) -> str:
    """Return 32 hex digits, equal for every attempt at the same delivery and for nothing else.

    The parts are joined by a control character that names may not hold, and hashed with the length of the only part
    that may hold anything, so that no two sets of parts look the same.
    """
    joined = f"{source}\x1f{len(message_id)}\x1f{message_id}\x1f{sync}\x1f{event_type}"
    return blake2b(joined.encode(errors="surrogatepass"), digest_size=16).hexdigest()
