"""A replay, step by step: what to read next, and what to write for it. Whoever writes it decides how fast.

It looks at entries of the ledger first, in the order in which they were made, then at events of the log, sync by sync.
Where it stands is a part of what is written, so that a step is done once, whatever dies.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from engine.config.load import read_tables
from engine.errors import ConfigError, LangError, did_you_mean, one_of
from engine.lang.filters import compile_filter
from engine.messages import Event, Logged, Result, State, Trouble
from engine.plan import again
from engine.plan.again import Asked, Made
from engine.plan.compile import Plan, compile_plan
from engine.plan.sources import SourcePlan
from engine.plan.syncs import SyncPlan
from engine.registry import Registry
from engine.store.base import Change, Store
from engine.store.replays import Became, Place, Refused, Replay, Wish
from engine.store.revisions import Head, Revision, heads, number_of, revision

LOOKED = 256
"""Positions of the log that are read together."""
COMPILED = 4
"""Plans of other days that are kept compiled."""

Good = Sequence[tuple[Logged, dict[str, Any]]]
Transform = Callable[[SourcePlan, Good], Awaitable[list[Result]]]
"""Runs a source's functions, and returns one result per event, in order; fewer if some must be tried again."""
Aside = Callable[[Callable[[], Plan | None]], Awaitable[Plan | None]]
"""Calls what takes long where it holds nobody up, and returns its answer."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step.

    Attributes:
        change: what to write; `Replay` is not in it.
        replay: as it is after this step.
        sent: deliveries in it.
    """

    change: Change
    replay: Replay
    sent: int


class Recalling(Protocol):
    """Small facts by key."""

    async def get(self, key: str) -> tuple[bytes, int] | None:
        """Return (value, revision), or None."""


class Remembering(Protocol):
    """What has a memory for facts: a store, or one that is only read."""

    @property
    def meta(self) -> Recalling:
        """Return its facts."""


class Then:
    """What plans of other days decided; today's stands in where nothing is known of another.

    Args:
        plan: today's.
        registry: of the plugins.
        aside: where plans are compiled.
    """

    def __init__(self, store: Remembering, plan: Plan, registry: Registry, aside: Aside) -> None:
        self._store: Any = store
        self._plan = plan
        self._registry = registry
        self._aside = aside
        self._heads: list[Head] | None = None
        self._compiled: dict[int, Plan | None] = {}

    async def today(self) -> int:
        """Return the number of today's plan, 0 if none was ever kept."""
        known = await self._known()
        return known[-1].number if known else 0

    async def sync(self, name: str, position: int) -> SyncPlan | None:
        """Return the sync as it read the event at *position*, or None if nobody knows that plan any more."""
        known = await self._known()
        if not known:
            return None
        number = number_of(known, name, position)
        plan = self._plan if number == known[-1].number else await self._of(number)
        was = self._plan.syncs[name].was if name in self._plan.syncs else ""
        return None if plan is None else plan.syncs.get(name) or plan.syncs.get(was or name)

    async def _known(self) -> list[Head]:
        if self._heads is None:
            self._heads = await heads(self._store)
        return self._heads

    async def _of(self, number: int) -> Plan | None:
        if number not in self._compiled:
            found = await revision(self._store, number)
            while len(self._compiled) >= COMPILED:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[number] = (
                await self._aside(lambda: recalled(found, self._plan, self._registry)) if found else None
            )
        return self._compiled[number]


def recalled(found: Revision, today: Plan, registry: Registry) -> Plan | None:
    """Return a plan of another day, or None if it cannot be compiled any more: function files may be gone."""
    try:
        return compile_plan(read_tables(found.tables, today.loaded.folder, env=None), registry)
    except (ConfigError, OSError):
        return None


