"""Who may ask: by token, by a session, or because only this machine can; and whose page a change comes from."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal

import msgspec

from actors.console.sessions import LIFE, Session, Sessions
from engine.config.schema import Console
from engine.errors import HeadraceError
from engine.runtime.http_message import Request

HASHED: Final = "sha256:"
"""How a token is written of which only the hash is known."""
FAILURES: Final = 20
"""Wrong tokens from one address within `WHILE`, after which it is not listened to."""
WHILE: Final = 60.0
"""Seconds."""
PEERS: Final = 1000
"""Addresses whose failures are remembered."""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks.

    Attributes:
        by: ``token``, ``session``, or ``loopback`` where no token is set.
        name: for the list of changes.
        session: of a browser; None for everybody else.
    """

    by: Literal["token", "session", "loopback"]
    name: str
    session: Session | None = None


class Guard:
    """Knows the token, the sessions, and under which names the console may be asked.

    Args:
        settings: `[console]`.
        chance: returns so many random bytes.
    """

    def __init__(self, settings: Console, chance: Callable[[int], bytes]) -> None:
        self._listen = settings.listen
        self._token = None if settings.token is None else _hash_of(str(settings.token))
        self._chance = chance
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self.sessions = Sessions()

    @property
    def is_open(self) -> bool:
        """Whether there is no token: everybody on this machine may ask."""
        return self._token is None

    def knows_host(self, request: Request) -> bool:
        """Return whether *request* names a host that a loopback address may have.

        A page of anybody's may have a name that leads here (DNS rebinding); the browser then says that name.
        """
        if not self._listen.is_loopback:
            return True  # a token is needed there, and cookies belong to the name they were set by
        host = (request.header("host") or "").rpartition(":")[0] or request.header("host") or ""
        try:
            return host.lower() == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return False

    def who(self, request: Request, now: float) -> Who | None:
        """Return who asks, or None for nobody that may."""
        shown = request.header("authorization") or ""
        if shown:
            right = shown.startswith("Bearer ") and self.is_token(shown.removeprefix("Bearer "), request.peer, now)
            return Who(by="token", name=_named("token", request)) if right else None
        session = self.sessions.find(self.cookie(request), now)
        if session is not None:
            return Who(by="session", name=f"session {session.name} at {request.peer}", session=session)
        return Who(by="loopback", name=_named("this machine", request)) if self.is_open else None

    def is_token(self, shown: str, peer: str, now: float) -> bool:
        """Return whether *shown* is the token; who was wrong too often is not listened to for a while."""
        failures = [at for at in self._failures.pop(peer, []) if now - at < WHILE]
        right = self._token is None or hmac.compare_digest(_hash(shown), self._token)
        if len(failures) >= FAILURES or not right:
            self._failures[peer] = [*failures, now][-FAILURES:]
            while len(self._failures) > PEERS:
                self._failures.popitem(last=False)
            return False
        return True

    def begin(self, request: Request, now: float) -> tuple[Session, tuple[str, str]]:
        """Return a new session, and the header that gives its cookie to the browser."""
        cookie = self._chance(32).hex()
        session = self.sessions.begin(cookie, self._chance(32), now)
        return session, self.set_cookie(request, _cookie_name(request), cookie, int(LIFE))

    def cookie(self, request: Request) -> str:
        """Return what the browser shows for its session, or ""."""
        return cookie_of(request, _cookie_name(request))

    def end(self, request: Request) -> tuple[str, str]:
        """End a session; return the header that takes its cookie away."""
        self.sessions.end(self.cookie(request))
        return self.set_cookie(request, _cookie_name(request), "", 0)

    @staticmethod
    def set_cookie(request: Request, name: str, value: str, life: int) -> tuple[str, str]:
        """Return the header of a cookie that no script sees and no other site's page sends."""
        secure = "; Secure" if request.scheme == "https" else ""
        return "Set-Cookie", f"{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}"


def cookie_of(request: Request, name: str) -> str:
    """Return the value of a cookie, or ""."""
    cookies = SimpleCookie()
    try:
        cookies.load(request.header("cookie") or "")
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def is_own_page(request: Request) -> bool:
    """Return whether *request* comes from a page of the console, or from no page at all.

    Browsers say with each POST, and with most else, where the page is from; other clients say nothing.
    """
    if request.header("sec-fetch-site") not in {None, "same-origin", "none"}:
        return False
    origin = request.header("origin")
    return origin is None or origin == f"{request.scheme}://{request.header('host')}"


def says_its_page(request: Request) -> bool:
    """Return whether *request* says that it is from a page of the console; a browser that posts a form does."""
    return is_own_page(request) and (
        request.header("origin") is not None or request.header("sec-fetch-site") == "same-origin"
    )


def _named(what: str, request: Request) -> str:
    return f"{what} at {request.peer}" if request.peer else what


def _cookie_name(request: Request) -> str:
    # Browsers give cookies to every port of a host: two engines on one machine must not take each other's away.
    port = (request.header("host") or "").rpartition(":")[2]
    return f"headrace-{port}" if port.isdigit() else "headrace"


def _hash_of(written: str) -> bytes:
    """Return the hash of a token as it stands in the configuration: itself, or its SHA-256 in hex.

    Raises:
        HeadraceError: it says that it is a hash, and is none.
    """
    if not written.startswith(HASHED):
        return _hash(written)
    digest = written.removeprefix(HASHED)
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise HeadraceError("[console] token: after sha256: stand 64 hexadecimal digits\n    make them with: sha256sum")
    return bytes.fromhex(digest)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
