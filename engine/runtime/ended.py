"""How a WebSocket ends, or does not come about."""

from __future__ import annotations

from engine.errors import HeadraceError

ABNORMAL = 1006
"""The connection ended without a close frame (RFC 6455, section 7.1.5); never sent."""


class Closed(HeadraceError):
    """The connection is over.

    Args:
        code: the close code, ours or the peer's; 1005 if the peer gave none, 1006 if it just went.
        reason: its text, or "".
    """

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(code, reason)

    def __str__(self) -> str:
        """Return ``closed with 4400: not JSON``."""
        return f"closed with {self.code}: {self.reason}" if self.reason else f"closed with {self.code}"


class TooLarge(Closed):
    """A message is too large: nothing more can be received, but what is left to say can still be sent."""


class Refused(HeadraceError):
    """No WebSocket came about.

    Args:
        what: why, one sentence without a full stop.
        status: what the server answered instead of 101; 0 if it answered nothing.
        body: what came with it.
    """

    def __init__(self, what: str, status: int = 0, body: bytes = b"") -> None:
        self.what = what
        self.status = status
        self.body = body
        super().__init__(what, status, body)

    def __str__(self) -> str:
        """Return what went wrong."""
        return self.what
