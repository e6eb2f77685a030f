"""Whether somebody is there: a connection to where a destination is, and no request."""

from __future__ import annotations

import httpx
import trio

from engine.runtime.http_connection import Guard, dial, tls_context


async def reach(url: str, *, allow_private: bool, seconds: float = 10.0) -> str:
    """Return "" if a connection to the origin of *url* can be made, TLS included, else why not; nothing is sent."""
    try:
        parts = httpx.URL(url)
        guard = Guard(allow_private=allow_private, tls=tls_context() if parts.scheme == "https" else None)
        with trio.move_on_after(seconds):
            connection = await dial(parts, guard, 0)
            connection.drop()
            return ""
    except (httpx.TransportError, httpx.InvalidURL) as error:
        return str(error)
    return f"no connection to {parts.host} in {seconds:g} s"
