"""Signatures the Standard Webhooks way, symmetric scheme ``v1``.

Source: https://github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, version 1.0.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator

from engine.errors import Problem

TOLERANCE = 300
"""Seconds that a request may be old, or from the future, and still count as signed."""

_PREFIX = "whsec_"


def secret_problems(secret: str) -> Iterator[Problem]:
    """Yield what is wrong with *secret*; it is not shown."""
    try:
        key = _key(secret)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        hint = "copy the whole secret, or give it without whsec_"
        yield Problem(where="secret", what="what follows whsec_ is not base64", hint=hint)
        return
    if not key:
        yield Problem(where="secret", what="is empty", hint="give at least 24 random bytes, or leave the key out")


class Signer:
    """Signs requests with one secret, and knows its own signature again.

    Args:
        secret: ``whsec_`` and base64, as the specification writes it, or any other text: its UTF-8 is the key. One
            without `secret_problems`.
    """

    def __init__(self, secret: str) -> None:
        """Read the key out of *secret*."""
        self._key = _key(secret)

    def headers(self, message_id: str, at: float, body: bytes) -> list[tuple[str, str]]:
        """Return the three headers that sign *body*.

        Args:
            message_id: equal for every attempt; holds no full stop, which separates the parts that are signed.
            at: epoch seconds of this attempt.
            body: the bytes that are sent.
        """
        seconds = str(int(at))
        digest = hmac.digest(self._key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)
        return [
            ("webhook-id", message_id),
            ("webhook-timestamp", seconds),
            ("webhook-signature", f"v1,{base64.b64encode(digest).decode()}"),
        ]

    def signed(self, header: Callable[[str], str | None], at: float, body: bytes) -> bool:
        """Return whether *body* came signed with this secret, at most `TOLERANCE` seconds from *at*.

        Args:
            header: returns a header of the request.
            at: epoch seconds, now.
            body: the bytes that came.
        """
        seconds = header("webhook-timestamp") or ""
        if not re.fullmatch("[0-9]{1,12}", seconds) or abs(int(seconds) - at) > TOLERANCE:
            return False
        *_, (_, right) = self.headers(header("webhook-id") or "", int(seconds), body)
        claims = (header("webhook-signature") or "").split()
        return any(hmac.compare_digest(claim.encode(), right.encode()) for claim in claims)


def _key(secret: str) -> bytes:
    """Return the bytes that sign; base64 may lack its padding."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    text = secret.removeprefix(_PREFIX)
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
