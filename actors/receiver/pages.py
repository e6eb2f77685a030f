"""What the receiver serves besides answers: its client for browsers, and the description of its HTTP surface."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import engine
from engine.runtime.http_message import JSON, Request, Response

SCRIPT: Final = "/headrace.js"
OPENAPI: Final = "/openapi.json"
FRESH: Final = 3600
"""Seconds for which a browser need not ask again."""


class Pages:
    """Files that are read once; answers say when a browser has them already."""

    def __init__(self) -> None:
        script = (Path(engine.__file__).parent / "client" / "headrace.js").read_bytes()
        openapi = Path(__file__).with_name("openapi.json").read_bytes()
        self._pages: Mapping[str, tuple[tuple[str, str], bytes, str]] = {
            SCRIPT: (("content-type", "text/javascript; charset=utf-8"), script, _tag(script)),
            OPENAPI: (JSON, openapi, _tag(openapi)),
        }

    def answer(self, request: Request) -> Response | None:
        """Return the page that *request* asks for, or None if it is for somebody else."""
        if request.method not in {"GET", "HEAD"} or request.path not in self._pages:
            return None
        kind, body, tag = self._pages[request.path]
        headers = [
            kind,
            ("ETag", tag),
            ("Cache-Control", f"public, max-age={FRESH}"),
            ("Access-Control-Allow-Origin", "*"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        known = request.header("if-none-match") == tag
        return Response(status=304 if known else 200, headers=headers, body=b"" if known else body)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
