"""The part of the Admin REST that looks back: entries, their counts, bulk changes, broken contracts, a user's events.

Its lines stand in the table of `actors.console.endpoints`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from actors.console.answers import Asked, Endpoint, Refused, unknown
from actors.console.bulk import Bulk
from actors.console.chosen import whole_number
from engine.messages import State
from engine.observe.breached import Breach, BreachCount, WholeBreach, breach, whole_breach
from engine.observe.entries import Briefs, Entry, Whole, entry
from engine.store.base import Selection
from engine.store.tallying import Tally
from engine.violated import Violated, Wanted

if TYPE_CHECKING:
    from actors.operator import Operator

HIGHEST: Final = 2**53
"""Positions are far below it."""

Word = Annotated[str, msgspec.Meta(max_length=500)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]
Position = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST)]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are listed; every given part must hold.

    Attributes:
        since, until: epoch seconds of the last trouble; 0 for no limit.
        text: a part of the error or the messageId, any case.
        after: the id of the last entry of the page before.
    """

    sync: Word = ""
    source: Word = ""
    destination: Word = ""
    states: tuple[State, ...] = ()
    reason: Word = ""
    stage: Word = ""
    since: Moment = 0.0
    until: Moment = 0.0
    text: Word = ""
    after: Word = ""
    limit: Limit = 100

    def selection(self) -> Selection:
        """Return what the store looks for."""
        return Selection(**msgspec.structs.asdict(self))


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """Which broken contracts are listed; every given part must hold.

    Attributes:
        event: an event's name, or its call type.
        position: of the event in the log; 0 for any.
        since: epoch seconds of receipt.
    """

    contract: Word = ""
    source: Word = ""
    event: Word = ""
    position: Position = 0
    since: Moment = 0.0
    limit: Limit = 100

    def wanted(self) -> Wanted:
        """Return what the store looks for."""
        return Wanted(**msgspec.structs.asdict(self))


class OfUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose events are listed: one of both ids.

    Attributes:
        below: only events before this position; 0 for all.
    """

    user_id: Word = ""
    anonymous_id: Word = ""
    below: Position = 0
    limit: Limit = 20


async def find_violation(operator: Operator, id: str) -> Violated:  # noqa: A002 - what an address says
    """Return one broken contract.

    Raises:
        Refused: there is none of that id.
    """
    position, _, contract = id.partition("-")
    at = whole_number(position)
    for one in await operator.violations(Wanted(contract=contract, position=at, limit=1)) if at and contract else ():
        return one
    raise Refused(404, "not_found", f"there is no broken contract '{id}' among those that are kept")


async def _errors(asked: Asked) -> tuple[Entry, ...]:
    return tuple(map(entry, await asked.operator.errors(asked.query.selection())))


async def _error(asked: Asked) -> Whole:
    found = await asked.operator.error(asked.path["id"])
    if found is None:
        raise Refused(404, "not_found", f"there is no entry '{asked.path['id']}' among those that are kept")
    return found


async def _count(asked: Asked) -> Tally:
    return await asked.operator.tally(asked.body)


async def _violations(asked: Asked) -> tuple[Breach, ...]:
    return tuple(map(breach, await asked.operator.violations(asked.query.wanted())))


async def _violation(asked: Asked) -> WholeBreach:
    return whole_breach(await find_violation(asked.operator, asked.path["id"]))


async def _breach_counts(asked: Asked) -> tuple[BreachCount, ...]:
    return tuple(await asked.operator.breach_counts())


async def _events(asked: Asked) -> Briefs:
    query = asked.query
    if bool(query.user_id) == bool(query.anonymous_id):
        raise Refused(400, "invalid_request", "name one: user_id or anonymous_id")
    who = ("userId", query.user_id) if query.user_id else ("anonymousId", query.anonymous_id)
    return await asked.operator.of_user(who, query.below, query.limit)


async def _bulks(asked: Asked) -> tuple[Bulk, ...]:
    return asked.bulks.known()


def _bulk(change: Any) -> Any:
    async def begin(asked: Asked) -> Bulk:
        if not asked.body.states:
            raise Refused(400, "invalid_request", "say which: states, of which archived and retrying can be changed")
        return asked.bulks.begin(change, asked.body, asked.who.name if asked.who else "")

    return begin


async def _stop_bulk(asked: Asked) -> Bulk:
    number = asked.path["number"]
    one = asked.bulks.stop(int(number)) if number.isascii() and number.isdecimal() and len(number) < 10 else None  # noqa: PLR2004
    if one is None:
        raise unknown("change in bulk", number)
    return one


def _get(path: str, title: str, answer: Any, out: Any, query: type[msgspec.Struct] | None = None) -> Endpoint:
    return Endpoint(method="GET", path=path, title=title, answer=answer, out=out, query=query)


def _post(path: str, title: str, answer: Any, out: Any, body: type[msgspec.Struct] | None = None) -> Endpoint:
    return Endpoint(method="POST", path=path, title=title, answer=answer, out=out, body=body)


PAST: Final = (
    _get("/errors", "What failed, waits or was archived, the newest trouble first", _errors, tuple[Entry, ...], Listed),
    _get("/errors/{id}", "One entry with event, payload, request, response and attempts", _error, Whole),
    Endpoint(
        method="POST",
        path="/errors/count",
        title="How many entries match, by state and reason, a step further; ask until it is done",
        answer=_count,
        out=Tally,
        body=Tally,
        reads=True,
    ),
    _get("/bulk", "The changes of many entries that run or ended lately", _bulks, tuple[Bulk, ...]),
    _post("/bulk/retry", "Begin to send all that match again; does not wait for it", _bulk("retry"), Bulk, Selection),
    _post("/bulk/discard", "Begin to end all that match for good", _bulk("discard"), Bulk, Selection),
    _post("/bulk/{number}/stop", "End a change of many entries where it stands", _stop_bulk, Bulk),
    _get("/violations", "Events that broke a contract, the newest first", _violations, tuple[Breach, ...], Broken),
    _get("/violations/{id}", "One of them, with the event as it was sent", _violation, WholeBreach),
    _get("/violation-counts", "How many events broke which rule", _breach_counts, tuple[BreachCount, ...]),
    _get("/events", "The last events of one user", _events, Briefs, OfUser),
)
