"""Answers what machines ask at ``/api/v1``: decodes, asks the operator, notes what was changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

import msgspec
import trio
from msgspec import inspect as types

import engine
from actors.console.answers import NOT_KEPT, Asked, Endpoint, Refused, fitting
from actors.console.audit import Audit
from actors.console.bulk import Bulks
from actors.console.endpoints import ENDPOINTS
from actors.console.guard import Who
from actors.console.openapi import PREFIX, describe
from engine.errors import HeadraceError, did_you_mean, one_of
from engine.observe.audited import Changed
from engine.runtime.http_message import JSON, Request, Response

if TYPE_CHECKING:
    from actors.operator import Operator

WHAT = "application/json"
DRAINING = Refused(503, "draining", "the engine stops")


class Api:
    """The table of endpoints, at work.

    Args:
        operator: what is asked.
        audit: where changes are noted.
        bulks: what changes many entries at once.
    """

    def __init__(self, operator: Operator, audit: Audit, bulks: Bulks) -> None:
        self.operator = operator
        self.audit = audit
        self.bulks = bulks
        self._waiting: set[trio.CancelScope] = set()
        self._described = msgspec.json.encode(describe(ENDPOINTS, engine.__version__))

    def stop(self) -> None:
        """Tell those who wait that the engine stops."""
        for scope in self._waiting:
            scope.cancel()

    async def answer(self, request: Request, who: Who, now: float) -> Response:
        """Return the reply to a *request* below ``/api/v1``.

        Raises:
            Refused: what cannot be had.
        """
        if request.path == f"{PREFIX}/openapi.json" and request.method in {"GET", "HEAD"}:
            return Response(status=200, headers=(JSON, *NOT_KEPT), body=self._described)
        endpoint, names = self.find(request.method, request.path.removeprefix(PREFIX))
        query = _converted(_parameters(request.query, endpoint.query), endpoint.query, strict=False)
        body = _decoded(request, endpoint.body)
        asked = self.asked(path=names, query=query, body=body, who=who, now=now)
        made = await self.ask(endpoint, asked, f"{request.method} {request.path.removeprefix(PREFIX)}")
        return Response(status=200, headers=(JSON, *NOT_KEPT), body=msgspec.json.encode(made))

    def asked(self, **parts: Any) -> Asked:
        """Return a question, with who can answer it."""
        return Asked(operator=self.operator, audit=self.audit, bulks=self.bulks, **parts)

    async def ask(self, endpoint: Endpoint, asked: Asked, what: str) -> Any:
        """Return what the endpoint says; a change is noted, also one that was refused.

        Raises:
            Refused: as it says.
        """
        if endpoint.method == "GET" or endpoint.reads:
            return await self._answered(endpoint, asked)
        change = Changed(at=asked.now, who=asked.who.name if asked.who else "", what=what)
        try:
            made = await self._answered(endpoint, asked)
        except Refused as error:
            await self.audit.add(msgspec.structs.replace(change, told=str(error), failed=True))
            raise
        if endpoint.noted(asked.body, made):
            await self.audit.add(msgspec.structs.replace(change, told=getattr(made, "message", "")))
        return made

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint at *path*, and the names in it.

        Raises:
            Refused: there is none, or not with this method.
        """
        fits = [(each, names) for each in ENDPOINTS if (names := fitting(each.path, path, unquote)) is not None]
        for each, names in fits:
            if each.method == method or (each.method, method) == ("GET", "HEAD"):
                return each, names
        if fits:
            raise Refused(405, "method_not_allowed", f"{path} takes {' and '.join(each.method for each, _ in fits)}")
        raise Refused(404, "not_found", f"there is no {method} {path}; see GET {PREFIX}/openapi.json")

    async def _answered(self, endpoint: Endpoint, asked: Asked) -> Any:
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                return await endpoint.answer(asked)
            except Refused:
                raise
            except HeadraceError as error:
                raise Refused(400, "not_possible", str(error)) from error
            finally:
                self._waiting.discard(scope)
        raise DRAINING


def _decoded(request: Request, kind: type[msgspec.Struct] | None) -> Any:
    if kind is None:
        return None
    if (request.header("content-type") or "").partition(";")[0].strip().lower() != WHAT:
        raise Refused(400, "invalid_request", f"post JSON, with Content-Type: {WHAT}")
    try:
        made = msgspec.json.decode(request.body, type=kind)
        said = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "invalid_request", str(error)) from error
    # What is chosen by a misspelt part would be everything.
    fields = sorted(field.encode_name for field in msgspec.structs.fields(kind))
    for name in said.keys() - fields:
        hint = did_you_mean(name, fields) or one_of(fields)
        raise Refused(400, "invalid_request", f"there is no field '{name}' here: {hint}")
    return made


def _converted(values: Mapping[str, Any], kind: type[msgspec.Struct] | None, *, strict: bool) -> Any:
    if kind is None:
        return None
    try:
        return msgspec.convert(values, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Refused(400, "invalid_request", str(error)) from error


def from_form(values: Mapping[str, Sequence[str]], kind: type[msgspec.Struct] | None) -> Any:
    """Return the fields of a form as an endpoint's body: several of one name where the body has a list.

    An empty field says nothing, as if it were not there.

    Raises:
        Refused: they do not fit.
    """
    if kind is None:
        return None
    lists = _lists_of(kind)
    said = {name: [value for value in several if value] for name, several in values.items()}
    given: dict[str, Any] = {name: list(one) if name in lists else one[-1] for name, one in said.items() if one}
    return _converted(given, kind, strict=False)


def _parameters(query: str, kind: type[msgspec.Struct] | None) -> dict[str, Any]:
    """Return an address's parameters: several of one name where *kind* has a list, else the last."""
    lists = _lists_of(kind) if kind else set()
    several = parse_qs(query, keep_blank_values=True)
    return {name: values if name in lists else values[-1] for name, values in several.items()}


def _lists_of(kind: type[msgspec.Struct]) -> set[str]:
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    return {field.encode_name for field in info.fields if isinstance(field.type, _LISTS)}


_LISTS = (types.VarTupleType, types.ListType, types.SetType, types.FrozenSetType)
