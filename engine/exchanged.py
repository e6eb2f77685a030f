"""What goes to a destination, and what comes back."""

from __future__ import annotations

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request, as a destination wants it made."""

    method: str = "POST"
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came back for one request.

    Attributes:
        status: the HTTP status; 0 if nothing came back.
        headers: lower-case names.
        body: at most 10 KiB of it; 1 MiB where a request may hold a batch, of which it may tell item by item.
        error: the error's class and text if nothing came back, for example ``ConnectError: refused``.
        seconds: from the first byte sent to the last read.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""
    seconds: float = 0.0

    def header(self, name: str) -> str | None:
        """Return the first header of that lower-case *name*, or None."""
        return next((value for key, value in self.headers if key == name), None)
