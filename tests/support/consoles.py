"""The console of an engine in the test's own process, asked without a socket."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import msgspec

from engine.runtime.http_server import Request, Response
from tests.support.grown import Engine

HOST = "127.0.0.1:8322"
PAGE = (("accept", "text/html"), ("sec-fetch-site", "none"))
OWN = (("origin", f"http://{HOST}"), ("sec-fetch-site", "same-origin"))
FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = ("content-type", "application/json")

Headers = tuple[tuple[str, str], ...]


def header(response: Response, name: str) -> str:
    """Return one header of an answer, or ""."""
    return next((value for key, value in response.headers if key.lower() == name.lower()), "")


class Browser:
    """Asks as a browser does: keeps the cookie it is given, and fills in the forms that it is shown.

    Args:
        engine: whose console is asked.
        host: as it is named in the address.
    """

    def __init__(self, engine: Engine, host: str = HOST) -> None:
        self.engine = engine
        self.host = host
        self.cookie = ""

    async def ask(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Response:
        """Return the answer to one request."""
        path, _, query = path.partition("?")
        every = [("host", self.host), *([("cookie", self.cookie)] if self.cookie else []), *headers]
        request = Request(
            method=method, path=path, query=query, headers=tuple(every), body=body, peer="127.0.0.1", scheme="http"
        )
        response = await self.engine.tree.console.answer(request)
        if given := header(response, "set-cookie"):
            self.cookie = given.partition(";")[0]
        return response

    async def see(self, path: str) -> str:
        """Return the page at *path*."""
        response = await self.ask("GET", path, PAGE)
        assert response.status == 200, (response.status, response.body)
        return response.body.decode()

    async def send(self, path: str, headers: Headers = OWN, **fields: str) -> Response:
        """Post a form."""
        return await self.ask("POST", path, (*PAGE[:1], *headers, FORM), urlencode(fields).encode())

    async def form(self, path: str) -> str:
        """Return what a form on the page at *path* carries."""
        found = re.search(r'name="form" value="([^"]+)"', await self.see(path))
        assert found
        return found[1]

    async def rest(self, method: str, path: str, body: Any = None, headers: Headers = ()) -> tuple[int, Any]:
        """Return status and JSON of the Admin REST."""
        raw = b"" if body is None else msgspec.json.encode(body)
        response = await self.ask(method, f"/api/v1{path}", (*headers, JSON), raw)
        return response.status, msgspec.json.decode(response.body)
