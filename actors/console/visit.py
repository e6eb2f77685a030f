"""One look at a page: what a page module is given, and how it answers.

A page module has a function ``async def show(visit: Visit) -> Response`` for each address, and lists them in ``PAGES``.
It asks ``visit.operator``, makes what the template needs, and returns ``visit.page("name.html", …)``. A form posts to
``/do`` and the path of an endpoint of the Admin REST, with ``{{ form() }}`` in it; so it needs no code here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from actors.console.api import Api
from actors.console.audit import Audit
from actors.console.guard import Guard, Who, cookie_of
from actors.console.live import Live
from actors.console.look import Look
from actors.console.sessions import Session
from engine.runtime.http_message import Request, Response

if TYPE_CHECKING:
    from actors.operator import Operator

THEME: Final = "headrace-theme"
"""The cookie that says ``light`` or ``dark``; without it the browser's own preference holds."""


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What all pages share."""

    operator: Operator
    api: Api
    audit: Audit
    guard: Guard
    live: Live
    look: Look
    nav: tuple[tuple[str, str], ...]
    """Address and name of what the menu shows."""
    chance: Callable[[int], bytes]
    """Returns so many random bytes that nobody can guess."""


class Visit(msgspec.Struct, kw_only=True):
    """One browser at one page.

    Attributes:
        house: what all pages share.
        request: as it came.
        who: who asks.
        session: theirs; a new one if they came without.
        now: epoch seconds.
        path: the values of the address's names.
        query: the address's parameters.
        fields: what a form holds, if one was posted.
        cookies: headers to send along.
    """

    house: House
    request: Request
    who: Who
    session: Session
    now: float
    path: Mapping[str, str] = {}
    query: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}
    cookies: tuple[tuple[str, str], ...] = ()

    @property
    def operator(self) -> Operator:
        """Return who knows."""
        return self.house.operator

    async def page(self, name: str, *, status: int = 200, **context: Any) -> Response:
        """Return the page that a template makes of *context* and of what every page needs."""
        notes, self.session.notes = self.session.notes, []
        every = {
            "nav": self.house.nav,
            "here": "/" + self.request.path.strip("/").partition("/")[0],
            "back": self.request.path + (f"?{self.request.query}" if self.request.query else ""),
            "theme": theme(self.request),
            "mark": self.house.look.mark,
            "notes": notes,
            "form": lambda: self.session.form(self.now),
            "is_open": self.house.guard.is_open,
            "now": self.now,
        }
        made = await self.house.look.page(name, every | context, status=status)
        return msgspec.structs.replace(made, headers=(*made.headers, *self.cookies))


def theme(request: Request) -> str:
    """Return ``light``, ``dark``, or "" for the browser's own."""
    chosen = cookie_of(request, THEME)
    return chosen if chosen in {"light", "dark"} else ""


def see_other(place: str, *headers: tuple[str, str]) -> Response:
    """Return an answer that leads a browser on to a page of ours."""
    own = place if place.startswith("/") and not place.startswith(("//", "/\\")) else "/"
    return Response(status=303, headers=(("Location", own), ("Cache-Control", "no-store"), *headers))


Show = Callable[[Visit], Awaitable[Response]]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One address of the console.

    Attributes:
        path: a part in braces is a name.
        show: makes the answer.
        name: in the menu; "" for a page that is reached from others.
        posted: whether it answers a form instead; such a form changes nothing.
    """

    path: str
    show: Show
    name: str = ""
    posted: bool = False
