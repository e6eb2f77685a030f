"""The control endpoint: status, pause and resume as JSON over HTTP, on loopback or with a token."""

from __future__ import annotations

import hmac
from typing import Protocol
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
import trio

from engine.config import schema
from engine.observe.metrics import CONTENT_TYPE
from engine.observe.shown import Counted, Page, Tapping
from engine.observe.status import Status
from engine.runtime.http_server import Request, Response, Service, json_response, serve
from engine.store.base import Selection

PROBES = {"/healthz": False, "/readyz": True}
"""What is asked for health, and whether it must last for a while."""

log = structlog.get_logger()


class Controlled(Protocol):
    """What is offered to who controls the engine."""

    async def status(self) -> Status:
        """Return the engine at a glance."""

    async def metrics(self) -> bytes:
        """Return it as Prometheus reads it."""

    def unwell(self, *, ready: bool) -> tuple[str, str] | None:
        """Return code and text of why no events are accepted (for a while, if *ready*), or None."""

    async def pause(self, kind: str, name: str) -> bool:
        """Hold one of ``syncs`` or ``destinations`` back, also over a restart; return whether there is such a one."""

    async def resume(self, kind: str, name: str) -> bool:
        """Let it go on; likewise."""

    async def retry(self, selection: Selection) -> int:
        """Send what matches again, payloads as they are; return how many."""

    async def discard(self, selection: Selection) -> int:
        """End what matches for good; return how many."""

    async def tap(self, kind: str, name: str, wanted: Tapping) -> Page | None:
        """Return what came by one of ``sources`` or ``syncs``, or None if there is no such a one."""


class Control:
    """Answers who may ask; every change is logged.

    Args:
        operator: what is asked.
        console: where to listen, and the token.
    """

    def __init__(self, operator: Controlled, console: schema.Console) -> None:
        self.operator = operator
        self.console = console
        self._bound = trio.Event()
        self._address = ""
        self._stopped = trio.Event()
        self._waiting: set[trio.CancelScope] = set()

    async def address(self) -> str:
        """Wait until the port is bound and return host:port."""
        await self._bound.wait()
        return self._address

    async def run(self) -> None:
        """Listen until told to stop."""
        listen = self.console.listen
        service = Service(handler=self.answer, crashed=_crashed)
        await serve(listen.host, listen.port, service, stop=self._stopped, task_status=self)

    def stop(self) -> None:
        """Answer nobody any more; those who wait are told."""
        self._stopped.set()
        for scope in self._waiting:
            scope.cancel()

    async def answer(self, request: Request) -> Response:
        """Return the reply to *request*."""
        if request.method == "GET" and request.path in PROBES:  # who probes has no token
            wrong = self.operator.unwell(ready=PROBES[request.path])
            return _refusal(503, *wrong) if wrong else json_response(200, {"status": "ok"})
        if not self._allowed(request):
            return _refusal(401, "unauthorized", "show the console's token as: Authorization: Bearer TOKEN")
        match [request.method, *request.path.strip("/").split("/")]:
            case ["GET", "status"]:
                return json_response(200, await self.operator.status())
            case ["GET", "metrics"]:
                headers = (("content-type", CONTENT_TYPE),)
                return Response(status=200, headers=headers, body=await self.operator.metrics())
            case ["POST", ("syncs" | "destinations") as kind, name, ("pause" | "resume") as change]:
                return await self._change(kind, unquote(name), change)
            case ["POST", "errors", ("retry" | "discard") as change]:
                return await self._mend(change, request.body)
            case ["GET", ("sources" | "syncs") as kind, name, "tap"]:
                return await self._tap(kind, unquote(name), request.query)
        return _refusal(404, "not_found", f"there is no {request.method} {request.path}; try GET /status")

    def _allowed(self, request: Request) -> bool:
        """Return whether *request* shows the token or, if there is none, is no web page's doing."""
        if self.console.token is None:
            # A page in a browser on this machine can post to loopback, but not without saying where it comes from.
            return request.header("origin") is None
        shown = (request.header("authorization") or "").removeprefix("Bearer ")
        return hmac.compare_digest(shown.encode(), self.console.token.encode())

    async def _change(self, kind: str, name: str, change: str) -> Response:
        make = self.operator.pause if change == "pause" else self.operator.resume
        what = f"{kind.removesuffix('s')} '{name}'"
        if not await make(kind, name):
            return _refusal(404, "not_found", f"there is no {what} in the running configuration")
        log.info("control.changed", what=what, change=change)
        done = "is paused: its events wait in the store" if change == "pause" else "goes on from where it stood"
        return json_response(200, Said(message=f"{what} {done}"))

    async def _mend(self, change: str, body: bytes) -> Response:
        try:
            selection = msgspec.json.decode(body or b"{}", type=Selection)
        except msgspec.DecodeError as error:
            return _refusal(400, "invalid_request", str(error))
        make = self.operator.retry if change == "retry" else self.operator.discard
        count = await make(selection)
        log.info("control.changed", what=f"{count} entries", change=change)
        return json_response(200, Counted(count=count))

    async def _tap(self, kind: str, name: str, query: str) -> Response:
        try:
            wanted = msgspec.convert(dict(parse_qsl(query)), Tapping, strict=False)
        except msgspec.ValidationError as error:
            return _refusal(400, "invalid_request", str(error))
        with trio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                page = await self.operator.tap(kind, name, wanted)
            finally:
                self._waiting.discard(scope)
            if page is None:
                what = f"{kind.removesuffix('s')} '{name}'"
                return _refusal(404, "not_found", f"there is no {what} in the running configuration")
            return json_response(200, page)
        return _refusal(503, "draining", "the engine stops")

    def started(self, value: int | None = None) -> None:
        """Note the port, *value*; called by the server when it is bound."""
        host = self.console.listen.host
        self._address = f"[{host}]:{value}" if ":" in host else f"{host}:{value}"
        self._bound.set()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, in a sentence; with a code when it was not."""

    message: str
    code: str = ""


def _crashed(error: Exception) -> None:
    log.error("control.crashed", exc_info=error)


def _refusal(status: int, code: str, message: str) -> Response:
    return json_response(status, Said(message=message, code=code))
