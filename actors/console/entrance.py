"""Login and logout, light and dark, and forms: the addresses by which a browser changes something."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, parse_qsl

from actors.console.answers import Refused
from actors.console.api import from_form
from actors.console.guard import Who, says_its_page
from actors.console.sessions import Session
from actors.console.visit import THEME, House, Visit, see_other
from engine.runtime.http_message import Request, Response

DO: Final = "/do"
"""Below it, forms reach every endpoint that changes something."""
FORM: Final = "form"
"""The field of a form that shows from which page it is."""
FORM_TYPE: Final = "application/x-www-form-urlencoded"
FIELDS: Final = 10_000
EVENTS: Final = "this is the console; events go to the port that [receiver] listen names, 8321 by default"
YEAR: Final = 365 * 86400


class Entrance:
    """Lets browsers in, and takes their forms.

    Args:
        house: what all pages share.
    """

    def __init__(self, house: House) -> None:
        self._house = house

    async def answer(self, request: Request, who: Who | None, now: float) -> Response | None:
        """Return the reply to a *request* at one of these addresses, or None if it is at another."""
        match request.method, request.path:
            case _, path if path.startswith("/v1/"):
                raise Refused(404, "not_found", EVENTS)
            case "GET" | "HEAD", "/login":
                return await self._login_page(request, now, "")
            case "POST", "/login":
                return await self._login(request, now)
            case "POST", "/logout":
                self._own(request)
                return see_other("/login", self._house.guard.end(request))
            case "POST", "/theme":
                return self._theme(request)
            case "POST", path if path.startswith(f"{DO}/"):
                if who is None:
                    raise Refused(401, "unauthorized", "log in at /login")
                return await self._do(self.visit(request, who, now))
            case _:
                return None

    def visit(self, request: Request, who: Who, now: float) -> Visit:
        """Return what a page is given; who came without a session gets one."""
        if who.session is not None:
            return Visit(house=self._house, request=request, who=who, session=who.session, now=now)
        session, cookie = self._house.guard.begin(request, now)
        return Visit(house=self._house, request=request, who=who, session=session, now=now, cookies=(cookie,))

    def stranger(self, request: Request, now: float) -> Visit:
        """Return what a page is given that anybody may see; its forms lead nowhere."""
        who = Who(by="session", name="")
        return Visit(house=self._house, request=request, who=who, session=Session(b"", now), now=now)

    def posted(self, visit: Visit, fields: dict[str, str]) -> dict[str, str]:
        """Return the fields of a form, which is from a page of ours, shown to this browser, and sent once.

        Raises:
            Refused: it is not.
        """
        self._own(visit.request)
        if visit.who.session is None or not visit.session.takes(fields.pop(FORM, ""), visit.now):
            raise Refused(403, "form_refused", "this form was sent before, or is too old: load its page again")
        return fields

    async def _do(self, visit: Visit) -> Response:
        several = _several(visit.request)
        fields = self.posted(visit, {name: values[-1] for name, values in several.items()})
        back = fields.pop("back", "/")
        path = visit.request.path.removeprefix(DO)
        endpoint, names = self._house.api.find("POST", path)
        asked = self._house.api.asked(
            path=names,
            body=from_form({name: several[name] for name in fields}, endpoint.body),
            who=visit.who,
            now=visit.now,
        )
        try:
            made = await self._house.api.ask(endpoint, asked, f"POST {path}")
            visit.session.notes.append(getattr(made, "message", "done"))
        except Refused as error:
            visit.session.notes.append(f"Not done: {error}")
        return see_other(back)

    async def _login_page(self, request: Request, now: float, wrong: str) -> Response:
        if self._house.guard.is_open:
            return see_other("/")
        visit = self.stranger(request, now)
        place = query_of(request).get("next", "/")
        return await visit.page("login.html", status=401 if wrong else 200, place=place, wrong=wrong)

    async def _login(self, request: Request, now: float) -> Response:
        self._own(request)
        fields = fields_of(request)
        if not self._house.guard.is_token(fields.get("token", ""), request.peer, now):
            return await self._login_page(request, now, "That is not the token, or it was wrong too often.")
        self._house.guard.end(request)  # a session that was here before must not become one that may do more
        _, cookie = self._house.guard.begin(request, now)
        return see_other(fields.get("next", "/"), cookie)

    def _theme(self, request: Request) -> Response:
        self._own(request)
        fields = fields_of(request)
        theme = fields.get("theme", "")
        chosen = theme if theme in {"light", "dark"} else ""
        return see_other(
            fields.get("back", "/"), self._house.guard.set_cookie(request, THEME, chosen, YEAR if chosen else 0)
        )

    @staticmethod
    def _own(request: Request) -> None:
        if not says_its_page(request):
            raise Refused(403, "cross_site", "a form must be sent from a page of the console")


def query_of(request: Request) -> dict[str, str]:
    """Return the parameters of an address; the last of several."""
    return dict(parse_qsl(request.query, keep_blank_values=True, max_num_fields=FIELDS))


def fields_of(request: Request) -> dict[str, str]:
    """Return what a form holds; the last of several of one name.

    Raises:
        Refused: it is no form.
    """
    return {name: values[-1] for name, values in _several(request).items()}


def _several(request: Request) -> dict[str, list[str]]:
    if (request.header("content-type") or "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise Refused(400, "invalid_request", "a form is posted as application/x-www-form-urlencoded")
    try:
        return parse_qs(request.body.decode(), keep_blank_values=True, max_num_fields=FIELDS)
    except (UnicodeDecodeError, ValueError) as error:
        raise Refused(400, "invalid_request", f"not a form: {error}") from error
