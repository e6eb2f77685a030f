"""What a URL and headers in a plugin's settings may be, and the header that says who we are."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from engine.errors import Problem, did_you_mean
from engine.plugin import Secret

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
"""RFC 9110 §5.5 without obsolete bytes: visible ASCII, blanks only inside."""
_BLANK = re.compile(r"[\x00-\x20\x7f]")
_OURS = frozenset({
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "headrace-delivery-keys",
    "host",
    "idempotency-key",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
})  # fmt: skip
_LIKE_THIS = "write it like https://crm.example/hooks/orders"
_KEEP_ONE = "keep one of them"


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`basic`: a user and password, RFC 7617."""

    user: str
    """Without a colon: that is where it ends."""
    password: Secret
    """May be empty."""


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`header`: one header that carries a key."""

    name: str
    """For example ``X-Api-Key``."""
    value: Secret
    """The key."""


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """The ways to say who we are; at most one of them is given."""

    bearer: Secret | None = None
    basic: Basic | None = None
    header: Named | None = None

    def pair(self) -> tuple[str, str] | None:
        """Return the header to send, or None if no way was given."""
        if self.bearer is not None:
            return "Authorization", f"Bearer {self.bearer}"
        if self.basic is not None:
            pair = f"{self.basic.user}:{self.basic.password}".encode()
            return "Authorization", f"Basic {base64.b64encode(pair).decode()}"
        return (self.header.name, str(self.header.value)) if self.header is not None else None

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong; the values are not shown."""
        ways = [name for name in ("bearer", "basic", "header") if getattr(self, name) is not None]
        if len(ways) > 1:
            yield Problem(where=ways[0], what=f"cannot be given beside {' and '.join(ways[1:])}", hint=_KEEP_ONE)
        if self.bearer is not None and not _VALUE.fullmatch(self.bearer):
            yield Problem(where="bearer", what="is empty, or has a character that a header cannot carry")
        if self.basic is not None and ":" in self.basic.user:
            yield Problem(where="basic.user", what="has a colon in it", hint="the password goes into basic.password")
        if self.header is not None:
            yield from _header_problems("header", self.header.name, str(self.header.value))


def url_problems(url: str) -> Iterator[Problem]:
    """Yield what is wrong with *url*; a password in it is not shown."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        yield Problem(where="url", what="cannot be read", hint=_LIKE_THIS)
        return
    if parts.scheme not in {"http", "https"}:
        got = f"{parts.scheme}:" if parts.scheme else "none"
        hint = did_you_mean(parts.scheme, ("http", "https")) or _LIKE_THIS
        yield Problem(where="url", what=f"expected http:// or https://, got {got}", hint=hint)
    elif "@" in parts.netloc:
        hint = 'take it out and write basic = { user = "…", password = "env:NAME" }'
        yield Problem(where="url", what="has a user or password in it, which would be printed", hint=hint)
    elif not host or _BLANK.search(url):
        yield Problem(where="url", what="has no host, or a blank in it", hint=_LIKE_THIS)


def headers_problems(headers: Mapping[str, Secret], auth: Auth) -> Iterator[Problem]:
    """Yield what is wrong with *headers*, alone and beside *auth*; the values are not shown."""
    pair = auth.pair()
    taken = {pair[0].lower()} if pair else set()
    for name, value in headers.items():
        where = f"headers.{name}"
        yield from _header_problems(where, name, str(value))
        if name.lower() in taken:
            yield Problem(where=where, what="is given twice; upper and lower case are the same", hint=_KEEP_ONE)
        taken.add(name.lower())


def _header_problems(where: str, name: str, value: str) -> Iterator[Problem]:
    """Yield what is wrong with one header."""
    if not _TOKEN.fullmatch(name):
        yield Problem(where=where, what=f"{name!r} cannot be a header's name", hint="use letters, digits and -")
    elif name.lower() in _OURS:
        yield Problem(where=where, what=f"{name} is set by Headrace itself", hint="leave it out")
    if not _VALUE.fullmatch(value):
        what = "its value is empty, has a blank at an end, or a character that a header cannot carry"
        yield Problem(where=where, what=what, hint="a secret read from a file often ends in a newline")
