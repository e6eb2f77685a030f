"""Asking a running engine, by the console's Admin REST."""

from __future__ import annotations

import http.client
import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.cli.common import read_places
from engine.errors import HeadraceError

T = TypeVar("T")

PREFIX = "/api/v1"
"""Where the console answers machines."""
TOKEN = "HEADRACE_TOKEN"  # noqa: S105 - its name
"""The environment variable with the console's token, where the configuration has only its hash."""
PATIENCE = 5.0
"""Seconds an answer may take."""


class NotRunning(HeadraceError):
    """No engine answers at the configured address."""


class Refusal(HeadraceError):
    """The engine answered, and said no."""


class Late(HeadraceError):
    """The engine is there, and has not answered yet."""


def ask(config: Path, method: str, path: str, kind: type[T], body: Any = None, *, patience: float = PATIENCE) -> T:
    """Return what the engine of a configuration answers, decoded.

    Plain `http.client`: one request to our own port needs no more, and starts ten times as fast as httpx.

    Args:
        config: where the engine's address stands.
        method: of HTTP.
        path: below `PREFIX`.
        kind: what the answer is decoded to.
        body: sent as JSON, unless it is None.
        patience: seconds an answer may take.

    Raises:
        NotRunning: nobody listens there.
        Refusal: the engine said no; its words.
        Late: it takes longer than *patience*, and may still do what was asked.
    """
    console = read_places(config).config.console
    token = _token(config) if console.token else None
    host, _, port = console.listen.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=patience)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        connection.connect()
        connection.request(method, PREFIX + path, None if body is None else msgspec.json.encode(body), headers)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) and connection.sock is not None:  # it is there
            raise Late(_late(console.listen, patience)) from None
        raise NotRunning(
            f"no engine answers at {console.listen} ({error})\n    start one with: headrace run -c {config}"
        ) from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Refusal(_words(body, answer.status))
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"what answers at {console.listen} is no engine of this version ({error})") from None


def _late(listen: str, patience: float) -> str:
    return (
        f"the engine at {listen} has not answered within {patience:g} s\n"
        "    it may still do what it was asked: look before you ask again"
    )


def _token(config: Path) -> str:
    """Return what the engine wants to be shown.

    Raises:
        HeadraceError: the configuration has its hash only, and the environment does not have it.
    """
    if given := os.environ.get(TOKEN):
        return given
    written = str(read_places(config, secrets=True).config.console.token)
    if written.startswith("sha256:"):
        raise HeadraceError(f"[console] token is a hash, which opens nothing\n    export {TOKEN}=…, the token itself")
    return written


class _Words(msgspec.Struct):
    """What a refusal says."""

    message: str = ""


def _words(body: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(body, type=_Words).message or f"the engine answered {status}"
    except msgspec.DecodeError:
        return f"the engine answered {status}"
