"""Events by HTTP: the routes of the source plugins, the replies that every SDK understands, and CORS.

Success is always 200 with JSON, and after the commit; 400 is what can never work, the only status that is final in all
clients; every error has ``code`` and ``message``, because two SDKs retry for ever without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import trio

from actors.receiver.frames import Frame
from actors.receiver.intake import MOST, Door, Intake, Verdict, chunks
from engine.errors import ProtocolError, StoreError, StoreFull
from engine.plugin import Post, Source
from engine.runtime.http_server import Request, Response, json_response

FULL_AGAIN: Final = 5
"""Seconds after which a client may look again whether the store has room."""

PREFLIGHT_AGE: Final = 7200
"""Seconds a browser may remember a preflight; Chromium's own limit."""


class RefusedItem(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a request that was not accepted; sending it again does not help."""

    index: int
    message_id: str
    code: str
    message: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a 200: what became of each event.

    Attributes:
        accepted: events that are durable now; duplicates are.
    """

    success: bool = True
    accepted: int
    refused: tuple[RefusedItem, ...] = ()


class Posts:
    """Answers requests of clients, one at a time per connection.

    Args:
        intake: what it submits to.
        sources: the shapes in which events come.
    """

    def __init__(self, intake: Intake, sources: Iterable[Source]) -> None:
        self._intake = intake
        self._routes: dict[tuple[str, str], Source] = {route: source for source in sources for route in source.routes}
        self._methods: dict[str, list[str]] = {}
        for method, path in self._routes:
            self._methods.setdefault(path, []).append(method)

    async def answer(self, request: Request) -> Response:
        """Return the reply to *request*, readable for a page of any origin."""
        if request.method == "OPTIONS":
            return _preflight(request)
        return _readable(await self._reply(request), request)

    async def _reply(self, request: Request) -> Response:
        source = self._routes.get((request.method, request.path))
        if source is None:
            return self._lost(request)
        post = Post(
            method=request.method,
            path=request.path,
            query=query_of(request),
            headers=request.headers,
            body=request.body,
        )
        try:
            submission = source.decode(post)
        except ProtocolError as error:
            return problem(400, "invalid_request", str(error))
        door = self._intake.door_for(submission.write_key)
        if door is None:
            text = "show a write key" if submission.write_key is None else "the write key opens nothing"
            return problem(401, "invalid_write_key", text)
        if not submission.items:
            return problem(400, "empty_batch", "the batch holds no event")
        frame = Frame(
            items=submission.items,
            sent_at=submission.sent_at,
            context=submission.context,
            integrations=submission.integrations,
            ip=request.peer if submission.browser else None,
        )
        try:
            return _verdict(await self._submit(door, frame))
        except StoreFull as error:
            return problem(503, "store_full", str(error), [("Retry-After", str(FULL_AGAIN))])
        except StoreError as error:
            return problem(503, "store_failed", str(error), [("Retry-After", str(FULL_AGAIN))])

    async def _submit(self, door: Door, frame: Frame) -> list[Verdict]:
        """Submit all of *frame*, wait until it is durable, and return what became of it.

        Raises:
            StoreError: it is not durable; the client shall send all of it again.
        """
        verdicts: list[Verdict] = []
        wait = _Wait()
        for chunk in chunks([frame]):
            verdict = self._intake.submit(door, chunk, wait.one_done)
            wait.open += verdict.waits
            verdicts.append(verdict)
            if verdict.count == MOST:
                await trio.lowlevel.checkpoint()  # the rest of a big batch: others have their turn as well
        await wait.over()
        return verdicts

    def _lost(self, request: Request) -> Response:
        methods = self._methods.get(request.path)
        if methods is None:
            return problem(404, "not_found", f"there is nothing at {request.path}; events go to /v1/track or /v1/batch")
        allow = ", ".join(sorted(methods))
        return problem(405, "method_not_allowed", f"{request.path} takes {allow}", [("Allow", allow)])


class _Wait:
    """How many submissions of one request are not durable yet."""

    def __init__(self) -> None:
        self.open = 0
        self._closed = 0
        self._error: BaseException | None = None
        self._moved = trio.Event()

    def one_done(self, error: BaseException | None) -> None:
        """Take note that one submission is durable, or never will be."""
        self._closed += 1
        self._error = self._error or error
        self._moved.set()

    async def over(self) -> None:
        """Wait for all of them.

        Raises:
            StoreError: one of them failed.
        """
        while self._closed < self.open and self._error is None:
            await self._moved.wait()
            self._moved = trio.Event()
        if self._error is not None:
            raise self._error


def problem(status: int, code: str, message: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
    """Return an error as every client reads it."""
    return json_response(status, {"code": code, "message": message}, headers)


def query_of(request: Request) -> dict[str, str]:
    """Return the query's parameters; of one that comes twice, the last."""
    return dict(parse_qsl(request.query)) if request.query else {}


def _verdict(verdicts: Sequence[Verdict]) -> Response:
    """Return 200 with a verdict per event, or 400 if none of them can ever work."""
    refused: list[RefusedItem] = []
    start = 0
    for verdict in verdicts:
        refused.extend(
            RefusedItem(index=start + index, message_id=message_id, code=code, message=message)
            for index, message_id, code, message in verdict.refused
        )
        start += verdict.count
    if len(refused) == start:
        first = refused[0]
        body: Mapping[str, Any] = {"code": first.code, "message": first.message, "refused": refused}
        return json_response(400, body)
    return json_response(200, Outcome(accepted=start - len(refused), refused=tuple(refused)))


def _preflight(request: Request) -> Response:
    headers = [
        ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
        ("Access-Control-Max-Age", str(PREFLIGHT_AGE)),
    ]
    # Echoed, not listed: every SDK asks for headers of its own.
    if asked := request.header("access-control-request-headers"):
        headers.append(("Access-Control-Allow-Headers", asked))
    return _readable(Response(status=204, headers=tuple(headers), body=b""), request)


def _readable(response: Response, request: Request) -> Response:
    """Return *response* with the headers by which a browser lets the page see it; credentialed, so never ``*``."""
    origin = request.header("origin")
    if origin is None:
        return response
    headers = (
        *response.headers,
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Retry-After"),
        ("Vary", "Origin"),
    )
    return msgspec.structs.replace(response, headers=headers)
