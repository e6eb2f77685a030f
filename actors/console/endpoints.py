"""The Admin REST, one line a question: `ENDPOINTS` is the table; its Structs are also its description (OpenAPI).

To add one: write an answer that asks the operator, and give it a line. A POST is a form's doing as well: a page posts
it to ``/do`` and its path.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from actors.console.answers import Asked, Endpoint, Said, unknown
from actors.console.past import PAST
from engine.config.draft import Addition
from engine.config.secrets import redacted
from engine.observe.audited import Changed
from engine.observe.changed import done
from engine.observe.reloaded import Reloaded
from engine.observe.shown import Counted, Looking, Looks, Page, Tapping
from engine.observe.status import DestinationStatus, SourceStatus, Status, SyncStatus
from engine.plan.explained import Explained
from engine.plan.tracing import Traced
from engine.store.base import Selection
from engine.store.erasing import Erasure
from engine.store.replays import Replay, Replays, Wish

KINDS: Final = {"syncs": "sync", "destinations": "destination", "sources": "source"}


class Dry(msgspec.Struct, frozen=True, kw_only=True):
    """An event to explain.

    Attributes:
        event: as a client would send it.
        source: by which it would come; may be left out if there is only one.
    """

    event: dict[str, Any]
    source: Annotated[str, msgspec.Meta(max_length=200)] = ""


class SetUp(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and what is other than before."""

    message: str
    changes: tuple[str, ...] = ()


async def _status(asked: Asked) -> Status:
    return await asked.operator.status()


async def _sources(asked: Asked) -> tuple[SourceStatus, ...]:
    return (await asked.operator.status()).sources


async def _syncs(asked: Asked) -> tuple[SyncStatus, ...]:
    return (await asked.operator.status()).syncs


async def _destinations(asked: Asked) -> tuple[DestinationStatus, ...]:
    return (await asked.operator.status()).destinations


def _changing(kind: str, change: str) -> Any:
    """Return what does one of `CHANGES` to a sync or a destination."""

    async def answer(asked: Asked) -> Said:
        name, operator = asked.path["name"], asked.operator
        makes = {"pause": operator.pause, "resume": operator.resume, "disable": operator.disable}
        if not await makes.get(change, operator.enable)(kind, name):
            raise unknown(KINDS[kind], name)
        still = operator.still_off(kind, name) if change == "enable" else ""
        return Said(message=f"{done(kind, name, change)}; but {still}" if still else done(kind, name, change))

    return answer


def _tapping(kind: str) -> Any:
    async def tap(asked: Asked) -> Page:
        page = await asked.operator.tap(kind, asked.path["name"], asked.query)
        if page is None:
            raise unknown(KINDS[kind], asked.path["name"])
        return page

    return tap


async def _looks(asked: Asked) -> Looks:
    looks = await asked.operator.look(asked.path["name"], asked.query)
    if looks is None:
        raise unknown("source", asked.path["name"])
    return looks


async def _explain(asked: Asked) -> Explained:
    return await asked.operator.explain(asked.body.event, asked.body.source or None)


