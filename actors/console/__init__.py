"""The console: pages for people, the Admin REST for machines, on a port of its own; what befalls it harms no event."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import structlog
import trio

from actors.console.answers import NOT_KEPT, Refused, fitting, wants_page
from actors.console.api import Api
from actors.console.audit import Audit
from actors.console.bulk import Bulks
from actors.console.entrance import Entrance, fields_of, query_of
from actors.console.guard import Guard, Who, is_own_page
from actors.console.live import Live
from actors.console.look import Look, fenced
from actors.console.menu import PAGES
from actors.console.openapi import PREFIX
from actors.console.visit import House, Page
from engine.config import schema
from engine.observe.metrics import CONTENT_TYPE
from engine.runtime.beside import Beside
from engine.runtime.clock import Clock
from engine.runtime.http_server import Limits, Request, Response, Service, json_response, serve

if TYPE_CHECKING:
    from actors.operator import Operator

LIMITS: Final = Limits(
    head=16 * 1024, body=1 << 20, inflated=4 << 20, idle=30.0, head_time=5.0, body_time=10.0, write=10.0, connections=64
)
"""What one client may ask, so that no number of them costs the engine more than this."""
PROBES: Final = {"/healthz": False, "/readyz": True}
"""What is asked for health, and whether it must last for a while."""

log = structlog.get_logger()


class Console:
    """Answers who may ask. Restarted like any actor; sessions and samples belong to it and outlive a restart.

    Args:
        operator: what is asked.
        settings: `[console]`.
        audit: where changes are noted.
        clock: for the time of day, and for waits.
        chance: returns so many random bytes that nobody can guess.
    """

    def __init__(
        self,
        operator: Operator,
        settings: schema.Console,
        audit: Audit,
        clock: Clock,
        chance: Callable[[int], bytes],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._guard = Guard(settings, chance)
        self._bulks = Bulks(operator, audit, clock)
        self._house = House(
            operator=operator,
            api=Api(operator, audit, self._bulks),
            audit=audit,
            guard=self._guard,
            live=Live(operator, clock.sleep),
            look=Look(),
            nav=tuple((page.path, page.name) for page in PAGES if page.name),
            chance=chance,
        )
        self._entrance = Entrance(self._house)
        self._bound = trio.Event()
        self._address = ""
        self._stopped, self._preparing = trio.Event(), trio.CancelScope()

    async def address(self) -> str:
        """Wait until the port is bound and return host:port."""
        await self._bound.wait()
        return self._address

    async def run(self) -> None:
        """Listen until told to stop."""
        self._stopped, self._preparing = trio.Event(), trio.CancelScope()
        if not self._house.look.is_ready:
            with self._preparing:  # templates take a second to compile; an end that comes first does not wait for them
                await trio.to_thread.run_sync(self._house.look.prepare, abandon_on_cancel=True)
        if self._stopped.is_set():
            return
        listen = self._settings.listen
        service = Service(handler=self.answer, crashed=_crashed, limits=LIMITS)
        async with Beside() as nursery:
            nursery.start_soon(self._house.live.run)
            nursery.start_soon(self._bulks.run)
            await serve(listen.host, listen.port, service, stop=self._stopped, task_status=self)

    def stop(self) -> None:
        """Answer nobody any more; those who wait are told."""
        self._stopped.set()
        self._preparing.cancel()
        self._house.api.stop()

    def started(self, value: int | None = None) -> None:
        """Note the port, *value*; called by the server when it is bound."""
        host = self._settings.listen.host
        self._address = f"[{host}]:{value}" if ":" in host else f"{host}:{value}"
        self._bound.set()

    async def answer(self, request: Request) -> Response:
        """Return the reply to *request*."""
        try:
            return fenced(await self._answered(request))
        except Refused as error:
            return fenced(await self._refusal(request, error))

    async def _answered(self, request: Request) -> Response:
        if not self._guard.knows_host(request):
            raise Refused(403, "wrong_host", "the console is asked by its address: 127.0.0.1 or localhost")
        if request.method == "GET" and request.path in PROBES:  # who probes has no token
            wrong = self._house.operator.unwell(ready=PROBES[request.path])
            return json_response(503, {"code": wrong[0], "message": wrong[1]}) if wrong else json_response(200, _OK)
        if request.path.startswith("/static/"):
            return self._house.look.file(request) or _lost(request)
        now = self._clock.wall()
        who = self._guard.who(request, now)
        if request.path.startswith(f"{PREFIX}/") or request.path == "/metrics":
            return await self._machine(request, who, now)
        return await self._person(request, who, now)

    async def _machine(self, request: Request, who: Who | None, now: float) -> Response:
        """Answer at ``/api/v1``: by token, or from this machine; a session reads, as pages do."""
        if who is None:
            raise Refused(401, "unauthorized", "show the console's token as: Authorization: Bearer TOKEN")
        if who.by != "token" and not is_own_page(request):
            raise Refused(403, "cross_site", "this is for pages of the console, not for those of others")
        if request.method not in {"GET", "HEAD"} and (who.session or (who.by != "token" and request.header("origin"))):
            raise Refused(403, "not_a_form", "a page changes things by its forms; a program shows the token")
        if request.path == "/metrics":
            headers = (("Content-Type", CONTENT_TYPE), *NOT_KEPT)
            return Response(status=200, headers=headers, body=await self._house.operator.metrics())
        return await self._house.api.answer(request, who, now)

    async def _person(self, request: Request, who: Who | None, now: float) -> Response:
        """Answer with a page, or the way to it."""
        if special := await self._entrance.answer(request, who, now):
            return special
        if who is None:
            if request.method == "POST" or not wants_page(request):
                raise Refused(401, "unauthorized", "log in at /login")
            place = quote(request.path + (f"?{request.query}" if request.query else ""), safe="")
            return Response(status=303, headers=(("Location", f"/login?next={place}"), ("Cache-Control", "no-store")))
        page, names = _find(request)
        visit = self._entrance.visit(request, who, now)
        visit.path, visit.query = names, query_of(request)
        if page.posted:
            visit.fields = self._entrance.posted(visit, fields_of(request))
        return await page.show(visit)

    async def _refusal(self, request: Request, error: Refused) -> Response:
        if not wants_page(request) or request.path.startswith(f"{PREFIX}/"):
            return error.response()
        visit = self._entrance.stranger(request, self._clock.wall())
        return await visit.page("refused.html", status=error.status, code=error.code, message=str(error))


_OK: Final[dict[str, Any]] = {"status": "ok"}


def _find(request: Request) -> tuple[Page, dict[str, str]]:
    """Return the page at an address.

    Raises:
        Refused: there is none.
    """
    posted = request.method == "POST"
    for page in PAGES:
        names = fitting(page.path, request.path, unquote)
        if names is not None and page.posted == posted and request.method in {"GET", "HEAD", "POST"}:
            return page, names
    raise Refused(404, "not_found", f"there is no page at {request.path}")


def _lost(request: Request) -> Response:
    return Refused(404, "not_found", f"there is no {request.path}").response()


def _crashed(error: Exception) -> None:
    log.error("console.crashed", exc_info=error)
