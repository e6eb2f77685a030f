"""A service that takes webhooks on this machine, and is now and then unwell: the other side of the demo."""

from __future__ import annotations

from collections import Counter

import msgspec
import trio

from engine.runtime.http_server import Request, Response, Service, json_response, serve

BUSY = 60
"""Every so many requests, one is answered 503: it is tried again, and arrives."""
UNWANTED = 150
"""The request that is answered 400: it ends in the archive."""
LATER = 1
"""Seconds that the team's chat asks for, once, with 429: its events wait, nobody else's."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What the stand-in says."""

    message: str


class StandIn:
    """Answers POSTs to ``/crm``, ``/team`` and so on; counts what it took, by the name of the destination.

    Attributes:
        taken: name to the idempotency keys that were answered 200.
        answers: status to how often.
    """

    def __init__(self) -> None:
        self.taken: dict[str, set[str]] = {}
        self.answers: Counter[int] = Counter()
        self._asked: Counter[str] = Counter()

    async def run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on a free port of this machine until cancelled; ``nursery.start`` returns which."""
        service = Service(handler=self._answer, crashed=_crashed)
        await serve("127.0.0.1", 0, service, stop=trio.Event(), task_status=task_status)

    def arrived(self, name: str) -> int:
        """Return how many different deliveries came for the destination *name*."""
        return len(self.taken.get(name, ()))

    async def _answer(self, request: Request) -> Response:
        name = request.path.strip("/")
        self._asked[name] += 1
        response = self._response(name, request.header("idempotency-key") or "")
        self.answers[response.status] += 1
        return response

    def _response(self, name: str, key: str) -> Response:
        """Return what the request of that number meets."""
        number = self._asked[name]
        if name == "team" and number == 1:
            return json_response(429, Words(message="not so fast"), [("Retry-After", str(LATER))])
        if number % BUSY == 0:
            return json_response(503, Words(message="restarting, come back in a moment"))
        if number == UNWANTED:
            return json_response(400, Words(message="we do not keep this kind of event"))
        self.taken.setdefault(name, set()).add(key)
        return json_response(200, Words(message="thank you"))


def _crashed(error: Exception) -> None:
    """Let it be seen: an answer of ours that fails is a bug."""
    raise error
