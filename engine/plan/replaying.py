"""A replay, step by step: what to read next, and what to write for it. Whoever writes it decides how fast.

It looks at events of the log first, sync by sync, then at entries of the ledger, in the order in which they were made:
what an entry's replay delivers would else be met once more, as an event that was delivered. Where it stands is a part
of what is written, so that a step is done once, whatever dies.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.errors import LangError, did_you_mean, one_of
from engine.lang.filters import compile_filter
from engine.messages import Event, Logged, Result, State, Trouble
from engine.plan import again
from engine.plan.again import Asked, Made
from engine.plan.compile import Plan
from engine.plan.sources import SourcePlan
from engine.plan.syncs import SyncPlan
from engine.plan.then import Then
from engine.store.base import Change, Store
from engine.store.replays import Became, Place, Refused, Replay, Wish

LOOKED = 256
"""Positions of the log that are read together."""
LONGEST = 1.0
"""Seconds after which a step looks at no more: functions may take long, and reloads and erasures wait for its end."""

Good = Sequence[tuple[Logged, dict[str, Any]]]
Transform = Callable[[SourcePlan, Good], Awaitable[list[Result]]]
"""Runs a source's functions, and returns one result per event, in order; fewer if some must be tried again."""


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the store.

    Attributes:
        off: tells whether an operator had switched a sync off when it read a position.
        reached: returns how far each sync has read, with what is in hand; None where no router runs.
    """

    off: Callable[[SyncPlan, int], bool]
    reached: Callable[[], Mapping[str, int]] | None = None


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


class Sweep:
    """One replay on its way; nothing is written here.

    Args:
        store: read from.
        plan: today's.
        then: other days'.
        transform: runs functions.
        now: returns epoch seconds.
        beside: what else is known.
    """

    def __init__(
        self,
        store: Store,
        plan: Plan,
        then: Then,
        transform: Transform,
        now: Callable[[], float],
        beside: Beside,
    ) -> None:
        self._store = store
        self._plan = plan
        self._then = then
        self._transform = transform
        self._now = now
        self._beside = beside

    async def step(self, replay: Replay, limit: int) -> Step:
        """Return the next step of *replay*, of at most about *limit* deliveries; it has ended if its place is over."""
        if not replay.place.set:
            return Step(change=Change(), replay=await self.bounded(replay), sent=0)
        asked = Asked(wish=replay.wish, number=replay.number, now=self._now(), revision=await self._then.today())
        made = Made()
        if replay.place.reading:
            place = await self._log(replay.place, asked, made, limit)
        else:
            place = await self._rows(replay.place, asked, made, limit)
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
        looked = place.row
        for number, trouble in found:
            if looked > place.row and self._now() - asked.now > LONGEST:
                return msgspec.structs.replace(place, row=looked)
            looked = number
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
        there = logged is not None
        logged = logged or (again.logged_of(trouble) if trouble.event else None)
        if source is None or logged is None or not logged.raw:
            made.of("").gone += 1
            return
        examined = source.examine(logged, asked.now)
        if isinstance(examined, Trouble):
            made.of("").blocked += 1
            return
        result = source.fired(logged, source.events(logged, examined), ())
        if source.has_functions:
            run = await self._transform(source, [(logged, examined)])
            if not run or run[0].outcome == "failed":
                made.of("").failed += 1
                return
            result = run[0]
        events = source.restored(logged, result)
        if events and not any(self._takes(asked, event) for event in events):
            return
        if there:
            made.results.append(result)  # by which a sync that lags finds that it passed
        again.source_again(trouble, events, await self._past(source.name, trouble.position), asked, made)

    async def _past(self, source: str, position: int) -> list[SyncPlan]:
        """Return the syncs of a source that will not come by an event by themselves any more."""
        if self._beside.reached is None:
            high = {page.sync: page.high for page in await self._store.meta.progress() if page.source == source}
        else:
            high = dict(self._beside.reached())
        mine = [sync for sync in self._plan.syncs.values() if sync.source == source]
        return [sync for sync in mine if high.get(sync.name, 0) >= position]

    async def _log(self, place: Place, asked: Asked, made: Made, limit: int) -> Place:
        """Replay the next events of the log for one sync."""
        name = place.reading
        sync = self._plan.syncs.get(name)
        if sync is None or sync.source not in self._plan.sources:  # gone since it began
            return msgspec.structs.replace(place, read=place.read | {name: place.upto[name]})
        source, upto, began = self._plan.sources[sync.source], place.upto[name], place.read.get(name, 0)
        # Waits until all of it is durable; whoever asks for a count says where it ends, and may say anything.
        page = await self._store.read(source.name, began, min(upto, self._store.last), LOOKED)
        results = await self._store.results([one.position for one in page]) if page else {}
        opened = {page.sync: set(page.open) for page in await self._store.meta.progress()}.get(name, set())
        known = await self._rows_of([one.position for one in page if _in_time(one, asked)])
        read = began
        for logged in page:
            if len(made.again) >= limit or (read > began and self._now() - asked.now > LONGEST):
                return msgspec.structs.replace(place, read=place.read | {name: read})
            read = logged.position
            if _in_time(logged, asked) and logged.raw:
                there = again.Place(rows=known.get(read, {}), open=opened, off=self._beside.off(sync, read))
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
        if await self._never(source, stored, name, there):
            return
        mapping = await self._mapping(name, position, asked)
        if mapping is None:
            made.of(name).gone += 1
            return
        then = await self._then.sync(name, position)
        for event in await self._events(source, [stored], asked):
            if self._takes(asked, event) and asked.wish.text.casefold() in event.message_id.casefold():
                again.event_again(event, (mapping, then), there, asked, made)

    async def _never(
        self, source: SourcePlan, stored: tuple[Logged, Result | None], name: str, there: again.Place
    ) -> bool:
        """Return whether a sync never read an event: its source had stopped it, or the sync was not there yet."""
        logged, result = stored
        if any(not row.sync for row in there.rows.values()) or (result is not None and not result.events):
            return True
        judged = await self._then.source(source.name, logged.position)
        if result is None and judged not in (None, source) and not again.passed(judged, logged, self._now()):
            return True
        return await self._then.unread(self._plan.syncs[name], logged.position)

    async def _events(
        self, source: SourcePlan, stored: Sequence[tuple[Logged, Result | None]], asked: Asked
    ) -> list[Event]:
        """Return what passed at the source of these log rows, then; or now, if functions are to be run again."""
        if not (asked.wish.through_functions and source.has_functions):
            return [
                event
                for one, result in stored
                for event in again.restored(
                    source, one, result, asked.now, await self._then.source(source.name, one.position)
                )
            ]
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
        return then if then is None or then is today else readdressed(then, today)

    def _takes(self, asked: Asked, event: Event) -> bool:
        return not asked.wish.filter or _compiled(asked.wish.filter).test(event.body)


_compiled = functools.lru_cache(maxsize=16)(compile_filter)


def readdressed(then: SyncPlan, today: SyncPlan) -> SyncPlan:
    """Return a sync of another day that goes where it goes today, by today's name, to who asks what is asked today."""
    other = copy.copy(then)
    other.name, other.destination, other.demands = today.name, today.destination, today.demands
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
    if wish.stage and wish.from_log:
        raise Refused(
            f"stage '{wish.stage}': events that were delivered or filtered failed at none\n"
            "    leave it out, or name archived, blocked or discarded"
        )
    try:
        _compiled(wish.filter or "exists(type)")
    except LangError as error:
        raise Refused(f"filter: {error}") from None
