"""Events by HTTP: the routes of the source plugins, the replies that every SDK understands, and CORS.

Success is always 200 with JSON, and after the commit; 400 is what can never work, the only status that is final in all
clients; every error has ``code`` and ``message``, because two SDKs retry for ever without.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog
import trio

from actors.receiver.doors import Door
from actors.receiver.frames import Frame
from actors.receiver.intake import MOST, Intake, Verdict, chunks
from actors.receiver.origins import Origins, preflight, readable, strange
from actors.receiver.routes import Routes
from actors.receiver.seldom import Seldom
from engine.errors import ProtocolError, SignatureError, StoreError, StoreFull
from engine.plugin import Post, Shaped, Source
from engine.runtime.http_message import JSON
from engine.runtime.http_server import BadRequest, Request, Response, json_response

log = structlog.get_logger()

FULL_AGAIN: Final = 5
"""Seconds after which a client may look again whether the store has room."""

SERVER_ERROR: Final = 500
NEVER: Final = frozenset({413, 415})
"""What the server says of bodies it does not take. Clients are told 400, the only status that none of them repeats."""

NO_EVENT: Final = "the batch holds no event"

NO_KEY: Final = "show a write key: as Basic user, Bearer, X-Write-Key, ?writeKey=, or writeKey in the body"
WRONG_KEY: Final = "no source has this write key"


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
        refused: those that are not; left out if there are none.
    """

    success: bool = True
    accepted: int
    refused: tuple[RefusedItem, ...] | msgspec.UnsetType = msgspec.UNSET


class Posts:
    """Answers requests of clients, one at a time per connection.

    Args:
        intake: what it submits to.
        sources: the shapes in which events come.
    """

    def __init__(self, intake: Intake, sources: Iterable[Source]) -> None:
        self._intake = intake
        sources = tuple(sources)
        self._routes = Routes(sources)
        # Asked once: whether an object keeps to a protocol costs more than all else that is looked up here.
        self._shaped: dict[Source, Shaped] = {each: each for each in sources if isinstance(each, Shaped)}
        self._strangers = Seldom(intake.clock)

    async def answer(self, request: Request) -> Response | None:
        """Return the reply to *request*, readable for a page of any origin that may send; None to hang up."""
        if request.method == "OPTIONS":
            return preflight(request, self._origins())
        response = await self._reply(request)
        if response.status >= SERVER_ERROR and is_page(request):
            return None  # a browser's SDK takes any answer for success, and sends again when there is none
        return self._told(response, request)

    def refused(self, bad: BadRequest, request: Request | None) -> Response:
        """Return the answer to what the server could not read; 400 where it can never work, which is final for all."""
        response = bad.response()
        if bad.status in NEVER:
            response = msgspec.structs.replace(response, status=400)
        return response if request is None else self._told(response, request)

    def _told(self, response: Response, request: Request) -> Response:
        origin = request.header("origin")
        return readable(response, request) if any(each.allow(origin) for each in self._origins()) else response

    def _origins(self) -> Iterator[Origins]:
        return (door.origins for door in self._intake.doors.values())

    async def _reply(self, request: Request) -> Response:
        methods = self._routes.at(request.path)
        source = methods.get("GET" if request.method == "HEAD" else request.method)
        if source is None:
            return _lost(request, methods)
        post = Post(
            method="GET" if request.method == "HEAD" else request.method,
            path=request.path,
            query=query_of(request),
            headers=request.headers,
            body=request.body,
            scheme=request.scheme,
        )
        try:
            return await self._taken(source, post, request)
        except ProtocolError as error:
            return problem(400, "invalid_request", str(error))
        except SignatureError as error:
            return problem(401, "invalid_signature", str(error))
        except StoreFull as error:
            return problem(503, "store_full", str(error), [("Retry-After", str(FULL_AGAIN))])
        except StoreError as error:
            return problem(503, "store_failed", str(error), [("Retry-After", str(FULL_AGAIN))])

    async def _taken(self, source: Source, post: Post, request: Request) -> Response:
        submission = source.decode(post)
        if submission.write_key is None and submission.reply and not submission.items:
            return _said(submission.reply)
        door = self._intake.door_for(submission.write_key)
        if door is None:
            if times := self._strangers.now():
                log.warning("receiver.stranger", ip=request.peer, path=request.path, times=times)
            text = NO_KEY if submission.write_key is None else WRONG_KEY
            return problem(401, "invalid_write_key", text)
        if not door.origins.allow(request.header("origin")):
            return strange(request.header("origin"))
        shaped = self._shaped.get(source)
        if wrong := _wrong_way(type(shaped) if shaped else None, door):
            return problem(400, "wrong_source_type", wrong)
        if shaped:
            submission = shaped.shape(post, submission, door.plan.doorway.settings, self._intake.clock.wall())
        if not submission.items:
            return _said(submission.reply) if submission.reply else problem(400, "empty_batch", NO_EVENT)
        wait = 0.0 if is_page(request) else self._intake.wait(submission.write_key, len(submission.items))
        if wait:
            again = str(math.ceil(wait))
            text = f"the write key has used up its quota; come again in {again} s"
            return problem(429, "quota_exceeded", text, [("Retry-After", again)])
        frame = Frame(
            items=submission.items,
            sent_at=submission.sent_at,
            context=submission.context,
            integrations=submission.integrations,
            ip=request.peer if submission.browser else None,
        )
        return _verdict(await self._submit(door, frame), submission.reply)

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


def is_page(request: Request) -> bool:
    """Return whether a web page made *request*; its browser says where the page is from."""
    return request.header("origin") is not None


def _wrong_way(needed: type[Shaped] | None, door: Door) -> str:
    """Return why *door* does not take what a plugin with settings, *needed*, or one without reads; or ""."""
    kind = door.plan.doorway.kind
    if kind is needed:
        return ""
    if kind is None:
        return f"source '{door.plan.name}' takes events of SDKs; its type in config.toml says so"
    places = ", ".join(path for _, path in kind.routes)
    return f"source '{door.plan.name}' takes events at {places} only; its type in config.toml says so"


def _lost(request: Request, methods: Iterable[str]) -> Response:
    if not methods:
        return problem(404, "not_found", f"there is nothing at {request.path}; events go to /v1/track or /v1/batch")
    allow = ", ".join(sorted(methods))
    return problem(405, "method_not_allowed", f"{request.path} takes {allow}", [("Allow", allow)])


def _said(reply: bytes) -> Response:
    return Response(status=200, headers=(JSON,), body=reply)


def _verdict(verdicts: Sequence[Verdict], reply: bytes) -> Response:
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
    if reply:
        return _said(reply)
    return json_response(200, Outcome(accepted=start - len(refused), refused=tuple(refused) or msgspec.UNSET))
