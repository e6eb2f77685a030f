"""Who has logged in, and which forms they were shown: each form can be sent once, by whom it was shown to."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from typing import Any, Final

SESSIONS: Final = 256
"""Kept at most; the longest unused goes."""
LIFE: Final = 12 * 3600.0
"""Seconds after which a session, and a form, is too old."""
FORMS: Final = 4096
"""Forms that one session may send; then it is over, so that what was sent need not be forgotten."""


class Session:
    """One browser that may see the console.

    Attributes:
        name: of the session, for people: the beginning of a hash, which opens nothing.
        notes: what to tell on the next page.
        wizard: what was said so far to the set-up wizard, if anything.
    """

    def __init__(self, secret: bytes, began: float) -> None:
        self.name = hashlib.sha256(secret).hexdigest()[:8]
        self.began = began
        self.notes: list[str] = []
        self.wizard: Any = None
        self._secret = secret
        self._shown = 0
        self._sent: set[int] = set()

    @property
    def worn_out(self) -> bool:
        """Whether it has sent as many forms as it may."""
        return len(self._sent) >= FORMS

    def form(self, now: float) -> str:
        """Return what a new form carries, to be sent back with it."""
        self._shown += 1
        said = f"{self._shown}.{int(now)}"
        return f"{said}.{self._sign(said)}"

    def takes(self, shown: str, now: float) -> bool:
        """Return whether *shown* is from a form of this session, not too old, and sent for the first time."""
        said, _, signature = shown.rpartition(".")
        if not hmac.compare_digest(self._sign(said).encode(), signature.encode()):
            return False
        number, _, at = said.partition(".")
        if int(number) in self._sent or now - int(at) > LIFE:
            return False
        self._sent.add(int(number))
        return True

    def _sign(self, said: str) -> str:
        return hmac.new(self._secret, said.encode(), hashlib.sha256).hexdigest()[:32]


class Sessions:
    """All sessions, by the hash of what their cookie says; they end with the engine."""

    def __init__(self) -> None:
        self._open: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, cookie: str, secret: bytes, now: float) -> Session:
        """Return a new session for a browser that will show *cookie*."""
        while len(self._open) >= SESSIONS:
            self._open.popitem(last=False)
        session = self._open[_key(cookie)] = Session(secret, now)
        return session

    def find(self, cookie: str, now: float) -> Session | None:
        """Return the session of *cookie*, or None if it is over or never was."""
        session = self._open.get(_key(cookie))
        if session is None:
            return None
        if session.worn_out or now - session.began > LIFE:
            self.end(cookie)
            return None
        self._open.move_to_end(_key(cookie))
        return session

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._open.pop(_key(cookie), None)


def _key(cookie: str) -> bytes:
    # By the hash: a look-up then takes no time that tells anything of the cookies that there are.
    return hashlib.sha256(cookie.encode()).digest()