async def _config(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = redacted(asked.operator.plan().config)
    return found


async def _changes(asked: Asked) -> tuple[Changed, ...]:
    return await asked.audit.changes()


async def _retry(asked: Asked) -> Counted:
    count = await asked.operator.retry(asked.body)
    return Counted(count=count, message=f"{_entries(count)} again" if count else "nothing there could be sent again")


async def _replay(asked: Asked) -> Replay:
    return await asked.operator.replay(asked.body)


async def _count_replay(asked: Asked) -> Replay:
    return await asked.operator.count_replay(asked.body)


async def _stop_replay(asked: Asked) -> Replay:
    number = asked.path["number"]
    replay = await asked.operator.stop_replay(int(number)) if number.isdecimal() and len(number) < 10 else None  # noqa: PLR2004
    if replay is None:
        raise unknown("replay", number)
    return replay


async def _replays(asked: Asked) -> Replays:
    return await asked.operator.replays()


async def _trace(asked: Asked) -> tuple[Traced, ...]:
    return await asked.operator.trace(asked.path["message_id"])


async def _erase(asked: Asked) -> Erasure:
    return await asked.operator.erase(asked.body)


async def _reload(asked: Asked) -> Reloaded:
    return await asked.operator.reload()


async def _set_up(asked: Asked) -> SetUp:
    addition = asked.body
    reloaded = await asked.operator.extender.extend(addition, addition.over)
    way = f"{addition.source} → {addition.destination}"
    return SetUp(message=f"sync '{addition.sync}' is set up: {way}", changes=reloaded.changes)


async def _discard(asked: Asked) -> Counted:
    count = await asked.operator.discard(asked.body)
    return Counted(count=count, message=f"{count:,} discarded")


def _entries(count: int) -> str:
    return "it goes out" if count == 1 else f"{count:,} go out"


def _get(path: str, title: str, answer: Any, out: Any, query: type[msgspec.Struct] | None = None) -> Endpoint:
    return Endpoint(method="GET", path=path, title=title, answer=answer, out=out, query=query)


def _post(path: str, title: str, answer: Any, out: Any = Said, body: type[msgspec.Struct] | None = None) -> Endpoint:
    return Endpoint(method="POST", path=path, title=title, answer=answer, out=out, body=body)


ENDPOINTS: Final = (
    _get("/status", "The engine at a glance", _status, Status),
    _get("/sources", "Every source at a glance", _sources, tuple[SourceStatus, ...]),
    _get("/syncs", "Every sync at a glance", _syncs, tuple[SyncStatus, ...]),
    _get("/destinations", "Every destination at a glance", _destinations, tuple[DestinationStatus, ...]),
    _post("/syncs/{name}/pause", "Hold a sync back: its events wait in the store", _changing("syncs", "pause")),
    _post("/syncs/{name}/resume", "Let a paused sync go on", _changing("syncs", "resume")),
    _post("/destinations/{name}/pause", "Hold a destination back: its events wait", _changing("destinations", "pause")),
    _post("/destinations/{name}/resume", "Let a paused destination go on", _changing("destinations", "resume")),
    _post("/syncs/{name}/disable", "Filter all further events of a sync", _changing("syncs", "disable")),
    _post("/syncs/{name}/enable", "Let a disabled sync take events again", _changing("syncs", "enable")),
    _post("/destinations/{name}/disable", "Filter further events of its syncs", _changing("destinations", "disable")),
    _post("/destinations/{name}/enable", "Let its syncs take events again", _changing("destinations", "enable")),
    _get("/sources/{name}/tap", "What came by a source; waits for more", _tapping("sources"), Page, Tapping),
    _get("/syncs/{name}/tap", "What became of it in a sync; waits for more", _tapping("syncs"), Page, Tapping),
    _get("/sources/{name}/looks", "What came, with every sync's verdict", _looks, Looks, Looking),
    _post("/errors/retry", "Send what matches again, payloads as they are", _retry, Counted, Selection),
    _get("/replays", "The replays that run or ended lately", _replays, Replays),
    _post("/replays", "Send entries or events through the plan again", _replay, Replay, Wish),
    _post("/replays/{number}/stop", "End a replay where it stands", _stop_replay, Replay),
    Endpoint(
        method="POST",
        path="/replays/count",
        title="What a replay would do, counted a little further; ask until it is done",
        answer=_count_replay,
        out=Replay,
        body=Replay,
        reads=True,
    ),
    _get("/trace/{message_id}", "The way of an event, to every attempt", _trace, tuple[Traced, ...]),
    Endpoint(
        method="POST",
        path="/erase",
        title="Erase a user, a step further; ask until it is done",
        answer=_erase,
        out=Erasure,
        body=Erasure,
        noted=lambda before, after: not before.last or after.state == "done",
    ),
    _post("/reload", "Let the configuration take effect as it is now, or refuse it whole", _reload, Reloaded),
    _post("/setup", "Write one more sync, and what it needs, into config.toml", _set_up, SetUp, Addition),
    _post("/errors/discard", "End what matches for good", _discard, Counted, Selection),
    Endpoint(
        method="POST",
        path="/explain",
        title="What would become of an event, step by step, with the exact request; nothing is sent",
        answer=_explain,
        out=Explained,
        body=Dry,
        reads=True,
    ),
    _get("/config", "The running configuration as understood, secrets hidden", _config, dict[str, Any]),
    *PAST,
    _get("/changes", "What was changed by hand, newest first", _changes, tuple[Changed, ...]),
)