class Sweep:
    """One replay on its way; nothing is written here.

    Args:
        store: read from.
        plan: today's.
        then: other days'.
        transform: runs functions.
        now: returns epoch seconds.
    """

    def __init__(self, store: Store, plan: Plan, then: Then, transform: Transform, now: Callable[[], float]) -> None:
        self._store = store
        self._plan = plan
        self._then = then
        self._transform = transform
        self._now = now

    async def step(self, replay: Replay, limit: int) -> Step:
        """Return the next step of *replay*, of at most about *limit* deliveries; it has ended if its place is over."""
        if not replay.place.set:
            return Step(change=Change(), replay=await self.bounded(replay), sent=0)
        asked = Asked(wish=replay.wish, number=replay.number, now=self._now(), revision=await self._then.today())
        made = Made()
        if replay.place.row < replay.place.rows:
            place = await self._rows(replay.place, asked, made, limit)
        else:
            place = await self._log(replay.place, asked, made, limit)
        after = _grown(replay, place, made)
        change = Change(
            again=tuple(made.again),
            ended=tuple(made.ended),
            counts={key: much for key, much in made.counts.items() if much},
            results=tuple(made.results),
        )
        sent = sum(one.state is State.RETRYING for one in made.again)
        return Step(change=change, replay=after, sent=sent)

    async def bounded(self, replay: Replay) -> Replay:
        """Return *replay* with the line drawn behind which everything is too new to be meant."""
        wish = replay.wish
        rows = await self._store.history.newest() if wish.states or wish.ids else 0
        upto: dict[str, int] = {}
        for page in await self._store.meta.progress() if wish.from_log else ():
            sync = self._plan.syncs.get(page.sync)
            if sync and sync.source == page.source and _meant(sync, replay):
                upto[page.sync] = page.high
        place = Place(rows=rows, read=dict.fromkeys(upto, 0), upto=upto, set=True)
        return msgspec.structs.replace(replay, place=place)

    async def _rows(self, place: Place, asked: Asked, made: Made, limit: int) -> Place:
        """Replay the next entries of the ledger."""
        selection = asked.wish.selection()
        found = await self._store.history.sweep(selection, (place.row, place.rows), limit)
        known = await self._store.history.events([row.position for _, row in found])
        results = await self._store.results(list(known))
        for _, trouble in found:
            if trouble.state is State.RETRYING:
                made.of(trouble.sync).pending += 1
            elif trouble.sync:
                await self._entry(trouble, known.get(trouble.position), results.get(trouble.position), asked, made)
            else:
                await self._stopped(trouble, known.get(trouble.position), asked, made)
        row = found[-1][0] if len(found) == limit else place.rows
        return msgspec.structs.replace(place, row=row)

    async def _entry(
        self, trouble: Trouble, logged: Logged | None, result: Result | None, asked: Asked, made: Made
    ) -> None:
        """Replay one delivery that is in the archive."""
        sync = await self._mapping(trouble.sync, trouble.position, asked)
        source = self._plan.sources.get(trouble.source)
        if sync is None or source is None or sync.source != trouble.source:
            made.of(trouble.sync).gone += 1
            return
        event = again.own_event(trouble) if logged is None and not asked.wish.through_functions else None
        if event is None:
            logged = logged or (again.logged_of(trouble) if trouble.event else None)
            event = await self._its_event(trouble, source, (logged, result), asked, made)
        if event is not None and self._takes(asked, event):
            again.entry_again(trouble, event, sync, asked, made)

    async def _its_event(
        self,
        trouble: Trouble,
        source: SourcePlan,
        stored: tuple[Logged | None, Result | None],
        asked: Asked,
        made: Made,
    ) -> Event | None:
        """Return the event that an entry is about, among those that came of its log row."""
        became = made.of(trouble.sync)
        logged, result = stored
        if logged is None or not logged.raw:
            became.gone += 1
            return None
        if isinstance(source.examine(logged, asked.now), Trouble):
            became.blocked += 1
            return None
        events = await self._events(source, [(logged, result)], asked)
        found = [event for event in events if event.message_id == trouble.message_id]
        if not found:
            became.gone += 1
        return found[0] if found else None

    async def _stopped(self, trouble: Trouble, logged: Logged | None, asked: Asked, made: Made) -> None:
        """Replay one event that its source had stopped."""
        source = self._plan.sources.get(trouble.source)
        logged = logged or (again.logged_of(trouble) if trouble.event else None)
        if source is None or logged is None or not logged.raw:
            made.of("").gone += 1
            return
        examined = source.examine(logged, asked.now)
        if isinstance(examined, Trouble):
            made.of("").blocked += 1
            return
        events: tuple[Event, ...] = source.events(logged, examined)
        if source.has_functions:
            run = await self._transform(source, [(logged, examined)])
            if not run or run[0].outcome == "failed":
                made.of("").failed += 1
                return
            made.results.append(run[0])
            events = source.restored(logged, run[0])
        if not events or any(self._takes(asked, event) for event in events):
            high = {page.sync: page.high for page in await self._store.meta.progress() if page.source == source.name}
            past = [
                sync
                for sync in self._plan.syncs.values()
                if sync.source == source.name and high.get(sync.name, 0) >= trouble.position
            ]
            again.source_again(trouble, events, past, asked, made)

    async def _log(self, place: Place, asked: Asked, made: Made, limit: int) -> Place:
        """Replay the next events of the log for one sync."""
        name = next((name for name, upto in place.upto.items() if place.read[name] < upto), "")
        sync = self._plan.syncs.get(name)
        if sync is None or sync.source not in self._plan.sources:  # gone since it began
            return msgspec.structs.replace(place, read=place.read | ({name: place.upto[name]} if name else {}))
        source, upto = self._plan.sources[sync.source], place.upto[name]
        page = await self._store.read(source.name, place.read[name], upto, LOOKED)
        results = await self._store.results([one.position for one in page]) if source.keeps_results else {}
        opened = {page.sync: set(page.open) for page in await self._store.meta.progress()}.get(name, set())
        read = place.read[name]
        known = await self._rows_of([one.position for one in page if _in_time(one, asked)])
        for logged in page:
            if len(made.again) >= limit:
                return msgspec.structs.replace(place, read=place.read | {name: read})
            read = logged.position
            if _in_time(logged, asked) and logged.raw:
                there = again.Place(rows=known.get(read, {}), open=opened)
                await self._one(source, (logged, results.get(read)), name, (asked, there), made)
        read = upto if len(page) < LOOKED else read
        return msgspec.structs.replace(place, read=place.read | {name: read})

    async def _rows_of(self, positions: Sequence[int]) -> dict[int, dict[str, Trouble]]:
        """Return the ledger rows of each of these positions that has any."""
        known: dict[int, dict[str, Trouble]] = {}
        for row in await self._store.history.troubles(positions) if positions else ():
            known.setdefault(row.position, {})[row.id] = row
        return known

    async def _one(
        self,
        source: SourcePlan,
        stored: tuple[Logged, Result | None],
        name: str,
        known: tuple[Asked, again.Place],
        made: Made,
    ) -> None:
        asked, there = known
        position = stored[0].position
        mapping = await self._mapping(name, position, asked)
        if mapping is None:
            made.of(name).gone += 1
            return
        then = await self._then.sync(name, position)
        for event in await self._events(source, [stored], asked):
            if self._takes(asked, event):
                again.event_again(event, (mapping, then), there, asked, made)

    async def _events(
        self, source: SourcePlan, stored: Sequence[tuple[Logged, Result | None]], asked: Asked
    ) -> list[Event]:
        """Return what passed at the source of these log rows, then; or now, if functions are to be run again."""
        if not (asked.wish.through_functions and source.has_functions):
            return [event for one, result in stored for event in again.restored(source, one, result, asked.now)]
        good = [(one, source.examine(one, asked.now)) for one, _ in stored]
        batch = [(one, body) for one, body in good if not isinstance(body, Trouble)]
        run = {result.position: result for result in await self._transform(source, batch)}
        return [event for one, _ in batch if one.position in run for event in source.restored(one, run[one.position])]

    async def _mapping(self, name: str, position: int, asked: Asked) -> SyncPlan | None:
        """Return the sync that maps: today's or, if that is asked for, the one of the day, to today's destination."""
        today = self._plan.syncs.get(name)
        if today is None or asked.wish.plan == "current":
            return today
        then = await self._then.sync(name, position)
        return then if then is None or then.destination == today.destination else readdressed(then, today)

    def _takes(self, asked: Asked, event: Event) -> bool:
        return not asked.wish.filter or _compiled(asked.wish.filter).test(event.body)


