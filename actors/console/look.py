"""How pages are made: templates that escape everything, the headers that fence them in, and the console's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
import trio

from actors.console import words
from engine.runtime.http_message import Request, Response

HERE: Final = Path(__file__).parent
KINDS: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
FENCE: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),  # without one, browsers hide from us too where a form is from
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""What every answer to a browser carries: nothing runs, loads or frames it that is not ours."""


class Look:
    """Templates and files, read once."""

    def __init__(self) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.filters.update(words.FILTERS)
        self._files: dict[str, tuple[str, bytes, str]] = {}

    def prepare(self) -> None:
        """Read and compile everything: 100 ms that no page need wait for. Runs in a thread."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)
        for path in sorted((HERE / "static").iterdir()):
            body = path.read_bytes()
            self._files[path.name] = (KINDS[path.suffix], body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')

    @property
    def is_ready(self) -> bool:
        """Whether `prepare` was here."""
        return bool(self._files)

    @property
    def mark(self) -> str:
        """What addresses of files carry, so that a new version is not taken for the old."""
        return hashlib.sha256("".join(tag for _, _, tag in self._files.values()).encode()).hexdigest()[:10]

    async def page(self, name: str, context: Mapping[str, Any], *, status: int = 200) -> Response:
        """Return a page; it is made in a thread, so that a long one holds no event up."""
        template = self._environment.get_template(name)
        text = await trio.to_thread.run_sync(template.render, context)
        headers = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-store"), *FENCE)
        return Response(status=status, headers=headers, body=text.encode("utf-8", "replace"))

    def file(self, request: Request) -> Response | None:
        """Return one of the console's own files, or None if there is no such file."""
        found = self._files.get(request.path.rpartition("/")[2])
        if found is None:
            return None
        kind, body, tag = found
        headers = (("Content-Type", kind), ("ETag", tag), ("Cache-Control", "public, max-age=86400"), *FENCE)
        known = request.header("if-none-match") == tag
        return Response(status=304 if known else 200, headers=headers, body=b"" if known else body)


def fenced(response: Response) -> Response:
    """Return *response* with the headers that fence a page in."""
    given = {name.lower() for name, _ in response.headers}
    extra = [(name, value) for name, value in FENCE if name.lower() not in given]
    return msgspec.structs.replace(response, headers=(*response.headers, *extra))
