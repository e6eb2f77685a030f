"""What is answered: in JSON to machines, as a page to people, and how a refusal is said to both."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from engine.errors import HeadraceError
from engine.runtime.http_message import Request, Response, json_response

if TYPE_CHECKING:
    from actors.console.audit import Audit
    from actors.console.bulk import Bulks
    from actors.console.guard import Who
    from actors.operator import Operator


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, in a sentence; with a code when it was not."""

    message: str
    code: str = ""


class Refused(HeadraceError):
    """What is asked cannot be had; becomes an answer.

    Args:
        status: of HTTP, 400 to 503.
        code: one word for machines.
        message: one sentence for people, without a full stop.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)

    def response(self) -> Response:
        """Return the answer for a machine."""
        return json_response(self.status, Said(message=str(self), code=self.code), NOT_KEPT)


NOT_KEPT = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
"""Headers of every answer that is about this moment."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One question to the engine, decoded.

    Attributes:
        operator: who knows.
        audit: what was changed by hand.
        bulks: what changes many entries at once.
        path: the values of the path's names.
        query, body: as the endpoint's Structs; None where it has none.
        who: who asks.
        now: epoch seconds.
    """

    operator: Operator
    audit: Audit
    bulks: Bulks
    path: Mapping[str, str] = {}
    query: Any = None
    body: Any = None
    who: Who | None = None
    now: float = 0.0


Answer = Callable[[Asked], Awaitable[Any]]


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One question that can be asked at ``/api/v1``; POST changes something, and is noted.

    Attributes:
        method: GET or POST.
        path: below ``/api/v1``; a part in braces is a name.
        title: what it does, one sentence without a full stop.
        answer: asks the operator; returns *out*, or raises `Refused` or a HeadraceError.
        out: what is answered.
        query: the parameters, or None.
        body: what is posted, or None.
        reads: whether a POST changes nothing, and need not be noted.
        noted: tells by body and answer whether a change is; one that takes many steps is noted once.
    """

    method: str
    path: str
    title: str
    answer: Answer
    out: Any
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    reads: bool = False
    noted: Callable[[Any, Any], bool] = lambda _body, _made: True


def fitting(pattern: str, path: str, unquote: Callable[[str], str]) -> dict[str, str] | None:
    """Return the values of *pattern*'s names in *path*, or None if it does not fit."""
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    names: dict[str, str] = {}
    for want, part in zip(wanted, given, strict=True):
        if want.startswith("{"):
            if not part:
                return None
            names[want[1:-1]] = unquote(part)
        elif want != part:
            return None
    return names


def unknown(kind: str, name: str) -> Refused:
    """Return the refusal of a name that nothing has."""
    return Refused(404, "not_found", f"there is no {kind} '{name}' in the running configuration")


def wants_page(request: Request) -> bool:
    """Return whether *request* is a browser's that shows what it gets."""
    return "text/html" in (request.header("accept") or "")