_compiled = functools.lru_cache(maxsize=16)(compile_filter)


def readdressed(then: SyncPlan, today: SyncPlan) -> SyncPlan:
    """Return a sync of another day that goes where it goes today."""
    other = copy.copy(then)
    other.destination = today.destination
    return other


def _meant(sync: SyncPlan, replay: Replay) -> bool:
    wish = replay.wish
    return (
        wish.sync in ("", sync.name) and wish.source in ("", sync.source) and wish.destination in ("", sync.destination)
    )


def _in_time(logged: Logged, asked: Asked) -> bool:
    at, wish = logged.envelope.received_at, asked.wish
    return at >= wish.since and (not wish.until or at <= wish.until)


def _grown(replay: Replay, place: Place, made: Made) -> Replay:
    """Return *replay* after what was made."""
    became = {name: msgspec.structs.replace(counts) for name, counts in replay.became.items()}
    for name, more in made.became.items():
        counts = became.setdefault(name, Became())
        for field in Became.__struct_fields__:
            setattr(counts, field, getattr(counts, field) + getattr(more, field))
    kept = {name: counts for name, counts in became.items() if any(msgspec.structs.astuple(counts))}
    return msgspec.structs.replace(replay, place=place, became=kept)


def check_wish(wish: Wish, plan: Plan) -> None:
    """Refuse what can mean nothing, before anything is begun.

    Raises:
        Refused: says what, and what there is.
    """
    for word, name, known in (
        ("sync", wish.sync, plan.syncs),
        ("source", wish.source, plan.sources),
        ("destination", wish.destination, plan.destinations),
    ):
        if name and name not in known:
            raise Refused(f"no {word} '{name}'\n    {did_you_mean(name, known) or one_of(known)}")
    if not wish.fates:
        raise Refused("nothing is meant\n    name archived, blocked, discarded, delivered or filtered")
    try:
        _compiled(wish.filter or "exists(type)")
    except LangError as error:
        raise Refused(f"filter: {error}") from None
