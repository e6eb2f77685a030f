"""What a browser is told about who may read an answer, and which pages may send. Pure.

Credentialed, so the exact origin is echoed and never ``*``; headers are echoed too, since every SDK asks for its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from engine.runtime.http_message import Request, Response, json_response

PREFLIGHT_AGE: Final = 7200
"""Seconds a browser may remember a preflight; Chromium's own limit."""


class Origins:
    """The pages that may send to one source.

    Args:
        allowed: for example ``https://shop.example`` or ``https://*.shop.example``; none for any.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        patterns = [re.escape(each.rstrip("/").lower()).replace(r"\*", r"[a-z0-9.-]+") for each in allowed]
        self._allowed = re.compile("|".join(patterns)) if patterns else None

    def allow(self, origin: str | None) -> bool:
        """Return whether a page from *origin* may send; None is no page at all."""
        return origin is None or self._allowed is None or self._allowed.fullmatch(origin.lower()) is not None


def preflight(request: Request, origins: Iterable[Origins]) -> Response:
    """Return the answer to an OPTIONS request: yes, if the page may send to any source; no key is shown yet."""
    origin = request.header("origin")
    if not any(each.allow(origin) for each in origins):
        return strange(origin)
    headers = [
        ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
        ("Access-Control-Max-Age", str(PREFLIGHT_AGE)),
    ]
    if asked := request.header("access-control-request-headers"):
        headers.append(("Access-Control-Allow-Headers", asked))
    return readable(Response(status=204, headers=tuple(headers), body=b""), request)


def strange(origin: str | None) -> Response:
    """Return the answer to a page that may not send; its browser does not let it read this."""
    text = f"pages of {_shown(origin)} may not send here; origins in config.toml names those that may"
    return json_response(403, {"code": "origin_not_allowed", "message": text})


def readable(response: Response, request: Request) -> Response:
    """Return *response* with the headers by which a browser lets the page see it."""
    origin = request.header("origin")
    if origin is None or response.status == 403:  # noqa: PLR2004 - what `strange` says
        return response
    headers = (
        *response.headers,
        ("Access-Control-Allow-Origin", _shown(origin)),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Retry-After"),
        ("Vary", "Origin"),
    )
    return msgspec.structs.replace(response, headers=headers)


def _shown(origin: str | None) -> str:
    """Return *origin* as it may stand in a header: a URL's characters, and not more than there can be."""
    return re.sub(r"[^\x21-\x7e]", "", origin or "")[:300]
